"""Connections that are carried as bytes: filter chains of TCP and TLS services, by `tcp` and `tls` routes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network
from typing import NamedTuple

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.networking.destination_rule import TrafficPolicy
from meltemi.api.networking.virtual_service import L4MatchAttributes, RouteDestination, TLSMatchAttributes
from meltemi.api.values import Map
from meltemi.envoy import names
from meltemi.envoy.listeners import TLS, Chain, ChainMatch, TcpChain
from meltemi.model import derived, destinations, settings
from meltemi.model.derivation import UNRESOLVED, Key
from meltemi.model.gateways import MESH, gateway_name
from meltemi.model.services import Protocol, home, homes, service
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.stat_names import Meant, stat_name
from meltemi.pilot.core.targets import resolve
from meltemi.query import Db

TUNNELS_DIFFER = code(
    "MEL0132",
    "tunnels-differ",
    Level.WARNING,
    "A TCP or TLS route divides connections between destinations of which some are reached by a tunnel (a "
    "DestinationRule's trafficPolicy.tunnel) and others by another, or by none. Envoy has one tunnel a route; sending "
    "past the tunnel is not what was asked for, so such connections are closed.",
)


def tcp_chains(q: Db, key: Key | None, place: Place, fallback: str, stat: str) -> tuple[Chain, ...]:
    """Make the chains of a TCP port: by `tcp` routes up to the first that takes all, else to `fallback` ("" none)."""
    found: list[Chain] = []
    made = derived.virtual_service(q, *key) if key is not None else None
    if key is not None and made is not None:
        gateways = tuple(gateway_name(name, key[0]) for name in made.spec.gateways) or (MESH,)
        for index, rule in enumerate(made.spec.tcp):
            matches = rule.match or (L4MatchAttributes(),)
            fitting = [one for one in matches if holds(one, place, key[0], gateways)]
            if not fitting:
                continue
            handler = _handler(q, rule.route, place, key, made.ref, f"spec.tcp[{index}]", stat)
            if handler is None:
                continue
            for one in fitting:
                found.append(
                    Chain(_label(key, index), handler, ChainMatch(addresses=one.destination_subnets))
                )
                if not one.destination_subnets:
                    return distinct(found, set())
    if fallback:
        found.append(Chain(fallback, _to(q, fallback, place, stat or fallback)))
    return distinct(found, set())


def tls_chains(
    q: Db, key: Key | None, place: Place, fallback: str, sni: tuple[str, ...]
) -> tuple[Chain, ...]:
    """Make the chains of a port whose TLS is passed through: by `tls` routes, else to `fallback` for names `sni`."""
    found: list[Chain] = []
    made = derived.virtual_service(q, *key) if key is not None else None
    if key is not None and made is not None:
        gateways = tuple(gateway_name(name, key[0]) for name in made.spec.gateways) or (MESH,)
        for index, rule in enumerate(made.spec.tls):
            handler = _handler(q, rule.route, place, key, made.ref, f"spec.tls[{index}]", "")
            if handler is None:
                continue
            for one in rule.match:
                if not holds(one, place, key[0], gateways):
                    continue
                every = "*" in one.sni_hosts
                hosts = () if every else tuple(dict.fromkeys(host.lower() for host in one.sni_hosts))
                match = ChainMatch(transport=TLS, server_names=hosts, addresses=one.destination_subnets)
                found.append(Chain(_label(key, index), handler, match))
    if fallback:
        match = (
            ChainMatch(transport=TLS, server_names=tuple(name for name in sni if name != "*"))
            if sni
            else ChainMatch()
        )
        found.append(Chain(fallback, _to(q, fallback, place, fallback), match))
    return distinct(found, set())


def mongo(chains: Iterable[Chain]) -> tuple[Chain, ...]:
    """Read what these chains carry as MongoDB's protocol."""
    return tuple(
        replace(chain, handler=replace(chain.handler, mongo=True))
        if isinstance(chain.handler, TcpChain)
        else chain
        for chain in chains
    )


def holds(
    match: L4MatchAttributes | TLSMatchAttributes, place: Place, namespace: str, gateways: tuple[str, ...]
) -> bool:
    """Decide what is known while translating: gateway, port, labels and namespace of the caller."""
    named = tuple(gateway_name(text, namespace) for text in match.gateways) or gateways
    if place.gateway not in named or (match.port and match.port != place.port):
        return False
    if place.gateway != MESH:
        return not match.source_labels and not match.source_namespace
    if match.source_namespace and match.source_namespace != place.source.namespace:
        return False
    wanted: Map[str] = match.source_labels
    return place.source.labels.contains_all(wanted)


def _label(key: Key, index: int) -> str:
    return f"{key[1]}.{key[0]}.{index}"


