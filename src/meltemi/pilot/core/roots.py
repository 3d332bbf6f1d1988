"""The roots: everything one View must be sent, per type of resource.

Only these (and the inbound listener) see a View; whatever they are made of is keyed by less and shared. The five
have no memos of their own: they only pick what is made already, and a View is one memo instead of six.
"""

from __future__ import annotations

from collections.abc import Iterable

from meltemi.model import credentialed, routing
from meltemi.model.routing import Source
from meltemi.model.scope import Lenses, lenses
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core import (
    assignments,
    clusters,
    edge,
    edge_routes,
    inbound,
    origination,
    outbound,
    proxyless,
    virtual_hosts,
)
from meltemi.pilot.core.origination import NOBODY
from meltemi.pilot.core.resource import Roots, Rope, Ropes, Segment, Segments
from meltemi.pilot.core.targets import hashes
from meltemi.query import Db, query


def source_of(q: Db, view: View) -> Source:
    """Keep of a View what routes ask of the calling workload."""
    return routing.project(routing.all_asks(q), view.namespace, view.labels)


def clusters_root(q: Db, view: View) -> Segments:
    """Return the clusters of a proxy."""
    parts = list(_of_view(q, view)[0])
    if view.type is ProxyType.SIDECAR:
        ports = inbound.app_ports(q, view.namespace, view.labels, view.named_ports)
        parts.append(inbound.clusters(q, ports, view.envoy_version))
    return tuple(parts)


def endpoints_root(q: Db, view: View) -> Segments:
    """Return the load assignments of a proxy: one per EDS cluster of `clusters_root`."""
    return _of_view(q, view)[1]


def _of_view(q: Db, view: View) -> tuple[Segments, Segments]:
    return _outbound(q, lenses(q, view.namespace), view.envoy_version, keeper_of(q, view))


def keeper_of(q: Db, view: View) -> str:
    """Return the namespace whose Secrets a proxy gets for TLS that it begins: NOBODY where no rule asks for any."""
    return view.namespace if view.type is ProxyType.ROUTER and credentialed.patterns(q) else NOBODY


@query
def _outbound(q: Db, seen: Lenses, envoy: str, keeper: str) -> tuple[Segments, Segments]:
    """List the clusters of all services that clients with these lenses see, and the load assignments."""
    pairs = [(namespace, seen.through(namespace)) for namespace in seen.namespaces]
    # Where nothing is kept in secret, clients of all kinds share.
    keepers = {name: keeper for name in seen.namespaces if keeper and credentialed.hosts(q, name)}
    made = [
        clusters.segment_of(q, namespace, lens, envoy, keepers.get(namespace, NOBODY))
        for namespace, lens in pairs
    ]
    assigned = [
        assignments.segment_of(q, namespace, lens, envoy, keepers.get(namespace, NOBODY))
        for namespace, lens in pairs
    ]
    return _filled((clusters.common(q), *made)), _filled(assigned)


def listeners_root(q: Db, view: View) -> Segments:
    """Return the listeners of a proxy."""
    if view.type is ProxyType.ROUTER:
        return (edge.listeners(q, view.namespace, view.labels, view.named_ports, view.envoy_version),)
    return (
        *outbound.listeners(q, view.namespace, source_of(q, view), view.envoy_version),
        inbound.listener(q, view),
    )


def routes_root(q: Db, view: View) -> Ropes:
    """Return the route configurations of a proxy: one per RDS name of `listeners_root`."""
    if view.type is ProxyType.ROUTER:
        return edge_routes.ropes(q, view.namespace, view.labels, view.named_ports, view.envoy_version)
    return _sidecar_ropes(q, view.namespace, source_of(q, view), view.envoy_version)


@query
def _sidecar_ropes(q: Db, client: str, source: Source, envoy: str) -> Ropes:
    made: list[Rope | None] = [
        virtual_hosts.sidecar_rope(q, client, port, source, envoy)
        for port in virtual_hosts.routed_ports(q, client)
    ]
    asker = client if hashes(q, client) else ""
    made.extend(_detected_ropes(q, lenses(q, client), source, asker, envoy))
    return tuple(one for one in made if one is not None)


@query
def _detected_ropes(q: Db, seen: Lenses, source: Source, asker: str, envoy: str) -> Ropes:
    made: list[Rope | None] = []
    for namespace in seen.namespaces:
        one = seen.through(namespace)
        for host, port in virtual_hosts.detected(q, namespace, one):
            key = virtual_hosts.routed(q, namespace, host, one)
            asked = routing.ANY_SOURCE if key is None else virtual_hosts.narrow(q, key, source)
            made.append(virtual_hosts.detected_rope(q, namespace, host, port, key, asked, asker, envoy))
    return tuple(one for one in made if one is not None)


def secrets_root(q: Db, view: View) -> Segments:
    """Return the secrets of a proxy: what its own Gateways name, and what its TLS towards services takes."""
    made: list[Segment] = []
    if view.type is ProxyType.ROUTER:
        made.append(edge.secrets(q, view.namespace, view.labels, view.named_ports))
    if keeper := keeper_of(q, view):
        made.append(origination.secrets(q, keeper, lenses(q, view.namespace)))
    return outbound.named_once(made)


@query
def roots(q: Db, view: View) -> Roots:
    """Return the five roots of a View."""
    if view.type is ProxyType.PROXYLESS:
        return proxyless.roots(q, view, source_of(q, view))
    return Roots(
        clusters_root(q, view),
        endpoints_root(q, view),
        listeners_root(q, view),
        routes_root(q, view),
        secrets_root(q, view),
    )


def _filled(parts: Iterable[Segment]) -> Segments:
    return tuple(part for part in parts if part.resources)
