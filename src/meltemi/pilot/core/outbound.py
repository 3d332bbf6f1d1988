"""A sidecar's outbound listeners: what an app's connections meet on their way out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.duration import Duration, seconds
from meltemi.envoy import names
from meltemi.envoy.filters import CORS, FAULT
from meltemi.envoy.forward_proxy import DnsCache
from meltemi.envoy.listeners import (
    HTTP_ALPN,
    RAW,
    Chain,
    ChainMatch,
    Direction,
    HttpChain,
    Listener,
    Paths,
    TcpChain,
    encode_listener,
)
from meltemi.model import facts, settings, sidecars
from meltemi.model.derivation import Key
from meltemi.model.endpoints import backends
from meltemi.model.isolation import isolated
from meltemi.model.routing import ANY_SOURCE, Source
from meltemi.model.scope import Lens, Lenses, Sight, lenses_within, services_through
from meltemi.model.services import Port, Protocol, Resolution, Service, entry_protocol, service
from meltemi.model.sidecars import Key as SidecarKey
from meltemi.model.sidecars import Opening
from meltemi.pilot.core import listening
from meltemi.pilot.core.clusters import lookup_of
from meltemi.pilot.core.findings import PORT_CONFLICT, UNKNOWN_DESTINATION, origin, routed_by
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.l4 import Asked, distinct, mongo, passthrough_or_nothing, tcp_chains, tls_chains
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import LDS, Origin, Resource, Segment, segment
from meltemi.pilot.core.targets import asker_of, target
from meltemi.pilot.core.virtual_hosts import narrow, routed, routed_ports
from meltemi.query import Db, query

HTTP_FILTERS = frozenset({CORS, FAULT})


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the listeners of an opening are, and where what none of their chains takes goes."""

    address: str = names.ANY_ADDRESS
    bound: bool = False
    """Listens itself, and does not only take what is handed over by its original destination."""
    unknown: str = ""
    """A cluster; "" is as the mesh has it."""


def listeners(
    q: Db, client: str, openings: tuple[Opening, ...], unknown: str, source: Source, envoy: str
) -> tuple[Segment, ...]:
    """List the outbound listeners of a namespace's sidecars; every name once."""
    asker = asker_of(q, client, source)
    parts: list[Segment] = []
    for index, opening in enumerate(openings):
        seen = lenses_within(q, client, opening.within)
        spot = Spot(*_place(opening), unknown)
        if opening.rest:
            http = routed_ports(q, client, opening.within, opening.apart)
            found = listed(q, seen, http, spot, taken_before(openings, index), source, asker, envoy)
            if len(openings) == 1:
                return found
            parts.extend(found)
        else:
            parts.append(opened(q, seen, opening.number, opening.protocol, spot, source, asker, envoy))
    return named_once([own(q, unknown, envoy), *parts])


def unknown_cluster(q: Db, key: SidecarKey, client: str) -> str:
    """Name the cluster that a Sidecar has for what the mesh does not know; "" where it says nothing of it."""
    unknown = sidecars.outgoing(q, key, client).unknown
    if unknown is None:
        return ""
    if unknown.proxy is not None:
        return egress_proxy(q, key, client, *unknown.proxy)
    return names.PASSTHROUGH if unknown.allowed else names.BLACK_HOLE


@query
def egress_proxy(q: Db, key: SidecarKey, client: str, host: str, subset: str, port: int) -> str:
    """Name the cluster of a Sidecar's egressProxy; one that the mesh does not know lets nothing through."""
    found = target(q, host, subset, port, 0, client)
    if found.known:
        return found.cluster
    made = q.fact(facts.SIDECARS, *key)
    what = f"{host}:{found.port}" + (f" subset {subset}" if subset else "")
    q.report(
        Diagnostic(
            UNKNOWN_DESTINATION,
            f"{what} is not known in the mesh: what it does not know is refused",
            None if made is None else made.ref,
            "spec.outboundTrafficPolicy.egressProxy",
        )
    )
    return names.BLACK_HOLE


def _place(opening: Opening) -> tuple[str, bool]:
    """Return the address of an opening's listeners, and whether they are bound."""
    usual = names.ANY_ADDRESS if opening.captured else names.LOOPBACK
    return opening.bind or usual, opening.socket or not opening.captured


def taken_before(openings: tuple[Opening, ...], index: int) -> tuple[int, ...]:
    """List the ports of an opening's address that openings before have."""
    address, _bound = _place(openings[index])
    return tuple([one.number for one in openings[:index] if _place(one)[0] == address])


