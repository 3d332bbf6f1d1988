"""Load assignments: the endpoints of every EDS cluster."""

from __future__ import annotations

from meltemi.envoy import names
from meltemi.envoy.clusters import Discovery
from meltemi.envoy.endpoints import Assignment, encode_assignment
from meltemi.model import destinations
from meltemi.model.endpoints import backends
from meltemi.model.scope import Lens
from meltemi.model.services import hosts_in, service
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.clusters import discovery_of, groups, targets
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.quarantine import isolated, settle
from meltemi.pilot.core.resource import EDS, Resource, Segment, segment
from meltemi.query import Db, query


@query
def segment_of(q: Db, namespace: str, lens: Lens, envoy: str) -> Segment:
    """List the load assignments of a namespace's services, as clients with this lens see them."""
    listed: list[Resource] = []
    choices = dict(lens.rules)
    for host in hosts_in(q, namespace):
        if host in lens.hidden:
            continue
        choice = choices.get(host, destinations.DEFAULT)
        for port, subset in targets(q, namespace, host, choice):
            made = isolated(q, load_assignment, namespace, host, port, subset, choice, envoy)
            if made is not None:
                listed.append(made)
    return segment(("ns", namespace), listed)


@query
def load_assignment(
    q: Db, namespace: str, host: str, port: int, subset: str, choice: str, envoy: str
) -> Resource | None:
    """Translate the endpoints of a service's port; of a subset, those that bear its labels.

    None where the proxy finds them by itself.
    """
    found = service(q, namespace, host)
    rule = destinations.rule(q, namespace, host, choice)
    policy = traffic_policy.effective(rule, port, subset)
    if found is None or discovery_of(found, policy) is not Discovery.EDS:
        return None
    listed = backends(q, namespace, host, port)
    chosen = rule.subset(subset) if rule is not None and subset else None
    if chosen is not None:
        listed = tuple(one for one in listed if one.labels.contains_all(chosen.labels))
    name = names.outbound_cluster(host, port, subset)
    origins = [origin(ref) for ref in found.origins]
    return settle(q, EDS, name, encode_assignment(Assignment(name, groups(listed))), origins, envoy)
