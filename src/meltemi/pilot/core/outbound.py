"""A sidecar's outbound listeners: what an app's connections meet on their way out."""

from __future__ import annotations

from typing import NamedTuple

from meltemi.api.diagnostics import Diagnostic
from meltemi.envoy import names
from meltemi.envoy.listeners import Chain, ChainMatch, Direction, Listener, TcpChain, encode_listener
from meltemi.model import facts, settings, sidecars
from meltemi.model.routing import Source
from meltemi.model.scope import Lenses, lenses_within
from meltemi.model.sidecars import Key as SidecarKey
from meltemi.model.sidecars import Opening
from meltemi.pilot.core.findings import UNKNOWN_DESTINATION
from meltemi.pilot.core.l4 import passthrough_or_nothing
from meltemi.pilot.core.port_listeners import Spot, opened, shared
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import LDS, Segment, segment
from meltemi.pilot.core.service_listeners import addressed, in_order
from meltemi.pilot.core.targets import asker_of, target
from meltemi.pilot.core.virtual_hosts import routed_ports
from meltemi.query import Db, query


def listeners(
    q: Db, client: str, openings: tuple[Opening, ...], unknown: str, source: Source, envoy: str
) -> tuple[Segment, ...]:
    """List the outbound listeners of a namespace's sidecars; every name once."""
    asker = asker_of(q, client, source)
    found = _opened_by(q, client, openings, unknown, source, asker, envoy)
    proxied = http_proxy(q, openings)
    if proxied is None:
        return found
    seen = lenses_within(q, client, proxied.opening.within)
    spot = Spot(names.LOOPBACK, bound=True, unknown=unknown, rds=names.HTTP_PROXY_ROUTE)
    return named_once(
        [*found, opened(q, seen, proxied.port, sidecars.HTTP_PROXY, spot, source, asker, envoy)]
    )


class HttpProxy(NamedTuple):
    """The HTTP proxy that a sidecar is for its app: on loopback, for what one of its openings admits."""

    port: int
    opening: Opening


def http_proxy(q: Db, openings: tuple[Opening, ...]) -> HttpProxy | None:
    """Return the HTTP proxy that the mesh has in each sidecar; none where a Sidecar lists all that it opens."""
    port = settings.PROXY_HTTP_PORT.read(q)
    rest = next((one for one in openings if one.rest), None) if port else None
    return None if rest is None else HttpProxy(port, rest)


def _opened_by(
    q: Db, client: str, openings: tuple[Opening, ...], unknown: str, source: Source, asker: str, envoy: str
) -> tuple[Segment, ...]:
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
        found = [addressed(q, one, seen.through(one), source, asker, envoy) for one in seen.namespaces]
        parts.extend(in_order(found))
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
