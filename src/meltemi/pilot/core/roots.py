"""The roots: everything one View must be sent, per type of resource.

Only these (and the inbound listener) see a View; whatever they are made of is keyed by less and shared. The five
have no memos of their own: they only pick what is made already, and a View is one memo instead of six.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from meltemi.envoy import names
from meltemi.model import credentialed, destinations, gatewayed, localities, routing, sidecars
from meltemi.model.localities import Asks, Caller
from meltemi.model.routing import Source
from meltemi.model.scope import Lenses, known_to, lenses, lenses_within, selected
from meltemi.model.services import Protocol, entry_protocol
from meltemi.model.sidecars import Key, Opening
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core import (
    assignments,
    clusters,
    edge,
    edge_auto,
    edge_routes,
    inbound,
    origination,
    outbound,
    proxyless,
    virtual_hosts,
)
from meltemi.pilot.core.origination import NOBODY
from meltemi.pilot.core.patches.view import patched
from meltemi.pilot.core.resource import Roots, Rope, Ropes, Segment, Segments
from meltemi.pilot.core.targets import asker_of
from meltemi.query import Db, query


def source_of(q: Db, view: View) -> Source:
    """Keep of a View what routes ask of the calling workload."""
    found = routing.project(routing.all_asks(q), view.namespace, view.labels)
    who = asker(q, view)
    return found if who == view.namespace else replace(found, asker=who)


def asker(q: Db, view: View) -> str:
    """Say who asks for DestinationRules."""
    return destinations.asker(q, view.namespace, view.labels)


def sidecar_of(q: Db, view: View) -> Key | None:
    """Return the Sidecar of a proxy; gateways have none."""
    return sidecars.chosen(q, view.namespace, view.labels) if view.type is ProxyType.SIDECAR else None


def _known(q: Db, view: View) -> Lenses:
    key = sidecar_of(q, view)
    if key is None:
        seen = lenses(q, view.namespace)
    else:
        seen = known_to(q, view.namespace, sidecars.outgoing(q, key, view.namespace))
    who = asker(q, view)
    return seen if who == view.namespace else selected(q, seen, who)


def _outgoing(q: Db, view: View) -> tuple[tuple[Opening, ...], str]:
    """Return a proxy's egress listeners, and the cluster for what the mesh does not know ("": as the mesh has it)."""
    key = sidecar_of(q, view)
    if key is None:
        return sidecars.WHOLE.openings, ""
    openings = sidecars.outgoing(q, key, view.namespace).openings
    return openings, outbound.unknown_cluster(q, key, view.namespace)


def clusters_root(q: Db, view: View) -> Segments:
    """Return the clusters of a proxy."""
    parts = list(_of_view(q, view)[0])
    if view.type is ProxyType.SIDECAR:
        parts.append(inbound.clusters(q, inbound.ports_of(q, view), view.envoy_version))
    return tuple(parts)


def endpoints_root(q: Db, view: View) -> Segments:
    """Return the load assignments of a proxy: one per EDS cluster of `clusters_root`."""
    return _of_view(q, view)[1]


def _of_view(q: Db, view: View) -> tuple[Segments, Segments]:
    seen, envoy = _known(q, view), view.envoy_version
    caller = localities.answer(localities.caller(view), _asked(q, seen))
    made = _outbound(q, seen, envoy, keeper_of(q, view), caller)
    if view.type is not ProxyType.ROUTER:
        return made
    wanted = edge.auto_patterns(q, view.namespace, view.labels, view.named_ports)
    if not wanted:
        return made
    # As its chains do: a name is a cluster's for all who come in, whomever rules select.
    whole = lenses(q, view.namespace)
    caller = localities.answer(localities.caller(view), _asked(q, whole))
    return _and_by_name(q, made, wanted, whole, envoy, caller)


def _and_by_name(
    q: Db,
    made: tuple[Segments, Segments],
    wanted: tuple[str, ...],
    seen: Lenses,
    envoy: str,
    caller: Caller | None,
) -> tuple[Segments, Segments]:
    """Add what a gateway passes connections on to by their server name."""
    clustered = (*made[0], edge_auto.clusters(q, wanted, seen, envoy))
    return _filled(clustered), _filled((*made[1], edge_auto.assignments(q, wanted, seen, envoy, caller)))


def keeper_of(q: Db, view: View) -> str:
    """Return a gateway's namespace, NOBODY of sidecars and where gateways reach all as sidecars do."""
    return view.namespace if view.type is ProxyType.ROUTER and gatewayed.some(q) else NOBODY


@query
def _asked(q: Db, seen: Lenses) -> Asks | None:
    """Say what all services that clients with these lenses see ask of them."""
    return localities.together(
        localities.asked(q, namespace, seen.through(namespace).rules) for namespace in seen.namespaces
    )


