"""Load assignments: the endpoints of every EDS cluster."""

from __future__ import annotations

from meltemi.envoy import names
from meltemi.envoy.clusters import Discovery
from meltemi.envoy.endpoints import Assignment, encode_assignment
from meltemi.model import destinations
from meltemi.model.destinations import Rule
from meltemi.model.endpoints import Backend, backends_of
from meltemi.model.scope import Lens
from meltemi.model.services import Service, hosts_in, service
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.clusters import discovery_of, groups, subsets
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.quarantine import apart, isolated, settle
from meltemi.pilot.core.resource import EDS, Origin, Resource, Segment, segment
from meltemi.query import Db, query


@query
def segment_of(q: Db, namespace: str, lens: Lens, envoy: str) -> Segment:
    """List the load assignments of a namespace's services, as clients with this lens see them."""
    listed: list[Resource] = []
    choices = dict(lens.rules)
    for host in hosts_in(q, namespace):
        if host not in lens.hidden:
            choice = choices.get(host, destinations.DEFAULT)
            listed.extend(isolated(q, load_assignments, namespace, host, choice, envoy) or ())
    return segment(("ns", namespace), listed)


@query
def load_assignments(q: Db, namespace: str, host: str, choice: str, envoy: str) -> tuple[Resource, ...]:
    """Translate a service's endpoints: those of each of its ports, and of each subset those that bear its labels.

    Left out are clusters whose endpoints the proxy finds by itself.
    """
    found = service(q, namespace, host)
    if found is None:
        return ()
    rule = destinations.rule(q, namespace, host, choice)
    origins = tuple([origin(ref) for ref in found.origins])
    listed = dict(backends_of(q, namespace, host))
    made = [
        apart(
            q,
            names.outbound_cluster(host, port.number, subset),
            _resource,
            found,
            rule,
            port.number,
            subset,
            listed.get(port.number, ()),
            origins,
            envoy,
        )
        for port in found.ports
        for subset in subsets(rule)
    ]
    return tuple([one for one in made if one is not None])


def _resource(
    q: Db,
    found: Service,
    rule: Rule | None,
    port: int,
    subset: str,
    listed: tuple[Backend, ...],
    origins: tuple[Origin, ...],
    envoy: str,
) -> Resource | None:
    policy = traffic_policy.effective(rule, port, subset)
    if discovery_of(found, policy) is not Discovery.EDS:
        return None
    chosen = rule.subset(subset) if rule is not None and subset else None
    if chosen is not None:
        listed = tuple([one for one in listed if one.labels.contains_all(chosen.labels)])
    name = names.outbound_cluster(found.host, port, subset)
    return settle(q, EDS, name, encode_assignment(Assignment(name, groups(listed))), origins, envoy)