@query
def listed(
    q: Db,
    seen: Lenses,
    http: tuple[int, ...],
    spot: Spot,
    taken: tuple[int, ...],
    source: Source,
    asker: str,
    envoy: str,
) -> tuple[Segment, ...]:
    """List the outbound listeners of all clients with these lenses, of which `http` are the ports of HTTP."""
    parts = [own(q, spot.unknown, envoy)]
    if spot.address == names.ANY_ADDRESS:
        parts.extend(
            addressed(q, namespace, seen.through(namespace), source, asker, envoy)
            for namespace in seen.namespaces
        )
    parts.append(shared(q, seen, http, spot, taken, source, asker, envoy))
    return named_once(parts)


def named_once(parts: list[Segment]) -> tuple[Segment, ...]:
    """Keep the first of each name; where all differ, the segments stay as they are, shared."""
    seen: set[str] = set()
    found: list[Segment] = []
    for part in parts:
        fresh = [one for one in part.resources if one.name not in seen]
        seen.update(one.name for one in fresh)
        if fresh:
            found.append(part if len(fresh) == len(part.resources) else segment(part.key, fresh))
    return tuple(found)


@query
def own(q: Db, unknown: str, envoy: str) -> Segment:
    """Return the listener that takes everything captured and hands it over by its destination."""
    unknown = unknown or passthrough_or_nothing(settings.OUTBOUND_TRAFFIC_POLICY.read(q))
    made = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=names.ANY_ADDRESS,
        port=names.PROXY_PORT,
        direction=Direction.OUTBOUND,
        chains=(
            # Straight to the proxy's own port: it would call itself for ever.
            Chain(
                "virtualOutbound-blackhole",
                TcpChain(names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)),
                ChainMatch(port=names.PROXY_PORT),
            ),
            Chain("virtualOutbound-catchall-tcp", TcpChain(unknown, ((unknown, 1),))),
        ),
        hand_over=True,
    )
    found = settle(q, LDS, made.name, encode_listener(made), (), envoy)
    return segment(("own",), () if found is None else (found,))


def _wait(q: Db) -> Duration:
    return seconds(settings.PROTOCOL_DETECTION_TIMEOUT.read(q))


# Listeners of one service's addresses.


@query
def addressed(q: Db, namespace: str, seen: Lens, source: Source, asker: str, envoy: str) -> Segment:
    """List the listeners of a namespace's services that have an address of their own and are no plain HTTP."""
    listed: list[Resource] = []
    for found in services_through(q, namespace, seen.sight):
        host = found.host
        ports = [port for port in found.ports if not port.protocol.http]
        if not ports:
            continue
        key = routed(q, namespace, host, seen)
        asked = ANY_SOURCE if key is None else narrow(q, key, source)
        for port in ports:
            lost = {one.name for one in seen.lost if one.host == host and one.port == port.number}
            for address in _addresses(q, found, port):
                if address not in lost:
                    made = isolated(
                        q, service_listener, namespace, host, port.number, address, key, asked, asker, envoy
                    )
                    if made is not None:
                        listed.append(made)
    return segment(("ns", namespace), distinct_resources(listed))


def distinct_resources(listed: list[Resource]) -> tuple[Resource, ...]:
    """Keep the first of each name."""
    return tuple({one.name: one for one in reversed(listed)}.values())[::-1]


def _addresses(q: Db, found: Service, port: Port) -> tuple[str, ...]:
    if found.headless:
        # Clients connect to the endpoints themselves.
        return tuple(
            dict.fromkeys(one.address for one in backends(q, found.namespace, found.host, port.number))
        )
    return tuple(address for address in found.addresses if "/" not in address)


@query
def service_listener(
    q: Db,
    namespace: str,
    host: str,
    port: int,
    address: str,
    key: Key | None,
    source: Source,
    asker: str,
    envoy: str,
) -> Resource | None:
    """Translate one address of a service's port."""
    found = service(q, namespace, host)
    wanted = found.port(port) if found is not None else None
    if found is None or wanted is None:
        return None
    place = Place(port, source=source, client=asker)
    cluster = names.outbound_cluster(host, port)
    name = names.listener(address, port)
    detect = wanted.protocol is Protocol.AUTO and not found.headless
    if wanted.protocol.tls:
        chains = tls_chains(q, key, place, cluster, ())
    else:
        chains = tcp_chains(q, key, place, cluster, "")
    if wanted.protocol is Protocol.MONGO:
        chains = mongo(chains)
    default = None
    if detect:
        # Envoy does not come back from "no TLS" to a chain that asks for no transport.
        chains, default = chains[:-1], chains[-1]
        http = HttpChain(
            stat_prefix=f"outbound_{name}", rds=names.service_route(host, port), http_filters=HTTP_FILTERS
        )
        chains = (*chains, Chain(f"{name}-http", http, ChainMatch(transport=RAW, alpn=HTTP_ALPN)))
    made = Listener(
        name=name,
        address=address,
        port=port,
        direction=Direction.OUTBOUND,
        chains=chains,
        default=default,
        bind=False,
        inspect_tls=any(chain.match.server_names for chain in chains),
        inspect_http=detect,
        paths=listening.paths(q) if detect else Paths.BASE,
        detection_timeout=_wait(q),
    )
    origins = [origin(ref) for ref in found.origins]
    if key is not None:
        origins.extend(routed_by(q, *key))
    return settle(q, LDS, name, encode_listener(made), origins, envoy)


