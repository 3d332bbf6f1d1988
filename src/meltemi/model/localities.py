"""Where the requests of a caller may go, by where it and a service's endpoints are: localities, traffic distribution.

What is asked of callers is known before any caller is: `Asks`, of the services of a namespace. Callers share what is
made if they give the same answers, and nearly always nothing is asked. The rules are Istio's
(pilot/pkg/networking/core/loadbalancer).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from meltemi.api.networking.destination_rule import (
    Distribute,
    Failover,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    PortTrafficPolicy,
    TrafficPolicy,
)
from meltemi.model import destinations, facts, settings
from meltemi.model.destinations import Rule
from meltemi.model.networks import networks
from meltemi.model.services import Distribution, Resolution, service_namespaces, services_in
from meltemi.model.views import NOWHERE, Locality, View
from meltemi.model.workloads import HOSTNAME, NETWORK, REGION, SUBZONE, ZONE
from meltemi.query import Db, query

CLOSENESS = {
    Distribution.ANY: (),
    Distribution.SAME_ZONE: (NETWORK, REGION, ZONE),
    Distribution.SAME_NODE: (NETWORK, REGION, ZONE, SUBZONE, HOSTNAME),
}
"""Labels whose equality orders the endpoints of a Service that prefers close ones."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How requests are spread over the places of endpoints: by weights, or in an order. One that says neither is even.

    `labels` (`key` or `key=value`) come before `failover` in the order; without labels localities alone make it.
    """

    distribute: tuple[Distribute, ...] = ()
    ordered: bool = False
    labels: tuple[str, ...] = ()
    failover: tuple[Failover, ...] = ()

    @property
    def weighted(self) -> bool:
        """Whether Envoy must heed the weights of localities: else they would spoil how an endpoint is chosen."""
        return bool(self.distribute or (self.ordered and (self.labels or self.failover)))

    @property
    def by_place(self) -> bool:
        """Whether the caller's locality counts."""
        return bool(self.distribute) or (self.ordered and (bool(self.failover) or not self.labels))


EVEN = Spread()


def spread(
    wanted: LoadBalancerSettings | None,
    mesh: LocalityLoadBalancerSetting,
    *,
    outliers: bool,
    distribution: Distribution = Distribution.ANY,
) -> Spread:
    """Resolve how requests are spread: by the rule, else as the Service prefers, else by the mesh's setting.

    An order needs a way to tell that endpoints are ill: `outliers`. A Service's preference brings its own: its
    endpoints that are not ready are handed out as such.
    """
    setting = wanted.locality_lb_setting if wanted is not None else None
    if setting is None and distribution is not Distribution.ANY:
        return Spread(ordered=True, labels=CLOSENESS[distribution])
    if setting is None:
        setting = mesh
    if setting.enabled is False:
        return EVEN
    if setting.distribute:
        return Spread(setting.distribute)
    if not outliers:
        return EVEN
    return Spread(ordered=True, labels=setting.failover_priority, failover=setting.failover)


class Asks(NamedTuple):
    """What is asked of a caller where endpoints are not alike: its locality, and labels of it; the keys sorted.

    Nothing need be: a rule may order endpoints by values of its own. Where all are alike there are no `Asks`.
    """

    place: bool = False
    labels: tuple[str, ...] = ()
    network: bool = False


NODE = Asks(labels=(HOSTNAME,))
"""What a service asks that keeps to the caller's node."""


class Caller(NamedTuple):
    """What a caller answers: NOWHERE where its locality is not asked, and labels that it has of those asked."""

    place: Locality = NOWHERE
    labels: tuple[tuple[str, str], ...] = ()
    network: str = ""


def caller(view: View) -> Caller:
    """Return all that may be asked of a proxy."""
    return Caller(view.locality, tuple(view.affinity.items()), view.network)


def answer(of: Caller, asked: Asks | None) -> Caller | None:
    """Keep of a caller what is asked of it; None where all endpoints are alike."""
    if asked is None:
        return None
    labels = tuple([pair for pair in of.labels if pair[0] in asked.labels])
    return Caller(of.place if asked.place else NOWHERE, labels, of.network if asked.network else "")


def asks_of(one: Spread) -> Asks | None:
    """Say what a spread asks of callers."""
    if not one.distribute and not one.ordered:
        return None
    # What has a value of its own does not ask for the caller's.
    keys = {label.partition("=")[0] for label in one.labels if label.count("=") != 1}
    return Asks(one.by_place, tuple(sorted(keys)))