def _handler(
    q: Db, route: tuple[RouteDestination, ...], place: Place, key: Key, ref: Ref, at: str, stat: str
) -> TcpChain | None:
    clusters: list[tuple[str, int]] = []
    alone = len(route) == 1
    for index, one in enumerate(route):
        weight = (one.weight or 1) if alone else one.weight
        if one.destination is None or weight <= 0:
            continue
        if one.destination.host == UNRESOLVED:
            clusters.append((names.BLACK_HOLE, weight))
            continue
        reached = resolve(
            q,
            one.destination,
            namespace=key[0],
            listened=place.port,
            client=place.client,
            ref=ref,
            path=f"{at}.route[{index}].destination",
        )
        clusters.append((reached.cluster, weight))
    if not clusters:
        return None
    policies = [_policy(q, cluster, place) for cluster, _weight in clusters]
    tunnels = dict.fromkeys(map(traffic_policy.tunnel, policies))
    if len(tunnels) > 1:
        text = "its destinations are reached by different tunnels, or some by none: all of it is closed"
        q.report(Diagnostic(TUNNELS_DIFFER, text, ref, f"{at}.route", "give each a route of its own"))
        clusters = [(names.BLACK_HOLE, 1)]
    prefix = stat or (_told(q, clusters[0][0], place) if len(clusters) == 1 else _label(key, 0))
    return _handled(q, place, prefix, tuple(clusters), policies[0])


def _to(q: Db, cluster: str, place: Place, stat: str) -> TcpChain:
    """Handle as bytes to one cluster."""
    name = _told(q, cluster, place) if stat == cluster else stat
    return _handled(q, place, name, ((cluster, 1),), _policy(q, cluster, place))


def _told(q: Db, cluster: str, place: Place) -> str:
    """Name what goes to one cluster in statistics: as the cluster."""
    pattern = settings.OUTBOUND_STAT_NAME.read(q)
    found = _meant(q, cluster, place) if pattern else None
    made = None if found is None else service(q, found.namespace, found.host)
    port = None if found is None or made is None else made.port(found.port)
    if found is None or made is None or port is None:
        return cluster
    meant = Meant(made.host, port.number, port.name, made.name, made.namespace)
    return stat_name(pattern, meant, found.subset)


def _handled(
    q: Db, place: Place, stat: str, clusters: tuple[tuple[str, int], ...], policy: TrafficPolicy
) -> TcpChain:
    """Carry bytes. Where a cluster would have the server's proxy take them for HTTP, it is told better."""
    pool = policy.connection_pool
    return TcpChain(
        stat,
        clusters,
        traffic_policy.tcp_idle_timeout(pool),
        alpn="istio" if any(_detected(q, cluster, place) for cluster, _weight in clusters) else "",
        tunnel=traffic_policy.tunnel(policy),
        lifetime=traffic_policy.tcp_lifetime(pool),
    )


class _Reached(NamedTuple):
    """The service's port, or the subset of it, that a cluster is of."""

    namespace: str
    host: str
    port: int
    subset: str


def _meant(q: Db, cluster: str, place: Place) -> _Reached | None:
    direction, _bar, rest = cluster.partition("|")
    if direction != "outbound":
        return None
    number, subset, host = rest.split("|")
    asker = place.client
    where = home(q, host, destinations.namespace_of(asker)) if asker else next(iter(homes(q, host)), None)
    return None if where is None else _Reached(where, host, int(number), subset)


def _detected(q: Db, cluster: str, place: Place) -> bool:
    """Say whether what is spoken to a cluster is found out per connection."""
    found = _meant(q, cluster, place)
    made = None if found is None else service(q, found.namespace, found.host)
    port = None if found is None or made is None else made.port(found.port)
    return port is not None and port.protocol is Protocol.AUTO


def _policy(q: Db, cluster: str, place: Place) -> TrafficPolicy:
    """Find what the destination's rule says."""
    found = _meant(q, cluster, place)
    if found is None:
        return traffic_policy.NO_POLICY
    where, host, number, subset = found
    choice = destinations.choose(q, where, host, place.client) if place.client else destinations.DEFAULT
    return traffic_policy.effective(destinations.rule(q, where, host, choice), number, subset)


Asked = set[tuple[str, str]]
"""(CIDR or "", server name or "") that chains of a listener ask for already."""


def distinct(chains: Iterable[Chain], asked: Asked) -> tuple[Chain, ...]:
    """Leave of each chain what none before asked for: the first decides, and Envoy refuses two alike.

    `asked` grows by what is kept.
    """
    found: list[Chain] = []
    for chain in chains:
        ranges = tuple(dict.fromkeys(map(masked, chain.match.addresses))) or ("",)
        servers = tuple(dict.fromkeys(chain.match.server_names)) or ("",)
        free_servers = tuple(name for name in servers if all((one, name) not in asked for one in ranges))
        free_ranges = tuple(one for one in ranges if all((one, name) not in asked for name in servers))
        if free_servers:
            servers = free_servers
        elif free_ranges:
            ranges = free_ranges
        else:
            continue
        asked.update((one, name) for one in ranges for name in servers)
        match = replace(chain.match, addresses=_given(ranges), server_names=_given(servers))
        found.append(chain if match == chain.match else replace(chain, match=match))
    return tuple(found)


def masked(text: str) -> str:
    """Write a CIDR as Envoy reads it: without what its mask covers, and without a mask that covers nothing."""
    if "/" not in text:
        return text
    network = ip_network(text, strict=False)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _given(listed: tuple[str, ...]) -> tuple[str, ...]:
    return () if listed == ("",) else listed


def passthrough_or_nothing(policy: str) -> str:
    """Name the cluster for what the mesh does not know, by the outbound traffic policy."""
    return names.BLACK_HOLE if policy == "REGISTRY_ONLY" else names.PASSTHROUGH
