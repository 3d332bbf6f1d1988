"""Load assignments: the endpoints of every EDS cluster."""

from __future__ import annotations

from meltemi.api.networking.destination_rule import TrafficPolicy
from meltemi.envoy import names
from meltemi.envoy.clusters import Discovery
from meltemi.envoy.endpoints import encode_endpoint, encode_place, join_assignment, join_group
from meltemi.model import destinations, localities, settings
from meltemi.model.destinations import Rule
from meltemi.model.endpoints import Backend, backends_of
from meltemi.model.isolation import isolated, isolated_each
from meltemi.model.localities import EVEN, Asks, Caller, Spread
from meltemi.model.networks import networks
from meltemi.model.scope import Lens
from meltemi.model.services import Service, service
from meltemi.model.views import Locality
from meltemi.model.workloads import HOSTNAME
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.client_tls import all_mutual_by
from meltemi.pilot.core.discovery import discovery_of
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.of_services import calls, joined
from meltemi.pilot.core.quarantine import apart, refused, settle
from meltemi.pilot.core.resource import EDS, Origin, Resource, Segment
from meltemi.pilot.core.shared import subsets
from meltemi.pilot.core.split_horizon import reached
from meltemi.pilot.core.spreading import grouped
from meltemi.query import Db, query


@query
def segment_of(q: Db, namespace: str, lens: Lens, envoy: str, keeper: str, caller: Caller | None) -> Segment:
    """List the load assignments of a namespace's services, as clients with this lens see them.

    `keeper` is as in `of_services.calls`; `caller` is what `localities.asked` asks of those clients for this
    namespace, None where all endpoints are alike.
    """

    def answer(host: str, choice: str) -> Caller | None:
        return answered(q, namespace, host, choice, caller)

    wanted = calls(q, namespace, lens, envoy, keeper, None if caller is None else answer)
    return joined(namespace, lens, isolated_each(q, load_assignments, wanted))


def answered(q: Db, namespace: str, host: str, choice: str, caller: Caller | None) -> Caller | None:
    """Keep of a caller what the endpoints of one service ask of it."""
    return None if caller is None else localities.answer(caller, isolated(q, asked, namespace, host, choice))


@query
def asked(q: Db, namespace: str, host: str, choice: str) -> Asks | None:
    """Say what the endpoints of one service ask of their callers."""
    found = service(q, namespace, host)
    if found is None:
        return None
    rule = destinations.rule(q, namespace, host, choice)
    asks = [
        localities.asks_of(spread_of(q, found, traffic_policy.effective(rule, port.number, subset)))
        for port in found.ports
        for subset in subsets(rule)
    ]
    node = localities.NODE if found.node_local else None
    return localities.together([*asks, node, localities.asked_by_networks(q)])


def spread_of(q: Db, found: Service, policy: TrafficPolicy) -> Spread:
    """Say how requests to a service with this policy are spread."""
    return localities.spread(
        policy.load_balancer,
        settings.LOCALITY.read(q),
        outliers=policy.outlier_detection is not None,
        distribution=found.distribution,
    )


