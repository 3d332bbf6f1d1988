"""Sidecars that are for the same pods (IST0110, IST0111), for none (IST0101), or for pods without sidecar (IST0167)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltemi.api.kind import Object
from meltemi.api.values import EMPTY, Map
from meltemi.galley.analyze.codes import (
    CONFLICTING_SIDECARS,
    INEFFECTIVE_POLICY,
    SEVERAL_DEFAULT_SIDECARS,
)
from meltemi.galley.analyze.reading import tell, within
from meltemi.galley.analyze.selection import conflicts, none_selected
from meltemi.galley.analyze.workloads import AMBIENT_POD, mode, root_namespace, selected
from meltemi.model.facts import SIDECARS
from meltemi.query import Db, query

if TYPE_CHECKING:
    from meltemi.api.networking.sidecar import Sidecar


@query
def check(q: Db) -> None:
    """Look at the Sidecars of every namespace."""
    for namespace in q.namespaces(SIDECARS):
        _in_one(q, namespace)


@query
def _in_one(q: Db, namespace: str) -> None:
    every = tuple(within(q, SIDECARS, namespace))
    wide = [made for made in every if not labels(made)]
    narrow = [made for made in every if labels(made)]
    effective = [made for made in narrow if not _ambient(q, made)]
    for made in effective:
        if namespace != root_namespace(q):
            none_selected(q, made, labels(made), ("spec", "workloadSelector", "labels"))
    conflicts(q, [(made, labels(made)) for made in effective], CONFLICTING_SIDECARS, "spec.workloadSelector")
    if mode(q, namespace) == "ambient":
        for made in wide:
            tell(
                q,
                INEFFECTIVE_POLICY,
                made,
                ("metadata", "name"),
                "the namespace is in ambient mode: its pods have no sidecar",
            )
    elif len(wide) > 1:
        names = ", ".join(made.name for made in wide)
        for made in wide:
            message = f"the Sidecars {names} are all for the whole namespace {namespace}"
            tell(
                q,
                SEVERAL_DEFAULT_SIDECARS,
                made,
                ("metadata", "name"),
                message,
                "keep one, or give the others a workloadSelector",
            )


def labels(made: Object[Sidecar]) -> Map[str]:
    """Give the labels that a Sidecar selects; none for the whole namespace."""
    return made.spec.workload_selector.labels if made.spec.workload_selector is not None else EMPTY


def _ambient(q: Db, made: Object[Sidecar]) -> bool:
    pods = [
        one
        for one in selected(q, made.namespace, labels(made))
        if one.annotations.get(AMBIENT_POD) == "enabled"
    ]
    if pods:
        message = f"the pod {pods[0].ref.name} is in ambient mode: it has no sidecar"
        tell(q, INEFFECTIVE_POLICY, made, ("spec", "workloadSelector"), message)
    return bool(pods)
