"""RbacConfig: where access is decided by roles (rbac.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Kind


class RbacMode(Enum):
    """For which services roles decide."""

    OFF = 0
    ON = 1
    ON_WITH_INCLUSION = 2
    ON_WITH_EXCLUSION = 3


@dataclass(frozen=True, slots=True)
class Target:
    """Services, by name or namespace."""

    services: tuple[str, ...] = field("Whole names of services.", ())
    namespaces: tuple[str, ...] = field("Namespaces.", ())


@dataclass(frozen=True, slots=True)
class RbacConfig:
    """Where access is decided by roles: what no role allows is refused there."""

    mode: RbacMode = field("For which services roles decide.", RbacMode.OFF)
    inclusion: Target | None = field("The services of ON_WITH_INCLUSION.", None)
    exclusion: Target | None = field("The services that ON_WITH_EXCLUSION leaves out.", None)


RBAC_CONFIG: Kind[RbacConfig] = Kind(
    name="RbacConfig",
    group="rbac.istio.io",
    versions=("v1alpha1",),
    plural="rbacconfigs",
    singular="rbacconfig",
    categories=("istio-io", "rbac-istio-io"),
    model=RbacConfig,
    doc="Where access is decided by roles (Istio 1.0).",
)
