"""What a gRPC client without a proxy is served: for every port of every service an API listener, routes, a cluster.

    xds:///HOST:PORT -> listener HOST:PORT -> routes HOST:PORT -> clusters outbound|PORT|SUBSET|HOST -> endpoints

It is what sidecars have, less what the client does not know. The client opens its connections itself: in the mesh's
mutual TLS where a DestinationRule says so, else, as in Istio, in plain text (nobody can tell whether a client would do
TLS, for it does only if its app made its channel with xDS credentials; `pilot/pkg/networking/grpcgen/cds.go`). Where
another TLS is asked for there is no cluster, so that nothing goes out that should not. For servers see
`proxyless_servers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.networking.destination_rule import ClientTLSMode, TrafficPolicy
from meltemi.envoy import names, proxyless
from meltemi.envoy.clusters import Discovery
from meltemi.envoy.endpoints import Assignment
from meltemi.envoy.proxyless import KnownCluster
from meltemi.envoy.routes import HashBy, encode_route_head
from meltemi.model import destinations, localities, routing
from meltemi.model.destinations import Rule
from meltemi.model.domains import names_of
from meltemi.model.endpoints import Backend, accounts, backends_of
from meltemi.model.isolation import isolated
from meltemi.model.localities import Caller
from meltemi.model.routing import Source
from meltemi.model.scope import Lens, Lenses, lenses, selected
from meltemi.model.services import Protocol, Service, hosts_in, service, services_in
from meltemi.model.views import View
from meltemi.pilot.core import assignments, proxyless_limits, proxyless_servers, shared, traffic_policy
from meltemi.pilot.core.discovery import discovery_of
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.inline_endpoints import groups
from meltemi.pilot.core.origination import NOBODY
from meltemi.pilot.core.resource import (
    CDS,
    EDS,
    LDS,
    Resource,
    Roots,
    Rope,
    Ropes,
    Segment,
    resource,
    rope,
    segment,
    virtual_host,
)
from meltemi.pilot.core.service_hosts import ANY, named_host
from meltemi.pilot.core.targets import asker_of
from meltemi.pilot.core.virtual_hosts import narrow, routed
from meltemi.query import Db, query

NO_TLS = code(
    "MEL0200",
    "no-tls-without-a-proxy",
    Level.WARNING,
    "A gRPC client without a proxy knows no TLS but the mesh's own (ISTIO_MUTUAL). Where a DestinationRule asks for "
    "another (SIMPLE, MUTUAL) it has no way to the service: its calls there fail, while those of clients with a "
    "sidecar do not.",
)


def roots(q: Db, view: View, source: Source) -> Roots:
    """Return what gRPC in a pod of this View is served: the parts of which it asks for by name."""
    seen, who = lenses(q, view.namespace), destinations.asker(q, view.namespace, view.labels)
    if who != view.namespace:
        seen = selected(q, seen, who)
    asker = asker_of(q, view.namespace, source)
    made = clients(q, seen, view.namespace, localities.caller(view), source, asker)
    served = proxyless_servers.listeners(
        q, view.namespace, view.labels, view.named_ports, proxyless_servers.addresses(view)
    )
    return replace(made, listeners=(*made.listeners, served)) if served.resources else made


@query
def clients(q: Db, seen: Lenses, namespace: str, caller: Caller, source: Source, asker: str) -> Roots:
    """Return what clients are served that see this; they are in `namespace`."""
    reached: list[tuple[Segment, Segment]] = []
    listened: list[Segment] = []
    ropes: list[Rope] = []
    for where in seen.namespaces:
        lens, own = seen.through(where), where == namespace
        answer = localities.answer(caller, localities.asked(q, where, lens.rules))
        reached.append(destinations_in(q, where, lens, answer))
        listened.append(listeners_in(q, where, lens, own))
        ropes += routes_in(q, where, lens, own, source, asker)
    return Roots(
        clusters=tuple([made for made, _ in reached if made.resources]),
        endpoints=tuple([made for _, made in reached if made.resources]),
        listeners=tuple([made for made in listened if made.resources]),
        routes=tuple(ropes),
    )


def _names(found: Service, port: int, lens: Lens, own: bool) -> tuple[str, ...]:
    """List the names by which a service's port is asked for; clients in its namespace (`own`) may leave that out."""
    lost = {one.name for one in lens.lost if one.host == found.host and one.port == port}
    unusual = lost.union(found.addresses)
    return tuple([name for name in names_of(found, own=own) if name[:1] != "*" and name not in unusual])


def _ports(q: Db, namespace: str, lens: Lens, own: bool) -> Iterator[tuple[Service, int, tuple[str, ...]]]:
    """Go through the ports of a namespace's services that clients can ask for, each with its names."""
    for found in services_in(q, namespace):
        for port in found.ports if found.host not in lens.hidden else ():
            named = _names(found, port.number, lens, own)
            if named and port.protocol is not Protocol.UDP:
                yield found, port.number, named


@query
def listeners_in(q: Db, namespace: str, lens: Lens, own: bool) -> Segment:
    """List an API listener for each name and port of a namespace's services."""
    made: list[Resource] = []
    for found, port, named in _ports(q, namespace, lens, own):
        route = names.service_route(found.host, port)
        for name in named:
            asked = names.service_route(name, port)
            made.append(resource(LDS, asked, proxyless.encode_api_listener(asked, route)))
    return segment(("ns", namespace), made)


