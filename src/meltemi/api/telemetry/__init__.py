"""Kinds of telemetry.istio.io: the spec of each."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.telemetry.telemetry import TELEMETRY, Telemetry

KINDS: Final[tuple[Kind[Any], ...]] = (TELEMETRY,)

__all__ = ["KINDS", "Telemetry"]
