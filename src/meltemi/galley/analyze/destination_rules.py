"""DestinationRules for hosts that nobody has (IST0174), and subsets without workloads (IST0173)."""

from __future__ import annotations

from meltemi.api.kind import Object
from meltemi.api.networking import DestinationRule
from meltemi.api.values import Map
from meltemi.galley.analyze.codes import SUBSET_WITHOUT_PODS, UNKNOWN_RULE_HOST
from meltemi.galley.analyze.reading import keys, pairs, tell
from meltemi.galley.analyze.service_lookup import found_service
from meltemi.galley.analyze.workloads import Workload, all_workloads_known, selected
from meltemi.model import facts, settings
from meltemi.model.hosts import complete, covers, is_pattern
from meltemi.model.services import Service, hosts_in, service_namespaces
from meltemi.query import Db, query

HOSTNAME = "kubernetes.io/hostname"
FROM_NODE = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
"""Labels that endpoints have by the node they are on."""


@query
def check(q: Db) -> None:
    """Look at the host and the subsets of every DestinationRule."""
    for namespace, name in keys(q, facts.DESTINATION_RULES):
        _of_one(q, namespace, name)


@query
def _of_one(q: Db, namespace: str, name: str) -> None:
    made = q.fact(facts.DESTINATION_RULES, namespace, name)
    if made is None or not made.spec.host:
        return
    if is_pattern(made.spec.host):
        if not _some_host(q, complete(made.spec.host, namespace, settings.CLUSTER_DOMAIN.read(q))):
            _unknown(q, made)
        return
    found = found_service(q, made.spec.host, namespace, made.spec.export_to)
    if found is None:
        _unknown(q, made)
    else:
        _subsets(q, made, found)


def _unknown(q: Db, made: Object[DestinationRule]) -> None:
    message = f'no service has the host "{made.spec.host}", so the rule holds for nothing'
    tell(q, UNKNOWN_RULE_HOST, made, ("spec", "host"), message)


@query
def _some_host(q: Db, pattern: str) -> bool:
    return any(covers(pattern, host) for place in service_namespaces(q) for host in hosts_in(q, place))


def _subsets(q: Db, made: Object[DestinationRule], found: Service) -> None:
    if not found.selector or not all_workloads_known(q, found.namespace):
        # Endpoints made by hand have labels of their own, which are not looked at here.
        return
    behind = selected(q, found.namespace, found.selector)
    for index, subset in enumerate(made.spec.subsets):
        if not any(_labels(q, one, subset.labels).contains_all(subset.labels) for one in behind):
            message = f"no workload of {found.host} has the labels {pairs(subset.labels)}"
            at = ("spec", "subsets", index, "labels") if subset.labels else ("spec", "subsets", index)
            tell(q, SUBSET_WITHOUT_PODS, made, at, message, _others(behind, subset.labels))


def _labels(q: Db, one: Workload, wanted: Map[str]) -> Map[str]:
    """Give a workload's labels, with those of its node where the subset asks for them."""
    node = one.spec.node_name if one.spec is not None else ""
    if not node or not any(key in wanted for key in (*FROM_NODE, HOSTNAME)):
        return one.labels
    place = q.fact(facts.NODES, "", node)
    more = {key: place.labels[key] for key in FROM_NODE if key in place.labels} if place is not None else {}
    return Map({**one.labels, **more, HOSTNAME: node})


def _others(behind: tuple[Workload, ...], wanted: Map[str]) -> str:
    for key in wanted:
        values = sorted({one.labels[key] for one in behind if key in one.labels})
        if values:
            return f"its workloads have {key}: {', '.join(values)}"
    return ""
