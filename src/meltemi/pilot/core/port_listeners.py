"""Outbound listeners of a port, for services that have no address, and for all HTTP."""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic
from meltemi.envoy import names
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
from meltemi.model import settings
from meltemi.model.derivation import Key
from meltemi.model.isolation import isolated
from meltemi.model.routing import ANY_SOURCE, Source
from meltemi.model.scope import Lenses
from meltemi.model.services import Protocol, Service, entry_protocol, service
from meltemi.pilot.core import listening, specified
from meltemi.pilot.core.discovery import lookup_of
from meltemi.pilot.core.findings import PORT_CONFLICT, origin
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.l4 import Asked, distinct, mongo, passthrough_or_nothing, tcp_chains, tls_chains
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import LDS, Origin, Resource, Segment, segment
from meltemi.pilot.core.service_listeners import HTTP_FILTERS
from meltemi.pilot.core.tenants import Anywhere, anywhere_in, everywhere_in
from meltemi.pilot.core.virtual_hosts import routed
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the listeners of an opening are, and where what none of their chains takes goes."""

    address: str = names.ANY_ADDRESS
    bound: bool = False
    """Listens itself, and does not only take what is handed over by its original destination."""
    unknown: str = ""
    """A cluster; "" is as the mesh has it."""
    rds: str = ""
    """Name of its routes; "" is that of the port's, or of the socket's."""


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
            for one in sorted(others.get(port, ()), key=_by_rank)
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
    ranked = tuple(sorted(tenants, key=lambda pair: _by_rank(pair[0])))
    made = isolated(q, port_listener, port, http, spot, ranked, asked, asker, envoy)
    return segment(key, () if made is None else (made,))


def _by_rank(one: Anywhere) -> tuple[bool, float]:
    return one.rank


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
    """Translate one port: HTTP by its RouteConfiguration, TLS by the name asked for, the rest to one TCP service.

    Of `tenants` that are not told apart the first has the port.
    """
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
    for (namespace, host, number, ranges, tls, is_http, _rank), key in tenants:
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
            rds=spot.rds or (names.sidecar_route(port) if port else names.socket_route(spot.address)),
            http_filters=HTTP_FILTERS,
            lookups=tuple(dict.fromkeys(lookups)),
        )
        handler = specified.in_mesh(q).fit(handler)
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
        detection_timeout=listening.detection_timeout(q),
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
