"""Workloads as analysis sees them: pods, the pods that templates make, and workloads by address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meltemi.api import paths
from meltemi.api.core.pod import SIDECAR, Pod
from meltemi.api.core.template import PodTemplate
from meltemi.api.core.workloads import CronJob
from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.values import EMPTY, Map
from meltemi.galley.analyze import kinds
from meltemi.galley.analyze.inputs import INJECTS_UNASKED, whole
from meltemi.galley.analyze.reading import SYSTEM_NAMESPACES, within
from meltemi.model import facts, settings
from meltemi.query import Db, FactKind, query

INJECT = "sidecar.istio.io/inject"
INJECTION = "istio-injection"
REVISION = "istio.io/rev"
DATAPLANE = "istio.io/dataplane-mode"
AMBIENT_POD = "ambient.istio.io/redirection"

TEMPLATED: Final[tuple[FactKind[Object[Any]], ...]] = (
    kinds.DEPLOYMENTS,
    kinds.STATEFUL_SETS,
    kinds.DAEMON_SETS,
    kinds.REPLICA_SETS,
    kinds.REPLICATION_CONTROLLERS,
    kinds.JOBS,
    kinds.CRON_JOBS,
)
"""Kinds that make Pods of a template."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A pod, or what a template makes; `at` is the path below which its metadata and spec lie ("" for pods)."""

    ref: Ref
    labels: Map[str]
    annotations: Map[str] = EMPTY
    spec: Pod | None = None
    at: tuple[paths.Part, ...] = ()
    owned: bool = False

    @property
    def proxy_image(self) -> str:
        """The image of its proxy; empty where it has none."""
        if self.spec is None:
            return ""
        both = (*self.spec.containers, *self.spec.init_containers)
        return next((one.image for one in both if one.name == SIDECAR), "")


@query
def workloads(q: Db, namespace: str) -> tuple[Workload, ...]:
    """List the workloads of a namespace."""
    pods = (
        Workload(made.ref, made.labels, made.annotations, made.spec, owned=bool(made.owners))
        for made in within(q, facts.PODS, namespace)
    )
    return tuple(pods) + _made_by_templates(q, namespace) + _by_address(q, namespace)


def _made_by_templates(q: Db, namespace: str) -> tuple[Workload, ...]:
    found = []
    for kind in TEMPLATED:
        for made in within(q, kind, namespace):
            template, at = pod_template(made)
            if template is not None and not made.owners:
                labels, annotations = template.metadata.labels, template.metadata.annotations
                found.append(Workload(made.ref, labels, annotations, template.spec, at))
    return tuple(found)


def pod_template(made: Object[Any]) -> tuple[PodTemplate | None, tuple[paths.Part, ...]]:
    """Give the template that an object makes Pods of, and its path."""
    if isinstance(made.spec, CronJob):
        return made.spec.job_template.spec.template, ("spec", "jobTemplate", "spec", "template")
    return made.spec.template, ("spec", "template")


def _by_address(q: Db, namespace: str) -> tuple[Workload, ...]:
    entries = tuple(
        Workload(made.ref, made.spec.labels) for made in within(q, facts.WORKLOAD_ENTRIES, namespace)
    )
    groups = tuple(
        Workload(made.ref, made.spec.metadata.labels)
        for made in within(q, facts.WORKLOAD_GROUPS, namespace)
        if made.spec.metadata is not None
    )
    return entries + groups


@query
def workload_namespaces(q: Db) -> tuple[str, ...]:
    """List the namespaces that have workloads, sorted."""
    every = (facts.PODS, *TEMPLATED, facts.WORKLOAD_ENTRIES, facts.WORKLOAD_GROUPS)
    return tuple(sorted({namespace for kind in every for namespace in q.namespaces(kind)}))


def selected(q: Db, namespace: str, labels: Map[str]) -> tuple[Workload, ...]:
    """List the workloads of a namespace that a selector takes; no label selects all."""
    return tuple(one for one in workloads(q, namespace) if one.labels.contains_all(labels))


def all_workloads_known(q: Db, namespace: str) -> bool:
    """Say whether a workload that is not there is missing: all pods are known, or some of the namespace were given."""
    return whole(q, facts.PODS) or bool(workloads(q, namespace))


@query
def mode(q: Db, namespace: str) -> str:
    """Say how pods of a namespace join the mesh: `sidecar`, `ambient`, `none`, or "" where that is not known."""
    made = q.fact(facts.NAMESPACES, "", namespace)
    if namespace in SYSTEM_NAMESPACES:
        return "none"
    if made is None:
        return ""
    wish = made.labels.get(INJECTION)
    if wish is not None:
        return "sidecar" if wish == "enabled" else "none"
    if made.labels.get(REVISION):
        return "sidecar"
    if made.labels.get(DATAPLANE) == "ambient":
        return "ambient"
    return "sidecar" if q.fact(INJECTS_UNASKED, "", "mesh") else "none"


def in_mesh(q: Db, one: Workload) -> bool:
    """Say whether a workload is in the mesh: by its proxy, its own word, or its namespace; if in doubt, it is."""
    if one.proxy_image or one.spec is None or one.annotations.get(AMBIENT_POD) == "enabled":
        return True
    wish = one.labels.get(INJECT) or one.annotations.get(INJECT)
    if wish is not None:
        return wish.lower() == "true"
    return mode(q, one.ref.namespace) != "none"


def root_namespace(q: Db) -> str:
    """Return the namespace whose objects hold for the whole mesh."""
    return settings.ROOT_NAMESPACE.read(q)
