"""ServiceRole and ServiceRoleBinding: what may be done, and by whom (rbac.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.values import EMPTY, Map


class EnforcementMode(Enum):
    """Whether a rule decides, or is only watched."""

    ENFORCED = 0
    PERMISSIVE = 1


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on the request or the called workload."""

    key: str = field("What is looked at, such as `destination.labels[version]` or `request.headers[x]`.", "")
    values: tuple[str, ...] = field("Values of which it must have one; a `*` at the beginning or end.", ())


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Requests that may be made."""

    services: tuple[str, ...] = field(
        "Whole names of services; a `*` at the beginning or end.", (), required=True
    )
    paths: tuple[str, ...] = field("Paths; a `*` at the beginning or end. Every path if empty.", ())
    methods: tuple[str, ...] = field("Methods; `*` is every one.", (), required=True)
    constraints: tuple[Constraint, ...] = field("Conditions that must hold.", ())


@dataclass(frozen=True, slots=True)
class ServiceRole:
    """What may be done."""

    rules: tuple[AccessRule, ...] = field("Requests that may be made, each of them.", ())


@dataclass(frozen=True, slots=True)
class Subject:
    """Who may."""

    user: str = field("Identity of the caller; `*` is everybody.", "")
    group: str = field("Group of the caller.", "")
    properties: Map[str] = field("What else must be true of the caller, such as `source.namespace`.", EMPTY)


@dataclass(frozen=True, slots=True)
class RoleRef:
    """The role that is given."""

    kind: str = field("`ServiceRole`.", "", required=True)
    name: str = field("Name of the role, in the same namespace.", "", required=True)


@dataclass(frozen=True, slots=True)
class ServiceRoleBinding:
    """Who has a role."""

    subjects: tuple[Subject, ...] = field("Who has it.", ())
    role_ref: RoleRef | None = field("The role.", None)
    mode: EnforcementMode = field("Whether it decides, or is only watched.", EnforcementMode.ENFORCED)


SERVICE_ROLE: Kind[ServiceRole] = Kind(
    name="ServiceRole",
    group="rbac.istio.io",
    versions=("v1alpha1",),
    plural="serviceroles",
    singular="servicerole",
    categories=("istio-io", "rbac-istio-io"),
    model=ServiceRole,
    doc="Requests to services that may be made (Istio 1.0).",
)
SERVICE_ROLE_BINDING: Kind[ServiceRoleBinding] = Kind(
    name="ServiceRoleBinding",
    group="rbac.istio.io",
    versions=("v1alpha1",),
    plural="servicerolebindings",
    singular="servicerolebinding",
    categories=("istio-io", "rbac-istio-io"),
    model=ServiceRoleBinding,
    doc="Who may make the requests of a ServiceRole (Istio 1.0).",
)