def together(found: Iterable[Asks | None]) -> Asks | None:
    """Say what several ask."""
    asks = [one for one in found if one is not None]
    if not asks:
        return None
    return Asks(
        any(one.place for one in asks),
        tuple(sorted({key for one in asks for key in one.labels})),
        any(one.network for one in asks),
    )


@query
def asked_by_rules(q: Db, namespace: str) -> Asks | None:
    """Say what the DestinationRules of a namespace may ask of callers, whatever their hosts."""
    return together(
        [asks_of(one) for rule in destinations.placing(q, namespace) for one in _possible(q, rule)]
    )


def _possible(q: Db, rule: Rule) -> Iterator[Spread]:
    """List the spreads that a rule brings about, whatever the ports of its services."""
    wholes = _pairs(rule.policy)
    pairs = {*wholes}
    for subset in rule.subsets:
        own, *ports = _pairs(subset.traffic_policy)
        pairs.update((own[0] or whole[0], own[1] or whole[1]) for whole in wholes)
        pairs.update(ports)
    placed = [
        (balancer, outliers)
        for balancer, outliers in pairs
        if outliers or (balancer is not None and balancer.locality_lb_setting is not None)
    ]
    if placed:
        mesh = settings.LOCALITY.read(q)
        for balancer, outliers in placed:
            yield spread(balancer, mesh, outliers=outliers)


def _pairs(policy: TrafficPolicy | None) -> list[tuple[LoadBalancerSettings | None, bool]]:
    """List (balancer, whether there is outlier detection) of a policy, and of each of its ports."""
    parts: tuple[TrafficPolicy | PortTrafficPolicy, ...] = (
        (TrafficPolicy(),) if policy is None else (policy, *policy.port_level_settings)
    )
    return [(part.load_balancer, part.outlier_detection is not None) for part in parts]


class AskedByServices(NamedTuple):
    """What services ask whatever rules say, and whether proxies find the endpoints of some by name."""

    asks: Asks | None
    by_name: bool


@query
def asked_by_services(q: Db, namespace: str) -> AskedByServices:
    """Say what the services of a namespace ask of callers."""
    found = services_in(q, namespace)
    mesh = spread(None, settings.LOCALITY.read(q), outliers=False)
    preferred = [Asks(labels=CLOSENESS[one]) for one in {one.distribution for one in found}]
    local = NODE if any(one.node_local for one in found) else None
    asks = together([asks_of(mesh), local, *(one for one in preferred if one.labels)])
    return AskedByServices(asks, any(one.resolution is Resolution.DNS for one in found))


@query
def asked(q: Db, namespace: str, rules: tuple[tuple[str, str], ...]) -> Asks | None:
    """Say what the services of a namespace ask of callers whose lens has these choices of rules."""
    chosen = {choice.partition("/")[0] for _host, choice in rules} - {destinations.NONE}
    places = dict.fromkeys((namespace, settings.ROOT_NAMESPACE.read(q), *sorted(chosen)))
    rules_ask = [asked_by_rules(q, place) for place in places]
    return together([asked_by_services(q, namespace).asks, *rules_ask, asked_by_networks(q)])


def asked_by_networks(q: Db) -> Asks | None:
    """Say what all services ask where there are several networks."""
    return None if networks(q) is None else Asks(network=True)


def asked_by_name(q: Db, namespace: str, rules: tuple[tuple[str, str], ...]) -> Asks | None:
    """Say what those services ask whose endpoints stand in their clusters: those found by name."""
    asks = asked(q, namespace, rules)
    # Labels order none of these endpoints, as in Istio.
    if asks is None or not (asks.place or asks.network) or not asked_by_services(q, namespace).by_name:
        return None
    return Asks(place=asks.place, network=asks.network)


@query
def label_keys(q: Db) -> tuple[str, ...]:
    """List the labels of callers by which some service orders its endpoints, sorted."""
    namespaces = service_namespaces(q)
    found = [asked_by_services(q, namespace).asks for namespace in namespaces]
    places = dict.fromkeys((*q.namespaces(facts.DESTINATION_RULES), *namespaces))
    found.extend(asked_by_rules(q, namespace) for namespace in places)
    asks = together(found)
    return () if asks is None else asks.labels