# Listeners of a port, for services that have no address, and for all HTTP.


class Anywhere(NamedTuple):
    """A service's port that is told by its number alone, or by the CIDRs or the name asked for as well."""

    namespace: str
    host: str
    port: int
    ranges: tuple[str, ...]
    tls: bool
    http: bool = False
    """HTTP is told by its routes; only where the name asked for is looked up is the listener to know."""


@query
def anywhere_in(q: Db, namespace: str, sight: Sight) -> tuple[Anywhere, ...]:
    """List the ports of a namespace's services that have no address to listen on, without those of plain HTTP.

    TLS of a service whose address the mesh chose is told by its name, too: a client may have found it elsewhere.
    """
    found: list[Anywhere] = []
    for made in services_through(q, namespace, sight):
        if made.headless or made.alias:
            continue
        looked_up = made.resolution is Resolution.BY_REQUEST
        ranges = tuple(address for address in made.addresses if "/" in address)
        if ranges or not made.addresses or made.allocated:
            found.extend(
                Anywhere(
                    namespace, made.host, port.number, ranges, port.protocol.tls, http=port.protocol.http
                )
                for port in made.ports
                if (looked_up or not port.protocol.http)
                and port.protocol is not Protocol.UDP
                and (port.protocol.tls or not made.allocated)
            )
    return tuple(found)


@query
def everywhere_in(q: Db, namespace: str, sight: Sight) -> tuple[tuple[Anywhere, bool], ...]:
    """List the ports of a namespace's services, and which look up names, for a listener at no service's address."""
    return tuple(
        [
            (
                Anywhere(namespace, made.host, port.number, (), port.protocol.tls, http=port.protocol.http),
                made.resolution is Resolution.BY_REQUEST,
            )
            for made in services_through(q, namespace, sight)
            for port in made.ports
            if port.protocol is not Protocol.UDP
        ]
    )


@query
def shared(
    q: Db,
    seen: Lenses,
    http: tuple[int, ...],
    spot: Spot,
    taken: tuple[int, ...],
    source: Source,
    asker: str,
    envoy: str,
) -> Segment:
    """List the listeners `0.0.0.0_PORT`, or those of another address that a Sidecar has them all at."""
    others: dict[int, list[Anywhere]] = {}
    for namespace in seen.namespaces:
        sight = seen.through(namespace).sight
        if spot.address == names.ANY_ADDRESS:
            found = anywhere_in(q, namespace, sight)
        else:
            found = tuple([one for one, asked in everywhere_in(q, namespace, sight) if asked or not one.http])
        for one in found:
            others.setdefault(one.port, []).append(one)
    listed: list[Resource] = []
    for port in sorted({*http, *others}):
        if port in taken:
            continue
        if port in (names.PROXY_PORT, names.INBOUND_PORT):
            # The proxy listens there itself, and Envoy takes an address once.
            q.report(Diagnostic(PORT_CONFLICT, f"port {port} is the proxy's own: no route leads there"))
            continue
        tenants = tuple(
            (one, routed(q, one.namespace, one.host, seen.through(one.namespace)))
            for one in others.get(port, ())
        )
        asked = source if any(key is not None for _one, key in tenants) else ANY_SOURCE
        made = isolated(q, port_listener, port, port in http, spot, tenants, asked, asker, envoy)
        if made is not None:
            listed.append(made)
    return segment(("shared",), listed)


@query
def opened(
    q: Db, seen: Lenses, port: int, protocol: str, spot: Spot, source: Source, asker: str, envoy: str
) -> Segment:
    """List the listener of a port, or of a unix domain socket (port 0), that a Sidecar opens.

    What is spoken there is the Sidecar's word; where it has none it is found out per connection.
    """
    spoken = entry_protocol(port, protocol)
    tenants: list[tuple[Anywhere, Key | None]] = []
    for namespace in seen.namespaces:
        one = seen.through(namespace)
        for found, asked_for in everywhere_in(q, namespace, one.sight):
            # HTTP is told by its routes, unless the Sidecar has it carried as bytes.
            told = spoken.http or (spoken is Protocol.AUTO and found.http)
            if not told or (found.http and asked_for):
                tenant = found._replace(http=found.http and told)
                tenants.append((tenant, routed(q, namespace, found.host, one)))
    key = ("opened", names.listener(spot.address, port))
    if port in (names.PROXY_PORT, names.INBOUND_PORT):
        q.report(Diagnostic(PORT_CONFLICT, f"port {port} is the proxy's own: a Sidecar cannot open it"))
        return segment(key, ())
    http = spoken.http or spoken is Protocol.AUTO
    asked = source if any(key is not None for _one, key in tenants) else ANY_SOURCE
    made = isolated(q, port_listener, port, http, spot, tuple(tenants), asked, asker, envoy)
    return segment(key, () if made is None else (made,))