@query
def load_assignments(
    q: Db,
    namespace: str,
    host: str,
    choice: str,
    envoy: str,
    keeper: str,
    caller: Caller | None,
    balanced: bool,
) -> tuple[Resource, ...]:
    """Translate a service's endpoints: those of each of its ports, and of each subset those that bear its labels.

    Left out are clusters whose endpoints the proxy finds by itself. `caller` is what `asked` asks of it.
    """
    found = service(q, namespace, host)
    if found is None:
        return ()
    rule = destinations.rule(q, namespace, host, choice)
    origins = tuple([origin(ref) for ref in found.origins])
    listed = dict(backends_of(q, namespace, host))
    keys = refused(q, EDS, host)
    made: list[Resource | None] = []
    for port in found.ports:
        whole = traffic_policy.effective(rule, port.number, "")
        usual = discovery_of(q, found, whole, keeper, balanced=balanced)
        ready = apart(q, host, _encoded, within_reach(listed.get(port.number, ()), found, caller))
        if ready is None:
            # A fault of ours is no news that there are no endpoints.
            continue
        for subset in subsets(rule):
            policy = traffic_policy.of_subset(whole, rule, port.number, subset)
            how = usual if policy is whole else discovery_of(q, found, policy, keeper, balanced=balanced)
            if how is Discovery.EDS:
                name = names.outbound_cluster(host, port.number, subset)
                chosen = _of_subset(ready, rule, subset)
                if caller is not None and caller.network:
                    backends = tuple([one for one, _ in chosen])
                    chosen = _encoded(q, through_gateways(q, backends, caller, found, policy))
                spread = EVEN if caller is None else spread_of(q, found, policy)
                made.append(apart(q, name, _resource, name, chosen, spread, caller, origins, envoy, keys))
    return tuple([one for one in made if one is not None])


Ready = tuple[Backend, bytes]
"""An endpoint, and what it is in a load assignment: the same in that of the service and those of its subsets."""


def within_reach(listed: tuple[Backend, ...], found: Service, caller: Caller | None) -> tuple[Backend, ...]:
    """Leave out what a caller cannot or may not reach; gateways may still be needed on the way to others."""
    if caller is None:
        return listed
    if not caller.network:
        # What has no address is reached from other networks, through its gateways.
        listed = tuple([one for one in listed if one.address])
    if not found.node_local:
        return listed
    node = dict(caller.labels).get(HOSTNAME, "")
    return tuple([one for one in listed if one.node == node])


def through_gateways(
    q: Db, listed: tuple[Backend, ...], caller: Caller | None, found: Service, policy: TrafficPolicy
) -> tuple[Backend, ...]:
    """Put gateways in the place of endpoints on networks that a caller does not reach itself."""
    known = networks(q) if caller is not None and caller.network else None
    if known is None or caller is None:
        return listed
    mutual = all_mutual_by(policy, found, auto=settings.ENABLE_AUTO_MTLS.read(q))
    return reached(listed, known, caller.network, mutual=mutual)


def _encoded(_q: Db, listed: tuple[Backend, ...]) -> tuple[Ready, ...]:
    return tuple(
        [
            (
                one,
                encode_endpoint(one.address, one.port, one.mtls, one.metadata, one.weight, one.healthy),
            )
            for one in listed
        ]
    )


def _of_subset(listed: tuple[Ready, ...], rule: Rule | None, subset: str) -> tuple[Ready, ...]:
    chosen = rule.subset(subset) if rule is not None and subset else None
    if chosen is None:
        return listed
    wanted = tuple(chosen.labels.items())
    return tuple(
        [ready for ready in listed if all(ready[0].labels.get(key) == value for key, value in wanted)]
    )


def _resource(
    q: Db,
    name: str,
    listed: tuple[Ready, ...],
    how: Spread,
    caller: Caller | None,
    origins: tuple[Origin, ...],
    envoy: str,
    keys: tuple[str, ...],
) -> Resource | None:
    if how is EVEN:
        return settle(q, EDS, name, join_assignment(name, _even(listed)), origins, envoy, keys)
    joined = [
        join_group(
            encode_place(group.place), [encoded for _, encoded in group.members], group.weight, group.priority
        )
        for group in grouped(listed, lambda ready: ready[0], how, caller)
    ]
    return settle(q, EDS, name, join_assignment(name, joined), origins, envoy, keys)


def _even(listed: tuple[Ready, ...]) -> list[bytes]:
    """Encode endpoints by locality where it does not count who calls, as nearly always."""
    groups: dict[Locality, list[bytes]] = {}
    weights: dict[Locality, int] = {}
    for one, encoded in listed:
        place = one.place
        groups.setdefault(place, []).append(encoded)
        weights[place] = weights.get(place, 0) + one.weight
    return [join_group(encode_place(place), groups[place], weights[place]) for place in sorted(groups)]
