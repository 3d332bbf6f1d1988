"""Kinds of rbac.istio.io, as of Istio 1.0."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.rbac.config import RBAC_CONFIG, RbacConfig
from meltemi.api.rbac.roles import SERVICE_ROLE, SERVICE_ROLE_BINDING, ServiceRole, ServiceRoleBinding

KINDS: Final[tuple[Kind[Any], ...]] = (RBAC_CONFIG, SERVICE_ROLE, SERVICE_ROLE_BINDING)

__all__ = ["KINDS", "RbacConfig", "ServiceRole", "ServiceRoleBinding"]