@query
def port_listener(
    q: Db,
    port: int,
    http: bool,
    spot: Spot,
    tenants: tuple[tuple[Anywhere, Key | None], ...],
    source: Source,
    asker: str,
    envoy: str,
) -> Resource | None:
    """Translate one port: HTTP by its RouteConfiguration, TLS by the name asked for, the rest to one TCP service."""
    name = names.listener(spot.address, port)
    # What comes to a listener by itself was on no way to anywhere else.
    unknown = names.BLACK_HOLE if spot.bound else spot.unknown
    unknown = unknown or passthrough_or_nothing(settings.OUTBOUND_TRAFFIC_POLICY.read(q))
    default = Chain("PassthroughFilterChain", TcpChain(unknown, ((unknown, 1),)))
    chains: list[Chain] = []
    origins: list[Origin] = []
    taker = ""
    asked: Asked = set()
    lookups: list[DnsCache] = []
    for (namespace, host, number, ranges, tls, is_http), key in tenants:
        place = Place(number, source=source, client=asker)
        cluster = names.outbound_cluster(host, number)
        found = service(q, namespace, host)
        origins.extend(origin(ref) for ref in (found.origins if found is not None else ()))
        lookup = lookup_of(q, found) if found is not None else None
        if lookup is not None and is_http:
            lookups.append(lookup)
            continue
        if ranges or (tls and host != "*"):
            made_of = (
                tls_chains(q, key, place, cluster, (host,)) if tls else tcp_chains(q, key, place, cluster, "")
            )
            if _is_mongo(found, number):
                made_of = mongo(made_of)
            narrowed = [_within(_looked_up(chain, cluster, lookup, number), ranges) for chain in made_of]
            kept = distinct(narrowed, asked)
            if not kept:
                _conflict(q, found, f"what {host} asks for on port {port} is another service's")
            chains.extend(kept)
        elif not taker:
            taker = host
            default = tcp_chains(q, key, place, cluster, "")[-1]
            default = replace(default, match=ChainMatch())
            if _is_mongo(found, number):
                (default,) = mongo((default,))
        elif taker != host:
            _conflict(
                q, found, f"port {port} without an address is {taker}'s; {host} is not told apart from it"
            )
    if http:
        handler = HttpChain(
            stat_prefix=f"outbound_{name}",
            rds=names.sidecar_route(port) if port else names.socket_route(spot.address),
            http_filters=HTTP_FILTERS,
            lookups=tuple(dict.fromkeys(lookups)),
        )
        chains.append(Chain(name, handler, ChainMatch(transport=RAW, alpn=HTTP_ALPN)))
    made = Listener(
        name=name,
        address=spot.address,
        port=port,
        direction=Direction.OUTBOUND,
        chains=tuple(chains),
        default=default,
        bind=spot.bound,
        inspect_tls=bool(chains),
        inspect_http=http,
        paths=listening.paths(q) if http else Paths.BASE,
        detection_timeout=_wait(q),
    )
    return settle(q, LDS, name, encode_listener(made), origins, envoy)


def _looked_up(chain: Chain, cluster: str, lookup: DnsCache | None, port: int) -> Chain:
    """Look up the server name that is asked for before a chain's cluster is gone to, if it finds names so."""
    handler = chain.handler
    if lookup is None or not isinstance(handler, TcpChain) or handler.clusters != ((cluster, 1),):
        return chain
    return replace(chain, handler=replace(handler, lookup=(lookup, port)))


def _within(chain: Chain, ranges: tuple[str, ...]) -> Chain:
    return replace(chain, match=replace(chain.match, addresses=chain.match.addresses or ranges))


def _is_mongo(found: Service | None, number: int) -> bool:
    port = found.port(number) if found is not None else None
    return port is not None and port.protocol is Protocol.MONGO


def _conflict(q: Db, found: Service | None, text: str) -> None:
    ref = found.origins[0] if found is not None and found.origins else None
    q.report(Diagnostic(PORT_CONFLICT, text, ref, "spec.addresses", "give it an address of its own"))
