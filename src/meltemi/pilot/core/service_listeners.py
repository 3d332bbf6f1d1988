"""Outbound listeners at the addresses of services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meltemi.envoy import names
from meltemi.envoy.filters import CORS, FAULT
from meltemi.envoy.listeners import (
    HTTP_ALPN,
    RAW,
    Chain,
    ChainMatch,
    Direction,
    HttpChain,
    Listener,
    Paths,
    encode_listener,
)
from meltemi.model.derivation import Key
from meltemi.model.domains import is_service_address
from meltemi.model.endpoints import backends
from meltemi.model.isolation import isolated
from meltemi.model.routing import ANY_SOURCE, Source
from meltemi.model.scope import Lens, services_through
from meltemi.model.services import Port, Protocol, Service, service
from meltemi.model.workloads import addresses_in
from meltemi.pilot.core import listening, specified
from meltemi.pilot.core.findings import origin, routed_by
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.l4 import mongo, tcp_chains, tls_chains
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import LDS, Resource, Segment, segment
from meltemi.pilot.core.virtual_hosts import narrow, routed
from meltemi.query import Db, query

HTTP_FILTERS = frozenset({CORS, FAULT})


class Addressed(NamedTuple):
    """Listeners at addresses of a namespace's services; those of headless ones, at endpoints, apart, with their age."""

    own: Segment
    headless: tuple[tuple[Age, Segment], ...] = ()


Age = tuple[bool, float, str, str]
"""Who has an endpoint that several headless services list: the lowest, as `domains` has it of names."""


@query
def addressed(q: Db, namespace: str, seen: Lens, source: Source, asker: str, envoy: str) -> Addressed:
    """List the listeners of a namespace's services that have an address of their own and are no plain HTTP."""
    listed: list[Resource] = []
    headless: list[tuple[Age, Segment]] = []
    for found in services_through(q, namespace, seen.sight):
        made = _listeners(q, found, seen, source, asker, envoy)
        if not found.headless:
            listed.extend(made)
        elif made:
            age = (not found.name, found.created, namespace, found.host)
            headless.append((age, segment(("endpoints", namespace, found.host), distinct_resources(made))))
    return Addressed(segment(("ns", namespace), distinct_resources(listed)), tuple(headless))


def in_order(found: Sequence[Addressed]) -> list[Segment]:
    """Put listeners so that of two of one name the first is right.

    What endpoints a headless service has is its owner's word alone: it takes no service its address away.
    """
    apart = sorted([pair for one in found for pair in one.headless], key=lambda pair: pair[0])
    return [*(one.own for one in found), *(each for _age, each in apart)]


def _listeners(q: Db, found: Service, seen: Lens, source: Source, asker: str, envoy: str) -> list[Resource]:
    namespace, host = found.namespace, found.host
    ports = [port for port in found.ports if not port.protocol.http]
    if not ports:
        return []
    listed: list[Resource] = []
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
    return listed


def distinct_resources(listed: list[Resource]) -> tuple[Resource, ...]:
    """Keep the first of each name."""
    return tuple({one.name: one for one in reversed(listed)}.values())[::-1]


def _addresses(q: Db, found: Service, port: Port) -> tuple[str, ...]:
    if found.headless:
        # Clients connect to the endpoints themselves: the namespace's pods, or what somebody says they are.
        listed = dict.fromkeys(one.address for one in backends(q, found.namespace, found.host, port.number))
        pods = addresses_in(q, found.namespace) if listed else frozenset[str]()
        return tuple([one for one in listed if one in pods or not is_service_address(q, one)])
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
        http = specified.in_mesh(q).fit(http)
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
        detection_timeout=listening.detection_timeout(q),
    )
    origins = [origin(ref) for ref in found.origins]
    if key is not None:
        origins.extend(routed_by(q, *key))
    return settle(q, LDS, name, encode_listener(made), origins, envoy)
