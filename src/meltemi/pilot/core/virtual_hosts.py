"""What sidecars route by: a virtual host per service and HTTP port, a RouteConfiguration per port."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from meltemi.api.diagnostics import Diagnostic
from meltemi.envoy import names
from meltemi.envoy.routes import (
    Direct,
    Forward,
    Route,
    VirtualHost,
    WeightedTarget,
    encode_route_head,
    encode_virtual_host,
)
from meltemi.model import derived, routing, settings
from meltemi.model.derivation import Key
from meltemi.model.domains import names_of
from meltemi.model.hosts import covers, is_pattern
from meltemi.model.isolation import isolated, isolated_each
from meltemi.model.routing import Source
from meltemi.model.scope import Lens, Lenses, Sight, hosts_through, lenses_within, services_through
from meltemi.model.services import Port, Protocol, kubernetes_name, sees, service_namespaces, services_in
from meltemi.model.sidecars import Egress, home_within
from meltemi.pilot.core.findings import DUPLICATE_DOMAIN, routed_by
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.http_routes import routes_of
from meltemi.pilot.core.l4 import passthrough_or_nothing
from meltemi.pilot.core.quarantine import settle_rope
from meltemi.pilot.core.resource import Resource, Rope, Segment, rope, segment, virtual_host
from meltemi.pilot.core.service_hosts import ANY, named_host, service_host
from meltemi.pilot.core.targets import asker_of
from meltemi.query import Db, query


@query
def http_ports_in(q: Db, namespace: str, sight: Sight, auto: bool) -> tuple[int, ...]:
    """List the HTTP ports of a namespace's services, sorted; with `auto` also those that may be."""
    ports: set[int] = set()
    for found in services_through(q, namespace, sight):
        ports.update([port.number for port in found.ports if _routable(port, auto)])
    return tuple(sorted(ports))


def _routable(port: Port, auto: bool) -> bool:
    return port.protocol.http or (auto and port.protocol is Protocol.AUTO)


@query
def http_ports(q: Db, seen: Lenses, auto: bool) -> tuple[int, ...]:
    """List the ports of services that clients with these lenses speak HTTP on, sorted."""
    ports: set[int] = set()
    for namespace in seen.namespaces:
        ports.update(http_ports_in(q, namespace, seen.through(namespace).sight, auto))
    return tuple(sorted(ports - {names.PROXY_PORT, names.INBOUND_PORT}))


@query
def routed_ports(q: Db, client: str, within: Egress | None, auto: bool) -> tuple[int, ...]:
    """List the ports that clients in a namespace speak HTTP on, sorted: 80 for hosts that are no services, too."""
    ports = http_ports(q, lenses_within(q, client, within), auto)
    if 80 not in ports and any(_has_http(q, key) for _host, key in extra_hosts(q, client, within)):
        return tuple(sorted((*ports, 80)))
    return ports


@query
def detected(q: Db, namespace: str, seen: Lens) -> tuple[tuple[str, int], ...]:
    """List (host, port) of a namespace whose protocol is found out per connection, where they have an address."""
    found: list[tuple[str, int]] = []
    for made in services_through(q, namespace, seen.sight):
        host = made.host
        if made.headless:
            continue
        for port in made.ports:
            if port.protocol is not Protocol.AUTO:
                continue
            lost = {one.name for one in seen.lost if one.host == host and one.port == port.number}
            if any("/" not in address and address not in lost for address in made.addresses):
                found.append((host, port.number))
    return tuple(found)


@query
def sidecar_rope(
    q: Db,
    client: str,
    within: Egress | None,
    auto: bool,
    unknown: str,
    port: int,
    source: Source,
    envoy: str,
) -> Rope | None:
    """Join the routes of all HTTP services on a port, as clients in a namespace see them.

    `auto`: those whose protocol is found out per connection are told apart by name, too, for no listener is theirs.
    """
    seen = lenses_within(q, client, within)
    asker = asker_of(q, client, source)
    own = segment_of(q, client, port, seen.through(client), True, auto, source, asker)
    parts = [own if part.key == own.key else part for part in segments(q, port, seen, auto, source, asker)]
    if port == 80:
        parts.append(extra_segment(q, client, within, source, asker))
    parts.append(fallback(q, unknown))
    name = names.sidecar_route(port)
    made = rope(name, encode_route_head(name, ignore_port=False), [part for part in parts if part.resources])
    return settle_rope(q, made, envoy)


