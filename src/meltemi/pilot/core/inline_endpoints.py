"""Endpoints that stand in their cluster itself, to be found by name."""

from __future__ import annotations

from dataclasses import replace

from meltemi.api.networking.destination_rule import TrafficPolicy
from meltemi.envoy import names
from meltemi.envoy.endpoints import Assignment, Group, LoadEndpoint
from meltemi.model.endpoints import Backend, backends
from meltemi.model.localities import Caller, Spread
from meltemi.model.networks import networks
from meltemi.model.services import Port, Resolution
from meltemi.pilot.core.client_tls import all_mutual_by
from meltemi.pilot.core.shared import Shared
from meltemi.pilot.core.split_horizon import reached
from meltemi.pilot.core.spreading import grouped
from meltemi.query import Db


def by_name(q: Db, shared: Shared, port: Port, subset: str, policy: TrafficPolicy, how: Spread) -> Assignment:
    """Write the endpoints of a DNS cluster into it: those declared or selected, else the service's own name."""
    found = shared.service
    listed = backends(q, found.namespace, found.host, port.number)
    if found.alias:
        target = port.target if isinstance(port.target, int) else port.number
        listed = (Backend(found.alias, target),)
    elif not listed and not found.selector:
        target = port.target if isinstance(port.target, int) else port.number
        listed = (Backend(found.host, target),)
    if found.resolution is Resolution.DNS_ONE:
        listed = listed[:1]
    name = names.outbound_cluster(found.host, port.number, subset)
    known = networks(q) if shared.caller is not None and shared.caller.network else None
    if known is not None and shared.caller is not None:
        mutual = all_mutual_by(policy, found, auto=shared.mesh.auto_mtls)
        listed = reached(listed, known, shared.caller.network, mutual=mutual)
    # Labels order none of these, as in Istio.
    spread = None if how.labels and not how.failover else replace(how, labels=())
    return Assignment(name, groups(listed, spread, shared.caller))


def groups(
    listed: tuple[Backend, ...], how: Spread | None = None, caller: Caller | None = None
) -> tuple[Group, ...]:
    """Group endpoints as `grouped` does."""
    return tuple(
        [
            Group(one.place, tuple(map(_endpoint, one.members)), one.priority, one.weight)
            for one in grouped(listed, lambda backend: backend, how, caller)
        ]
    )


def _endpoint(one: Backend) -> LoadEndpoint:
    return LoadEndpoint(one.address, one.port, one.mtls, one.metadata, one.weight, one.healthy)
