"""Names of ports by their numbers: what Istio 1.0's form of an EnvoyFilter may match by."""

from __future__ import annotations

from meltemi.api.values import Map
from meltemi.model.gateways import pod_port, servers
from meltemi.model.scope import Lenses
from meltemi.model.services import services_in
from meltemi.pilot.core.edge import Named
from meltemi.query import Db, query

PortNames = tuple[tuple[int, tuple[str, ...]], ...]
"""Port of a listener, or of a filter chain; names of the ports that it stands for."""


def _table(pairs: list[tuple[int, str]]) -> PortNames:
    found: dict[int, set[str]] = {}
    for number, name in pairs:
        found.setdefault(number, set()).add(name.lower())
    return tuple((number, tuple(sorted(found[number]))) for number in sorted(found))


@query
def outbound(q: Db, seen: Lenses) -> PortNames:
    """Name the ports of services as clients see them."""
    return _table(
        [
            (port.number, port.name)
            for namespace in seen.namespaces
            for found in services_in(q, namespace)
            if found.host not in seen.through(namespace).hidden
            for port in found.ports
        ]
    )


@query
def inbound(q: Db, namespace: str, labels: Map[str], named: Named) -> PortNames:
    """Name the ports of a workload as the Services before it do."""
    return _table(
        [
            (pod_port(port.target or port.number, named), port.name)
            for found in services_in(q, namespace)
            if found.selector and labels.contains_all(found.selector)
            for port in found.ports
        ]
    )


@query
def gateway(q: Db, namespace: str, labels: Map[str], named: Named) -> PortNames:
    """Name the ports of a gateway's pod as the servers of Gateways do."""
    return _table(
        [
            (one.port, one.server.port.name)
            for one in servers(q, namespace, labels, named)
            if one.server.port is not None
        ]
    )
