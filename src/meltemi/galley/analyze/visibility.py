"""Proxies to which too many services are visible: MEL0060."""

from __future__ import annotations

from typing import Final

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.values import Map
from meltemi.galley.analyze.codes import TOO_MANY_SERVICES
from meltemi.galley.analyze.reading import within
from meltemi.galley.analyze.sidecars import labels
from meltemi.galley.analyze.workloads import root_namespace, workload_namespaces, workloads
from meltemi.model.facts import SIDECARS
from meltemi.model.hosts import exported
from meltemi.model.services import export_of, hosts_in, service_namespaces
from meltemi.query import Db, query

MOST: Final = 2000
"""Services visible to one proxy above which its routes pass 1 MB (measured; 5.6 MB at 10,000)."""


@query
def check(q: Db) -> None:
    """Count what clients in each namespace with workloads see."""
    if sum(len(hosts_in(q, namespace)) for namespace in service_namespaces(q)) <= MOST:
        return
    for client in workload_namespaces(q):
        seen = _visible(q, client)
        if seen > MOST and any(
            not _narrowed(q, client, one.labels) for one in workloads(q, client) if one.spec
        ):
            message = f"clients in namespace {client} see {seen:,} services: their routes pass 1 MB"
            hint = f"write a Sidecar for namespace {client} with the egress hosts that it calls"
            ref = Ref("Namespace", "", client)
            q.report(Diagnostic(TOO_MANY_SERVICES, message, ref, "metadata.name", hint))


@query
def _visible(q: Db, client: str) -> int:
    return sum(
        exported(export_of(q, namespace, host), namespace, client)
        for namespace in service_namespaces(q)
        for host in hosts_in(q, namespace)
    )


def _narrowed(q: Db, client: str, pod: Map[str]) -> bool:
    """Say whether a Sidecar for the pod, its namespace or the whole mesh narrows what it sees."""
    root = [made for made in within(q, SIDECARS, root_namespace(q)) if not labels(made)]
    return any(
        made.spec.egress and not any("*/*" in one.hosts for one in made.spec.egress)
        for made in (*within(q, SIDECARS, client), *root)
        if pod.contains_all(labels(made))
    )