@query
def every_port_rope(
    q: Db, client: str, within: Egress | None, unknown: str, name: str, source: Source, envoy: str
) -> Rope | None:
    """Join the routes of all ports of services: clients reach them through one unix domain socket, or HTTP proxy."""
    seen = lenses_within(q, client, within)
    asker = asker_of(q, client, source)
    parts = list(every_port_segments(q, client, seen, source, asker))
    parts.extend((extra_segment(q, client, within, source, asker), fallback(q, unknown)))
    made = rope(name, encode_route_head(name, ignore_port=False), [part for part in parts if part.resources])
    return settle_rope(q, made, envoy)


@query
def every_port_segments(q: Db, client: str, seen: Lenses, source: Source, asker: str) -> tuple[Segment, ...]:
    """List the virtual hosts of all HTTP ports of all services: a name without a port means the first that has it."""
    found: list[Segment] = []
    claimed: set[str] = set()
    for namespace in seen.namespaces:
        one = seen.through(namespace)
        listed: list[Resource] = []
        for made in services_through(q, namespace, one.sight):
            key = routed(q, namespace, made.host, one)
            asked = routing.ANY_SOURCE if key is None else narrow(q, key, source)
            for port in made.ports:
                if not _routable(port, True):
                    continue
                lost = {each.name for each in one.lost if each.host == made.host and each.port == port.number}
                answered = [name for name in names_of(made, own=namespace == client) if name not in lost]
                domains = (
                    *(name for name in answered if name not in claimed),
                    *(f"{name}:{port.number}" for name in answered),
                )
                claimed.update(answered)
                host = isolated(q, named_host, namespace, made.host, port.number, key, asked, asker, domains)
                if host is not None:
                    listed.append(host)
        found.append(segment(("ns", namespace), listed))
    return tuple(found)


@query
def segments(q: Db, port: int, seen: Lenses, auto: bool, source: Source, asker: str) -> tuple[Segment, ...]:
    """List the virtual hosts of all namespaces on a port, without the short names of anyone's own."""
    return tuple(
        segment_of(q, namespace, port, seen.through(namespace), False, auto, source, asker)
        for namespace in seen.namespaces
    )


@query
def detected_rope(
    q: Db, namespace: str, host: str, port: int, key: Key | None, source: Source, asker: str, envoy: str
) -> Rope | None:
    """Make the routes of one service's port whose protocol is found out: whatever the name, it goes there."""
    name = names.service_route(host, port)
    made = isolated(q, named_host, namespace, host, port, key, source, asker, ANY)
    parts = [] if made is None else [segment(("service",), (made,))]
    return settle_rope(q, rope(name, encode_route_head(name, ignore_port=False), parts), envoy)


@query
def segment_of(
    q: Db, namespace: str, port: int, seen: Lens, own: bool, auto: bool, source: Source, asker: str
) -> Segment:
    """List the virtual hosts of a namespace's HTTP services on a port."""
    calls: list[tuple[Hashable, ...]] = []
    public, private = routing.public_routing(q, namespace), dict(seen.routed)
    for found in services_through(q, namespace, seen.sight):
        host, wanted = found.host, found.port(port)
        if wanted is None or not _routable(wanted, auto):
            continue
        key = private[host] if host in private else public.get(host)
        asked = routing.ANY_SOURCE if key is None else narrow(q, key, source)
        lost = tuple([one for one in seen.lost if one.host == host and one.port == port]) if seen.lost else ()
        calls.append((namespace, host, port, key, asked, asker, lost))
    both = [one for one in isolated_each(q, service_host, calls) if one is not None]
    made = [one.own if own else one.others for one in both]
    return segment(("ns", namespace), [one for one in made if one is not None])


def routed(q: Db, namespace: str, host: str, seen: Lens) -> Key | None:
    """Return the VirtualService of a namespace's service, as clients with this lens see it."""
    for name, key in seen.routed:
        if name == host:
            return key
    return routing.public_routing(q, namespace).get(host)


