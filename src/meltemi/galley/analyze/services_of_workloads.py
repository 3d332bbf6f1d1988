"""Services that disagree about a workload that they share: IST0116 and IST0137."""

from __future__ import annotations

from meltemi.api.core import Service
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.galley.analyze.codes import CONFLICTING_PORTS, SEVERAL_PROTOCOLS
from meltemi.galley.analyze.reading import within
from meltemi.galley.analyze.workloads import Workload, in_mesh, workload_namespaces, workloads
from meltemi.model import facts
from meltemi.query import Db, query

MANAGED = "gateway.istio.io/managed"
"""A waypoint's Deployment is made by the mesh, which knows what it does."""


@query
def check(q: Db) -> None:
    """Look at the workloads of every namespace."""
    for namespace in workload_namespaces(q):
        _in_one(q, namespace)


@query
def _in_one(q: Db, namespace: str) -> None:
    services = tuple(made for made in within(q, facts.SERVICES, namespace) if made.spec.selector)
    if not services:
        return
    for one in workloads(q, namespace):
        if one.spec is None or one.owned or MANAGED in one.labels or not in_mesh(q, one):
            continue
        behind = [made for made in services if one.labels.contains_all(made.spec.selector)]
        if len(behind) > 1:
            _protocols(q, one, behind)
            _targets(q, one, behind)


def _protocols(q: Db, one: Workload, behind: list[Object[Service]]) -> None:
    ports: dict[int, dict[str, list[str]]] = {}
    for made in behind:
        for port in made.spec.ports:
            ports.setdefault(port.port, {}).setdefault(port.protocol.value, []).append(made.name)
    for number, spoken in ports.items():
        if len(spoken) > 1:
            shown = "; ".join(f"{word}: {', '.join(names)}" for word, names in sorted(spoken.items()))
            message = f"Services of {one.ref} use port {number} with different protocols ({shown})"
            q.report(Diagnostic(SEVERAL_PROTOCOLS, message, one.ref, "metadata.name"))


def _targets(q: Db, one: Workload, behind: list[Object[Service]]) -> None:
    targets: dict[str, dict[int, str]] = {}
    for made in behind:
        for port in made.spec.ports:
            targets.setdefault(str(port.target_port or port.port), {}).setdefault(port.port, made.name)
    for target, found in targets.items():
        # One Service may well lead from several ports to one; what counts is that Services differ.
        if len(found) > 1 and len(set(found.values())) > 1:
            shown = ", ".join(f"{name}:{number}" for number, name in sorted(found.items()))
            message = f"Services of {one.ref} lead from different ports to its port {target}: {shown}"
            q.report(Diagnostic(CONFLICTING_PORTS, message, one.ref, "metadata.name"))
