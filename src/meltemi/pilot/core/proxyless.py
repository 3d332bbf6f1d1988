"""What a gRPC client without a proxy is served: for every port of every service an API listener, routes, a cluster.

    xds:///HOST:PORT -> listener HOST:PORT -> routes HOST:PORT -> clusters outbound|PORT|SUBSET|HOST -> endpoints

It is what sidecars have, less what the client does not know. The client opens its connections itself, in plain text:
where TLS is asked for on the way there is no cluster, so that nothing goes out that should not.
"""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.networking.destination_rule import ClientTLSMode
from meltemi.envoy import names, proxyless
from meltemi.envoy.encoding import encode
from meltemi.envoy.endpoints import Assignment, assignment_message
from meltemi.envoy.routes import encode_route_head
from meltemi.model import destinations, localities, routing
from meltemi.model.destinations import Rule
from meltemi.model.domains import names_of
from meltemi.model.endpoints import backends
from meltemi.model.isolation import isolated
from meltemi.model.localities import Caller
from meltemi.model.routing import Source
from meltemi.model.scope import Lens, lenses
from meltemi.model.services import Protocol, Service, hosts_in, service, services_in
from meltemi.model.views import View
from meltemi.pilot.core import assignments, clusters, traffic_policy
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
    message_of,
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
    "A gRPC client without a proxy opens its connections in plain text. Where a DestinationRule asks for TLS it has no "
    "way to the service: its calls there fail, while those of clients with a sidecar do not.",
)


def roots(q: Db, view: View, source: Source) -> Roots:
    """Return what a client of this View is served: the parts of which it asks for by name."""
    seen = lenses(q, view.namespace)
    asker = asker_of(q, view.namespace, source)
    reached: list[tuple[Segment, Segment]] = []
    listened: list[Segment] = []
    ropes: list[Rope] = []
    for namespace in seen.namespaces:
        lens, own = seen.through(namespace), namespace == view.namespace
        answer = localities.answer(localities.caller(view), localities.asked(q, namespace, lens.rules))
        reached.append(destinations_in(q, namespace, lens, view.envoy_version, answer))
        listened.append(listeners_in(q, namespace, lens, own))
        ropes += routes_in(q, namespace, lens, own, source, asker)
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
def destinations_in(
    q: Db, namespace: str, lens: Lens, envoy: str, caller: Caller | None
) -> tuple[Segment, Segment]:
    """List the clusters of a namespace's services, and their load assignments; `caller` as for these."""
    reached: list[Resource] = []
    endpoints: list[Resource] = []
    choices = dict(lens.rules)
    for host in hosts_in(q, namespace):
        if host not in lens.hidden:
            choice = choices.get(host, destinations.DEFAULT)
            answer = assignments.answered(q, namespace, host, choice, caller)
            made, assigned = isolated(q, destination, namespace, host, choice, envoy, answer) or ((), ())
            reached += made
            endpoints += assigned
    return segment(("ns", namespace), reached), segment(("ns", namespace), endpoints)


@query
def destination(
    q: Db, namespace: str, host: str, choice: str, envoy: str, caller: Caller | None
) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Translate a service: its clusters, and the load assignment of each."""
    found = service(q, namespace, host)
    if found is None:
        return (), ()
    rule = destinations.rule(q, namespace, host, choice)
    assigned = {
        one.name: one
        for one in assignments.load_assignments(q, namespace, host, choice, envoy, NOBODY, caller, False)
    }
    reached: list[Resource] = []
    endpoints: list[Resource] = []
    for one in clusters.clusters(q, namespace, host, choice, envoy, NOBODY, None, False):
        _, port, subset, _ = one.name.split("|")
        if _asks_for_tls(rule, int(port), subset):
            _tell(q, one.name, rule)
            continue
        if one.name in assigned:
            listed = message_of(assigned[one.name].entry)[1]
        elif found.headless:
            listed = encode(assignment_message(_declared(q, found, one.name, rule)))
        else:
            continue
        made = proxyless.encode_known_cluster(message_of(one.entry)[1])
        reached.append(resource(CDS, one.name, made, one.origins))
        endpoints.append(resource(EDS, one.name, proxyless.encode_known_assignment(listed), one.origins))
    return tuple(reached), tuple(endpoints)


def _asks_for_tls(rule: Rule | None, port: int, subset: str) -> bool:
    """Say whether a rule does; mutual TLS that proxies agree upon by themselves is none of a client's without one."""
    tls = traffic_policy.effective(rule, port, subset).tls
    return tls is not None and tls.mode is not ClientTLSMode.DISABLE


def _declared(q: Db, found: Service, cluster: str, rule: Rule | None) -> Assignment:
    """List the endpoints of a cluster that a proxy finds by itself: a headless service's."""
    _, port, subset, _ = cluster.split("|")
    listed = backends(q, found.namespace, found.host, int(port))
    chosen = rule.subset(subset) if rule is not None and subset else None
    if chosen is not None:
        listed = tuple([one for one in listed if one.labels.contains_all(chosen.labels)])
    return Assignment(cluster, groups(listed))


def _tell(q: Db, cluster: str, rule: Rule | None) -> None:
    for ref in rule.origins if rule is not None else ():
        told = Ref(ref.kind, ref.namespace, ref.name)
        message = f"{cluster} is not served to gRPC clients without a proxy: they speak no TLS"
        q.report(Diagnostic(NO_TLS, message, told, "spec.trafficPolicy.tls"))