def narrow(q: Db, key: Key, source: Source) -> Source:
    """Keep of the caller what a VirtualService asks of it."""
    return routing.project(routing.asks(q, *key), source.namespace, source.labels)


def with_port(listed: Iterable[str], port: int) -> tuple[str, ...]:
    """List names with and without the port."""
    return tuple(one for name in listed for one in (name, f"{name}:{port}"))


@query
def extra_hosts(q: Db, client: str, within: Egress | None) -> tuple[tuple[str, Key], ...]:
    """List the hosts of VirtualServices that are no service's: they route what is sent to port 80."""
    return tuple(
        (host, key)
        for host, key in routing.mesh_hosts(q, client, within)
        if not _is_service(q, host, client, within)
    )


def _is_service(q: Db, host: str, client: str, within: Egress | None) -> bool:
    """Say whether a host that a VirtualService is for is a service that clients in a namespace see."""
    named = kubernetes_name(host, settings.CLUSTER_DOMAIN.read(q)) if within is None else None
    if named is not None and host not in routing.not_for_all(q, named[1]):
        # To ask for each service by itself would take an edge for each, and for each client.
        return True
    if is_pattern(host):
        seen = lenses_within(q, client, within)
        return any(
            covers(host, one)
            for namespace in seen.namespaces
            for one in hosts_through(q, namespace, seen.through(namespace))
        )
    return sees(q, host, client) if within is None else home_within(q, host, client, within) is not None


@query
def _has_http(q: Db, key: Key) -> bool:
    made = derived.virtual_service(q, *key)
    return made is not None and bool(made.spec.http)


@query
def extra_segment(q: Db, client: str, within: Egress | None, source: Source, asker: str) -> Segment:
    """List the virtual hosts of VirtualServices whose hosts are no services."""
    listed: list[Resource] = []
    for host, key in extra_hosts(q, client, within):
        if host == "*" or not _has_http(q, key):
            continue
        if taken(q, host, client, within):
            made = derived.virtual_service(q, *key)
            q.report(
                Diagnostic(
                    DUPLICATE_DOMAIN,
                    f"{host} is another name of a service, which keeps it",
                    None if made is None else made.ref,
                    "spec.hosts",
                    "use the service's full name",
                )
            )
            continue
        found = isolated(q, extra_host, host, key, narrow(q, key, source), asker)
        if found is not None:
            listed.append(found)
    return segment(("virtualservices",), listed)


def taken(q: Db, name: str, client: str, within: Egress | None) -> bool:
    """Say whether a name is another form of a visible service's name, or its address."""
    first, _dot, rest = name.removeprefix("*.").partition(".")
    namespace = rest.removesuffix(".svc") or client
    if "." not in namespace:
        full = f"{first}.{namespace}.svc.{settings.CLUSTER_DOMAIN.read(q)}"
        if sees(q, full, client) if within is None else home_within(q, full, client, within) is not None:
            return True
    return name in _addresses(q)


@query
def _addresses(q: Db) -> frozenset[str]:
    found: set[str] = set()
    for namespace in service_namespaces(q):
        for made in services_in(q, namespace):
            found.update(made.addresses)
    return frozenset(found)


@query
def extra_host(q: Db, host: str, key: Key, source: Source, asker: str) -> Resource | None:
    """Translate a VirtualService's host that is no service's."""
    routes = routes_of(q, key, Place(80, source=source, client=asker))
    if not routes:
        return None
    name = f"{host}:80"
    made = VirtualHost(name, with_port((host,), 80), routes)
    return virtual_host(name, encode_virtual_host(made), routed_by(q, *key))


@query
def fallback(q: Db, unknown: str) -> Segment:
    """Return what happens to names that the mesh does not know: through to a cluster, or 502; "" as the mesh has it."""
    unknown = unknown or passthrough_or_nothing(settings.OUTBOUND_TRAFFIC_POLICY.read(q))
    if unknown == names.BLACK_HOLE:
        made = VirtualHost("block_all", ANY, (Route(Direct(502), name="block_all"),))
    else:
        through = Forward((WeightedTarget(unknown, 1),))
        made = VirtualHost("allow_any", ANY, (Route(through, name="allow_any"),))
    return segment(("fallback",), (virtual_host(made.name, encode_virtual_host(made)),))