@query
def routes_in(q: Db, namespace: str, lens: Lens, own: bool, source: Source, asker: str) -> Ropes:
    """List the routes of each port of a namespace's services."""
    made: list[Rope] = []
    for found, port, _ in _ports(q, namespace, lens, own):
        key = routed(q, namespace, found.host, lens)
        if key is not None and (listed := found.port(port)) is not None and listed.protocol.http2:
            proxyless_limits.tell_of_routes(q, key)
        asked = routing.ANY_SOURCE if key is None else narrow(q, key, source)
        host = isolated(q, named_host, namespace, found.host, port, key, asked, asker, ANY)
        if host is not None:
            made.append(_rope(names.service_route(found.host, port), host))
    return tuple(made)


def _rope(name: str, host: Resource) -> Rope:
    (message,) = RouteConfiguration.FromString(host.entry).virtual_hosts
    known = proxyless.encode_known_host(message.SerializeToString())
    part = segment(("service",), (virtual_host(host.name, known, host.origins),))
    return rope(name, encode_route_head(name, ignore_port=False), (part,))


@query
def destinations_in(q: Db, namespace: str, lens: Lens, caller: Caller | None) -> tuple[Segment, Segment]:
    """List the clusters of a namespace's services, and their load assignments; `caller` as for these."""
    reached: list[Resource] = []
    endpoints: list[Resource] = []
    choices = dict(lens.rules)
    for host in hosts_in(q, namespace):
        if host not in lens.hidden:
            choice = choices.get(host, destinations.DEFAULT)
            answer = assignments.answered(q, namespace, host, choice, caller)
            made, assigned = isolated(q, destination, namespace, host, choice, answer) or ((), ())
            reached += made
            endpoints += assigned
    return segment(("ns", namespace), reached), segment(("ns", namespace), endpoints)


@query
def destination(
    q: Db, namespace: str, host: str, choice: str, caller: Caller | None
) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Translate a service: its clusters, and the load assignment of each."""
    found = service(q, namespace, host)
    if found is None:
        return (), ()
    rule = destinations.rule(q, namespace, host, choice)
    origins = tuple([origin(ref) for ref in (*found.origins, *(rule.origins if rule is not None else ()))])
    believed = shared.believed(accounts(q, namespace, host), shared.mesh_wide(q).domains)
    listed = dict(backends_of(q, namespace, host))
    if rule is not None and any(port.protocol.http2 for port in found.ports):
        proxyless_limits.tell_of_rule(q, rule)
    reached: list[Resource] = []
    endpoints: list[Resource] = []
    for port in found.ports:
        near = assignments.within_reach(listed.get(port.number, ()), found, caller)
        whole = traffic_policy.effective(rule, port.number, "")
        for subset in shared.subsets(rule):
            policy = traffic_policy.of_subset(whole, rule, port.number, subset)
            # It has no destination of a connection to go by: of a headless service it chooses, too.
            if discovery_of(q, found, policy, NOBODY, balanced=True) is not Discovery.EDS:
                continue
            name = names.outbound_cluster(host, port.number, subset)
            made = _cluster(q, name, policy, believed, rule)
            if made is None:
                continue
            if made.peers is not None and rule is not None:
                proxyless_limits.tell_of_permissive(q, found, port.number, rule)
            assigned = _assignment(q, name, _of_subset(near, rule, subset), caller, found, policy)
            reached.append(resource(CDS, name, proxyless.encode_known_cluster(made), origins))
            endpoints.append(resource(EDS, name, proxyless.encode_known_assignment(assigned), origins))
    return tuple(reached), tuple(endpoints)


def _of_subset(listed: tuple[Backend, ...], rule: Rule | None, subset: str) -> tuple[Backend, ...]:
    chosen = rule.subset(subset) if rule is not None and subset else None
    if chosen is None:
        return listed
    return tuple([one for one in listed if one.labels.contains_all(chosen.labels)])


def _assignment(
    q: Db,
    name: str,
    listed: tuple[Backend, ...],
    caller: Caller | None,
    found: Service,
    policy: TrafficPolicy,
) -> Assignment:
    """Assign endpoints to a cluster: each once, and no Unix sockets, for gRPC would refuse all of them."""
    known: dict[tuple[str, int], Backend] = {}
    for one in assignments.through_gateways(q, listed, caller, found, policy):
        if one.port:
            known.setdefault((one.address, one.port), one)
    spread = None if caller is None else assignments.spread_of(q, found, policy)
    return Assignment(name, groups(tuple(known.values()), spread, caller))


def _cluster(
    q: Db, name: str, policy: TrafficPolicy, believed: tuple[str, ...], rule: Rule | None
) -> KnownCluster | None:
    """Make a cluster; None where TLS is asked for that gRPC does not do."""
    tls = policy.tls
    peers: tuple[str, ...] | None = None
    if tls is not None and tls.mode is ClientTLSMode.ISTIO_MUTUAL:
        peers = tuple([san for san in tls.subject_alt_names if san]) or believed
    elif tls is not None and tls.mode is not ClientTLSMode.DISABLE:
        _tell(q, name, rule)
        return None
    hashed = any(key.by is HashBy.HEADER for key in traffic_policy.hash_keys(policy.load_balancer))
    size = traffic_policy.balance(policy.load_balancer).ring_size if hashed else 0
    requests = traffic_policy.thresholds(policy).requests
    return KnownCluster(name, requests, ring_size=size, peers=peers)


def _tell(q: Db, cluster: str, rule: Rule | None) -> None:
    for ref in rule.origins if rule is not None else ():
        told = Ref(ref.kind, ref.namespace, ref.name)
        message = f"{cluster} is not served to gRPC clients without a proxy: they do no TLS but ISTIO_MUTUAL"
        q.report(Diagnostic(NO_TLS, message, told, "spec.trafficPolicy.tls"))
