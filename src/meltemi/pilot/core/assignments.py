"""Load assignments: the endpoints of every EDS cluster."""

from __future__ import annotations

from meltemi.envoy import names
from meltemi.envoy.clusters import Discovery
from meltemi.envoy.endpoints import encode_endpoint, encode_place, join_assignment, join_group
from meltemi.model import credentialed, destinations
from meltemi.model.destinations import Rule
from meltemi.model.endpoints import Backend, backends_of
from meltemi.model.scope import Lens, hosts_through
from meltemi.model.services import service
from meltemi.model.views import Locality
from meltemi.pilot.core import traffic_policy
from meltemi.pilot.core.clusters import discovery_of, subsets
from meltemi.pilot.core.findings import origin
from meltemi.pilot.core.origination import NOBODY
from meltemi.pilot.core.quarantine import apart, isolated, refused, settle
from meltemi.pilot.core.resource import EDS, Origin, Resource, Segment, segment
from meltemi.query import Db, query


@query
def segment_of(q: Db, namespace: str, lens: Lens, envoy: str, keeper: str) -> Segment:
    """List the load assignments of a namespace's services, as clients with this lens see them.

    `keeper` is as in `clusters.segment_of`.
    """
    listed: list[Resource] = []
    choices = dict(lens.rules)
    kept = credentialed.hosts(q, namespace) if keeper else ()
    ports = dict(lens.only or ())
    for host in hosts_through(q, namespace, lens):
        choice = choices.get(host, destinations.DEFAULT)
        by = keeper if host in kept else NOBODY
        made = isolated(q, load_assignments, namespace, host, choice, envoy, by) or ()
        wanted = ports.get(host)
        listed.extend([one for one in made if names.port_of(one.name) in wanted] if wanted else made)
    return segment(("ns", namespace), listed)


@query
def load_assignments(
    q: Db, namespace: str, host: str, choice: str, envoy: str, keeper: str
) -> tuple[Resource, ...]:
    """Translate a service's endpoints: those of each of its ports, and of each subset those that bear its labels.

    Left out are clusters whose endpoints the proxy finds by itself.
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
        usual = discovery_of(q, found, whole, keeper)
        ready = apart(q, host, _encoded, listed.get(port.number, ()))
        if ready is None:
            # A fault of ours is no news that there are no endpoints.
            continue
        for subset in subsets(rule):
            policy = traffic_policy.of_subset(whole, rule, port.number, subset)
            how = usual if policy is whole else discovery_of(q, found, policy, keeper)
            if how is Discovery.EDS:
                name = names.outbound_cluster(host, port.number, subset)
                chosen = _of_subset(ready, rule, subset)
                made.append(apart(q, name, _resource, name, chosen, origins, envoy, keys))
    return tuple([one for one in made if one is not None])


Ready = tuple[Backend, bytes]
"""An endpoint, and what it is in a load assignment: the same in that of the service and those of its subsets."""


def _encoded(_q: Db, listed: tuple[Backend, ...]) -> tuple[Ready, ...]:
    return tuple(
        [(one, encode_endpoint(one.address, one.port, one.mtls, one.metadata, one.weight)) for one in listed]
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
    origins: tuple[Origin, ...],
    envoy: str,
    keys: tuple[str, ...],
) -> Resource | None:
    groups: dict[Locality, list[bytes]] = {}
    weights: dict[Locality, int] = {}
    for one, encoded in listed:
        place = one.place
        groups.setdefault(place, []).append(encoded)
        weights[place] = weights.get(place, 0) + one.weight
    joined = [join_group(encode_place(place), groups[place], weights[place]) for place in sorted(groups)]
    return settle(q, EDS, name, join_assignment(name, joined), origins, envoy, keys)
