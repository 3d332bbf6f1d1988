"""What objects that select workloads have in common: selecting none, and selecting the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from meltemi.api import paths
from meltemi.api.diagnostics import Code, Diagnostic
from meltemi.api.kind import Object
from meltemi.api.values import Map
from meltemi.galley.analyze.codes import NOT_FOUND
from meltemi.galley.analyze.reading import pairs, tell
from meltemi.galley.analyze.workloads import all_workloads_known, selected
from meltemi.query import Db


class Targeted(Protocol):
    """The spec of a policy that is for workloads, or else for objects that it names."""

    @property
    def target_ref(self) -> object | None:
        """The object."""

    @property
    def target_refs(self) -> tuple[object, ...]:
        """The objects."""


def for_objects(spec: Targeted) -> bool:
    """Say whether a policy is for objects that it names, and not for workloads."""
    return bool(spec.target_refs) or spec.target_ref is not None


def none_selected(q: Db, made: Object[Any], labels: Map[str], at: tuple[paths.Part, ...]) -> bool:
    """Tell if no workload of the object's namespace has the labels; say whether it was told."""
    if selected(q, made.namespace, labels) or not all_workloads_known(q, made.namespace):
        return False
    tell(q, NOT_FOUND, made, at, f"no workload of namespace {made.namespace} has the labels {pairs(labels)}")
    return True


def conflicts(q: Db, found: Iterable[tuple[Object[Any], Map[str]]], code: Code, at: str) -> None:
    """Tell of objects that select the same workload; each pod once, and each set of objects once."""
    pods: dict[str, list[Object[Any]]] = {}
    for made, labels in found:
        for one in selected(q, made.namespace, labels):
            pods.setdefault(one.ref.name, []).append(made)
    told: set[tuple[str, ...]] = set()
    for pod, several in pods.items():
        names = tuple(made.name for made in several)
        if len(several) > 1 and names not in told:
            told.add(names)
            for made in several:
                message = f"{', '.join(names)} of namespace {made.namespace} all select the workload {pod}"
                q.report(Diagnostic(code, message, made.ref, at))
