"""Kinds of authentication.istio.io, as of Istio 1.0."""

from typing import Any, Final

from meltemi.api.authentication.policy import MESH_POLICY, POLICY, Policy
from meltemi.api.kind import Kind

KINDS: Final[tuple[Kind[Any], ...]] = (MESH_POLICY, POLICY)

__all__ = ["KINDS", "Policy"]
