"""AUTO_PASSTHROUGH: a gateway that passes mutual TLS of the mesh on to the service that its server name says.

Clients name `outbound_.PORT_.SUBSET_.HOST`, as sidecars do. There is a chain for each such name and no other, only for
mutual TLS of the mesh, and only endpoints behind a proxy are reached: whoever may come in is asked there who they are.
(Before ISTIO-SECURITY-2021-006 Istio took any name for a cluster's, by the filter `sni_cluster`.)
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.networking.gateway import Server, ServerTLSMode
from meltemi.envoy import names
from meltemi.envoy.clusters import Cluster, Discovery, encode_cluster
from meltemi.envoy.encoding import encode
from meltemi.envoy.endpoints import Assignment, assignment_message
from meltemi.envoy.listeners import TLS, Chain, ChainMatch, TcpChain
from meltemi.model import destinations
from meltemi.model.destinations import Rule
from meltemi.model.endpoints import Backend, backends_of
from meltemi.model.gateways import Bound
from meltemi.model.hosts import covers, is_pattern
from meltemi.model.isolation import isolated, isolated_each
from meltemi.model.localities import Caller
from meltemi.model.scope import Lenses, hosts_through, lenses
from meltemi.model.services import Resolution, service
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.assignments import answered, spread_of, through_gateways, within_reach
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.inline_endpoints import groups
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import CDS, EDS, Origin, Resource, Segment, segment
from meltemi.pilot.core.shared import mesh_wide, subsets
from meltemi.query import Db, query


def is_auto(server: Server) -> bool:
    """Say whether a server passes connections on by their server name alone."""
    return server.tls is not None and server.tls.mode is ServerTLSMode.AUTO_PASSTHROUGH


def patterns(one: Bound) -> tuple[str, ...]:
    """List the hosts whose services a server leads to."""
    return tuple(dict.fromkeys(text.rpartition("/")[2].lower() for text in one.server.hosts))


@dataclass(frozen=True, slots=True)
class Door:
    """A service, as clients of a gateway see it: its namespace and host, and which rule holds."""

    namespace: str
    host: str
    choice: str


@query
def doors(q: Db, wanted: tuple[str, ...], seen: Lenses) -> tuple[Door, ...]:
    """List the services that such servers lead to."""
    found: list[Door] = []
    for namespace in seen.namespaces:
        lens = seen.through(namespace)
        choices = dict(lens.rules)
        found.extend(
            Door(namespace, host, choices.get(host, destinations.DEFAULT))
            for host in hosts_through(q, namespace, lens)
            if any(pattern == host or covers(pattern, host) for pattern in wanted)
        )
    return tuple(found)


@query
def ways(q: Db, door: Door) -> tuple[tuple[int, str], ...]:
    """List the ports and subsets of a service that are led to: it is in the mesh, not found by name, and no pattern."""
    found = service(q, door.namespace, door.host)
    if (
        found is None
        or found.external
        or found.resolution is not Resolution.ENDPOINTS
        or is_pattern(found.host)
    ):
        return ()
    rule = destinations.rule(q, door.namespace, door.host, door.choice)
    return tuple((port.number, subset) for port in found.ports for subset in subsets(rule))


@query
def chains(q: Db, wanted: tuple[str, ...], client: str) -> tuple[Chain, ...]:
    """Make the chains of a server: one for each cluster that it leads to."""
    every = isolated_each(q, _chains, [(door,) for door in doors(q, wanted, lenses(q, client))])
    return tuple([chain for made in every for chain in made or ()])


@query
def _chains(q: Db, door: Door) -> tuple[Chain, ...]:
    made: list[Chain] = []
    rule = destinations.rule(q, door.namespace, door.host, door.choice)
    for port, subset in ways(q, door):
        name = names.sni(door.host, port, subset)
        policy = traffic_policy.effective(rule, port, subset)
        handler = TcpChain(name, ((name, 1),), traffic_policy.tcp_idle_timeout(policy.connection_pool))
        # What inspects TLS reads names in lower case.
        match = ChainMatch(transport=TLS, alpn=names.MTLS_ALPN, server_names=(name.lower(),))
        made.append(Chain(name, handler, match))
    return tuple(made)


@query
def clusters(q: Db, wanted: tuple[str, ...], seen: Lenses, envoy: str) -> Segment:
    """List the clusters that such servers lead to."""
    found = [isolated(q, _clusters, door, envoy) for door in doors(q, wanted, seen)]
    return segment(("auto",), [one for made in found if made is not None for one in made])


@query
def assignments(q: Db, wanted: tuple[str, ...], seen: Lenses, envoy: str, caller: Caller | None) -> Segment:
    """List the load assignments of these clusters, as a gateway with these answers has them."""
    found = [
        isolated(q, _assignments, door, envoy, answered(q, door.namespace, door.host, door.choice, caller))
        for door in doors(q, wanted, seen)
    ]
    return segment(("auto",), [one for made in found if made is not None for one in made])


@query
def _clusters(q: Db, door: Door, envoy: str) -> tuple[Resource, ...]:
    found = service(q, door.namespace, door.host)
    rule = destinations.rule(q, door.namespace, door.host, door.choice)
    made: list[Resource | None] = []
    for port, subset in ways(q, door) if found is not None else ():
        name = names.sni(door.host, port, subset)
        policy = traffic_policy.effective(rule, port, subset)
        one = Cluster(
            name=name,
            discovery=Discovery.EDS,
            connect_timeout=traffic_policy.connect_timeout(policy.connection_pool, mesh_wide(q).timeout),
            balancing=traffic_policy.balance(policy.load_balancer).policy,
            thresholds=traffic_policy.thresholds(policy),
            outlier=traffic_policy.outlier(policy.outlier_detection),
            services=((door.host, found.name or door.host, door.namespace),) if found is not None else (),
            config="" if rule is None else rule.config,
            subset=subset,
            locality_weighted=found is not None and spread_of(q, found, policy).weighted,
        )
        made.append(settle(q, CDS, name, encode_cluster(one), _origins(q, door, rule), envoy))
    return tuple(one for one in made if one is not None)


@query
def _assignments(q: Db, door: Door, envoy: str, caller: Caller | None) -> tuple[Resource, ...]:
    found = service(q, door.namespace, door.host)
    if found is None:
        return ()
    listed = dict(backends_of(q, door.namespace, door.host))
    rule = destinations.rule(q, door.namespace, door.host, door.choice)
    made: list[Resource | None] = []
    for port, subset in ways(q, door):
        name = names.sni(door.host, port, subset)
        policy = traffic_policy.effective(rule, port, subset)
        near = within_reach(listed.get(port, ()), found, caller)
        chosen = tuple(one for one in near if one.mtls and _is_of(one, rule, subset))
        chosen = through_gateways(q, chosen, caller, found, policy)
        spread = None if caller is None else spread_of(q, found, policy)
        message = encode(assignment_message(Assignment(name, groups(chosen, spread, caller))))
        made.append(settle(q, EDS, name, message, _origins(q, door, None), envoy))
    return tuple(one for one in made if one is not None)


def _is_of(one: Backend, rule: Rule | None, subset: str) -> bool:
    chosen = rule.subset(subset) if rule is not None and subset else None
    return chosen is None or one.labels.contains_all(chosen.labels)


def _origins(q: Db, door: Door, rule: Rule | None) -> tuple[Origin, ...]:
    found = service(q, door.namespace, door.host)
    refs = (*(() if found is None else found.origins), *(() if rule is None else rule.origins))
    return tuple(origin(ref) for ref in refs)
