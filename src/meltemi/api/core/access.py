"""Roles, their bindings, HorizontalPodAutoscaler and PodDisruptionBudget.

Manifests of both generations bring them along. They are checked, kept and shown; on one machine nothing reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind

_AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")


@dataclass(frozen=True, slots=True)
class RoleRef:
    """A role."""

    api_group: str = field("Group of its kind.", "")
    kind: str = field("Role or ClusterRole.", "", required=True)
    name: str = field("Its name.", "", required=True)


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """What may be done."""

    verbs: tuple[str, ...] = field("Verbs.", (), required=True)
    api_groups: tuple[str, ...] = field("Groups.", ())
    resources: tuple[str, ...] = field("Resources.", ())


@dataclass(frozen=True, slots=True)
class Role:
    """What its holders may do."""

    rules: tuple[PolicyRule, ...] = field("What may be done.", ())


@dataclass(frozen=True, slots=True)
class RoleBinding:
    """Who holds a role."""

    role_ref: RoleRef = field("The role.", RoleRef(), required=True)


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """A workload."""

    api_version: str = field("Version of its kind.", "")
    kind: str = field("Its kind.", "", required=True)
    name: str = field("Its name.", "", required=True)


@dataclass(frozen=True, slots=True)
class HorizontalPodAutoscaler:
    """How many Pods a workload has, by its load."""

    scale_target_ref: ScaleTarget = field("The workload.", ScaleTarget(), required=True)
    min_replicas: int = field("At least.", 1)
    max_replicas: int = field("At most.", 0, required=True)


@dataclass(frozen=True, slots=True)
class PodDisruptionBudget:
    """How many Pods must stay while nodes are emptied."""

    min_available: int | str | None = field("Number or share that must stay.", None)
    max_unavailable: int | str | None = field("Number or share that may go.", None)


def _rbac(name: str, model: type[Any], doc: str, *, namespaced: bool) -> Kind[Any]:
    return Kind(
        name=name,
        group="rbac.authorization.k8s.io",
        versions=("v1",),
        plural=f"{name.lower()}s",
        singular=name.lower(),
        namespaced=namespaced,
        body=True,
        has_status=False,
        model=model,
        columns=(_AGE,),
        doc=doc,
    )


ROLE: Final = _rbac("Role", Role, "What its holders may do in a namespace.", namespaced=True)
CLUSTER_ROLE: Final = _rbac("ClusterRole", Role, "What its holders may do.", namespaced=False)
ROLE_BINDING: Final = _rbac("RoleBinding", RoleBinding, "Who holds a role in a namespace.", namespaced=True)
CLUSTER_ROLE_BINDING: Final = _rbac(
    "ClusterRoleBinding", RoleBinding, "Who holds a role everywhere.", namespaced=False
)

AUTOSCALER: Kind[HorizontalPodAutoscaler] = Kind(
    name="HorizontalPodAutoscaler",
    group="autoscaling",
    versions=("v2",),
    plural="horizontalpodautoscalers",
    singular="horizontalpodautoscaler",
    short=("hpa",),
    categories=("all",),
    model=HorizontalPodAutoscaler,
    columns=(_AGE,),
    doc="How many Pods a workload has, by its load.",
)

DISRUPTION_BUDGET: Kind[PodDisruptionBudget] = Kind(
    name="PodDisruptionBudget",
    group="policy",
    versions=("v1",),
    plural="poddisruptionbudgets",
    singular="poddisruptionbudget",
    short=("pdb",),
    model=PodDisruptionBudget,
    columns=(_AGE,),
    doc="How many Pods must stay while nodes are emptied.",
)

KINDS: Final[tuple[Kind[Any], ...]] = (
    ROLE,
    CLUSTER_ROLE,
    ROLE_BINDING,
    CLUSTER_ROLE_BINDING,
    AUTOSCALER,
    DISRUPTION_BUDGET,
)