@query
def _outbound(
    q: Db, seen: Lenses, envoy: str, keeper: str, caller: Caller | None
) -> tuple[Segments, Segments]:
    """List the clusters of all services that clients with these lenses see, and the load assignments.

    `caller` is what `_asked` asks of those clients; None where all endpoints are alike.
    """
    made, assigned = [clusters.common(q)], []
    for namespace in seen.namespaces:
        lens = seen.through(namespace)
        # Where nothing is kept in secret and nothing is headless, clients of all kinds share.
        by = keeper if keeper and gatewayed.hosts(q, namespace) else NOBODY
        answer = by_name = None
        if caller is not None:
            answer = localities.answer(caller, localities.asked(q, namespace, lens.rules))
            by_name = localities.answer(caller, localities.asked_by_name(q, namespace, lens.rules))
        made.append(clusters.segment_of(q, namespace, lens, envoy, by, by_name))
        assigned.append(assignments.segment_of(q, namespace, lens, envoy, by, answer))
    return _filled(made), _filled(assigned)


def listeners_root(q: Db, view: View) -> Segments:
    """Return the listeners of a proxy."""
    if view.type is ProxyType.ROUTER:
        return (edge.listeners(q, asker(q, view), view.labels, view.named_ports, view.envoy_version),)
    outward = outbound.listeners(
        q, view.namespace, *_outgoing(q, view), source_of(q, view), view.envoy_version
    )
    inward = inbound.listener(q, view)
    # With more than one there are those that a Sidecar's ingress binds: where its egress has the same, that goes first.
    return (*outward, inward) if len(inward.resources) < 2 else outbound.named_once([*outward, inward])


def routes_root(q: Db, view: View) -> Ropes:
    """Return the route configurations of a proxy: one per RDS name of `listeners_root`."""
    if view.type is ProxyType.ROUTER:
        return edge_routes.ropes(q, asker(q, view), view.labels, view.named_ports, view.envoy_version)
    return _sidecar_ropes(q, view.namespace, *_outgoing(q, view), source_of(q, view), view.envoy_version)


@query
def _sidecar_ropes(
    q: Db, client: str, openings: tuple[Opening, ...], unknown: str, source: Source, envoy: str
) -> Ropes:
    made: list[Rope | None] = []
    named: set[int] = set()
    for index, one in enumerate(openings):
        ports = routed_ports(q, client, one)
        if one.socket:
            name = names.socket_route(one.bind)
            made.extend(
                virtual_hosts.every_port_rope(q, client, one.within, unknown, name, source, envoy)
                for _port in ports
            )
            continue
        if one.proxy:
            named.add(one.number)
            name = names.sidecar_route(one.number)
            made.append(virtual_hosts.every_port_rope(q, client, one.within, unknown, name, source, envoy))
            continue
        taken = outbound.taken_before(openings, index)
        # Of two listeners of one port the first has the routes: they are named by the port alone.
        fresh = [port for port in ports if port not in named and port not in taken]
        named.update(fresh)
        made.extend(
            virtual_hosts.sidecar_rope(q, client, one.within, one.apart, unknown, port, source, envoy)
            for port in fresh
        )
        if not one.apart:
            who = asker_of(q, client, source)
            made.extend(_detected_ropes(q, lenses_within(q, client, one.within), source, who, envoy))
    proxied = outbound.http_proxy(q, openings)
    if proxied is not None:
        within, name = proxied.opening.within, names.HTTP_PROXY_ROUTE
        made.append(virtual_hosts.every_port_rope(q, client, within, unknown, name, source, envoy))
    return tuple(one for one in made if one is not None)


def routed_ports(q: Db, client: str, opening: Opening) -> tuple[int, ...]:
    """List the ports of an opening that HTTP is spoken on."""
    if opening.rest:
        return virtual_hosts.routed_ports(q, client, opening.within, opening.apart)
    spoken = entry_protocol(opening.number, opening.protocol)
    return (opening.number,) if spoken.http or spoken is Protocol.AUTO else ()


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
    elif sidecar_of(q, view) is not None:
        made.append(inbound.secrets(q, view))
    keeper = keeper_of(q, view)
    if keeper or (credentialed.patterns(q) and asker(q, view) != view.namespace):
        made.append(origination.secrets(q, keeper, _known(q, view)))
    return outbound.named_once(made)


@query
def roots(q: Db, view: View) -> Roots:
    """Return the five roots of a View, as its proxy was told to be and EnvoyFilters leave them."""
    if view.type is ProxyType.PROXYLESS:
        return proxyless.roots(q, view, source_of(q, view))
    made = Roots(
        clusters_root(q, view),
        endpoints_root(q, view),
        listeners_root(q, view),
        routes_root(q, view),
        secrets_root(q, view),
    )
    return patched(q, view, made)


def _filled(parts: Iterable[Segment]) -> Segments:
    return tuple(part for part in parts if part.resources)
