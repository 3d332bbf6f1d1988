"""Services that differ between the clusters of a mesh: IST0170."""

from __future__ import annotations

from meltemi.api.core import Service
from meltemi.api.kind import Object
from meltemi.galley.analyze.codes import INCONSISTENT_SERVICE
from meltemi.galley.analyze.inputs import REMOTE_SERVICES
from meltemi.galley.analyze.reading import every, tell
from meltemi.model import facts
from meltemi.query import Db, query


@query
def check(q: Db) -> None:
    """Compare every Service with those of its name in other clusters."""
    clusters = q.namespaces(REMOTE_SERVICES)
    if not clusters:
        return
    for made in every(q, facts.SERVICES):
        for cluster in clusters:
            other = q.fact(REMOTE_SERVICES, cluster, f"{made.namespace}/{made.name}")
            found = differences(made, other) if other is not None else ()
            if found:
                message = f"the Service is another one in cluster {cluster}: {'; '.join(found)}"
                tell(q, INCONSISTENT_SERVICE, made, ("spec",), message)


def differences(one: Object[Service], other: Object[Service]) -> tuple[str, ...]:
    """Say in what two Services differ that must be alike."""
    found = []
    if one.spec.headless != other.spec.headless:
        found.append("one is headless, the other has an address")
    if one.spec.type is not other.spec.type:
        found.append(f"type {one.spec.type.value} here, {other.spec.type.value} there")
    # A node's port is the cluster's own choice.
    ports = [
        sorted((port.name, port.port, port.protocol.value, port.app_protocol) for port in made.spec.ports)
        for made in (one, other)
    ]
    if ports[0] != ports[1]:
        found.append("their ports differ")
    return tuple(found)
