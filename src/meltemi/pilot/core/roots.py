"""The roots: everything one View must be sent, per type of resource.

Only these, where a View stands and its inbound listener see a View; whatever they are made of is keyed by less.
The five have no memos of their own: they only pick what is made already.
"""

from __future__ import annotations

from collections.abc import Iterable

from meltemi.envoy import names
from meltemi.model import gatewayed, localities, routing
from meltemi.model.localities import Caller
from meltemi.model.routing import Source
from meltemi.model.scope import Lenses, lenses, lenses_within
from meltemi.model.services import Protocol, entry_protocol
from meltemi.model.sidecars import Opening
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
from meltemi.pilot.core.standing import Standing, caller_of, source_of, standing
from meltemi.pilot.core.targets import asker_of
from meltemi.query import Db, query


def clusters_and_endpoints(q: Db, view: View, stands: Standing) -> tuple[Segments, Segments]:
    """Return what a proxy reaches services by: clusters, and a load assignment for each EDS cluster among them."""
    envoy = view.envoy_version
    made = _outbound(q, stands.seen, envoy, stands.keeper, stands.caller)
    if view.type is not ProxyType.ROUTER:
        return made
    wanted = edge.auto_patterns(q, view.namespace, view.labels, view.named_ports)
    if not wanted:
        return made
    # As its chains do: a name is a cluster's for all who come in, whomever rules select.
    whole = lenses(q, view.namespace)
    return _and_by_name(q, made, wanted, whole, envoy, caller_of(q, view, whole))


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


@query
def _outbound(
    q: Db, seen: Lenses, envoy: str, keeper: str, caller: Caller | None
) -> tuple[Segments, Segments]:
    """List the clusters of all services that clients with these lenses see, and the load assignments.

    `caller` is as in `Standing`; None where all endpoints are alike.
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


@query
def _outward(
    q: Db, client: str, openings: tuple[Opening, ...], unknown: str, source: Source, envoy: str
) -> tuple[Segments, Ropes]:
    """List the listeners of sidecars for what their apps send out, and the route configurations that these name."""
    heard = outbound.listeners(q, client, openings, unknown, source, envoy)
    return heard, _ropes(q, client, openings, unknown, source, envoy)


def _ropes(
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


def secrets(q: Db, view: View, stands: Standing) -> Segments:
    """Return the secrets of a proxy: what its own Gateways name, and what its TLS towards services takes."""
    made: list[Segment] = []
    if view.type is ProxyType.ROUTER:
        made.append(edge.secrets(q, view.namespace, view.labels, view.named_ports))
    elif stands.sidecar:
        made.append(inbound.secrets(q, view))
    if stands.keeps:
        made.append(origination.secrets(q, stands.keeper, stands.seen))
    return outbound.named_once(made)


@query
def roots(q: Db, view: View) -> Roots:
    """Return the five roots of a View, as its proxy was told to be and EnvoyFilters leave them."""
    if view.type is ProxyType.PROXYLESS:
        return proxyless.roots(q, view, source_of(q, view))
    stands = standing(q, view)
    made = _gateway(q, view, stands) if view.type is ProxyType.ROUTER else _sidecar(q, view, stands)
    return patched(q, view, made) if stands.changed else made


def _gateway(q: Db, view: View, stands: Standing) -> Roots:
    reached, assigned = clusters_and_endpoints(q, view, stands)
    by = (view.labels, view.named_ports, view.envoy_version)
    heard = (edge.listeners(q, stands.asker, *by),)
    return Roots(reached, assigned, heard, edge_routes.ropes(q, stands.asker, *by), secrets(q, view, stands))


def _sidecar(q: Db, view: View, stands: Standing) -> Roots:
    reached, assigned = clusters_and_endpoints(q, view, stands)
    heard, routes = _outward(
        q, view.namespace, stands.openings, stands.unknown, stands.source, view.envoy_version
    )
    inward = inbound.listener(q, view)
    # With more than one there are those that a Sidecar's ingress binds: where its egress has the same, that goes first.
    heard = (*heard, inward) if len(inward.resources) < 2 else outbound.named_once([*heard, inward])
    return Roots((*reached, *stands.to_app), assigned, heard, routes, secrets(q, view, stands))


def _filled(parts: Iterable[Segment]) -> Segments:
    return tuple(part for part in parts if part.resources)
