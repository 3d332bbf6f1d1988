"""Proxies to which too many services are visible: MEL0060."""

from __future__ import annotations

from typing import Final

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.galley.analyze.codes import TOO_MANY_SERVICES
from meltemi.galley.analyze.kinds import SIDECARS
from meltemi.galley.analyze.reading import within
from meltemi.galley.analyze.sidecars import labels
from meltemi.galley.analyze.workloads import root_namespace, workload_namespaces, workloads
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
        if (
            seen > MOST
            and any(one.spec is not None for one in workloads(q, client))
            and not _narrowed(q, client)
        ):
            message = f"clients in namespace {client} see {seen:,} services: their routes pass 1 MB"
            hint = f"write a Sidecar for namespace {client} with the egress hosts that it calls"
            q.report(
                Diagnostic(TOO_MANY_SERVICES, message, Ref("Namespace", "", client), "metadata.name", hint)
            )


@query
def _visible(q: Db, client: str) -> int:
    return sum(
        exported(export_of(q, namespace, host), namespace, client)
        for namespace in service_namespaces(q)
        for host in hosts_in(q, namespace)
    )


def _narrowed(q: Db, client: str) -> bool:
    """Say whether a Sidecar of the namespace, or of the whole mesh, narrows what its clients see."""
    return any(
        not labels(made) and made.spec.egress and not any("*/*" in one.hosts for one in made.spec.egress)
        for namespace in (client, root_namespace(q))
        for made in within(q, SIDECARS, namespace)
    )
