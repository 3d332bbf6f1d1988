"""Where a View stands: by what its roots are picked, looked up once and not in every push of anything.

Much is asked of a View that nearly always is answered as for all others. Whatever changes, this hardly ever does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.model import credentialed, destinations, envoy_filters, gatewayed, localities, routing, sidecars
from meltemi.model.localities import Asks, Caller
from meltemi.model.routing import Source
from meltemi.model.scope import Lenses, known_to, lenses, selected
from meltemi.model.sidecars import Key, Opening
from meltemi.model.views import ProxyType, View
from meltemi.pilot.core import inbound, outbound
from meltemi.pilot.core.origination import NOBODY
from meltemi.pilot.core.resource import Segments
from meltemi.query import Db, query


@dataclass(frozen=True, slots=True)
class Standing:
    """By what the roots of a View are picked."""

    seen: Lenses
    """How it sees services, for clusters."""
    caller: Caller | None
    """What services ask of it (`localities`); None where all endpoints are alike."""
    asker: str
    """Who asks for DestinationRules."""
    source: Source
    """What routes ask of it."""
    sidecar: bool
    """A Sidecar says something of it."""
    openings: tuple[Opening, ...]
    """A sidecar's egress listeners."""
    unknown: str
    """The cluster for what the mesh does not know; "" is as the mesh has it."""
    to_app: Segments
    """The clusters that lead to a sidecar's app."""
    keeper: str
    """A gateway's namespace; NOBODY for sidecars, and where gateways reach all as sidecars do."""
    keeps: bool
    """It may hold secrets for TLS towards services."""
    changed: bool
    """It was told how to be, or there are EnvoyFilters in its reach."""


@query
def standing(q: Db, view: View) -> Standing:
    """Say where a View stands that is no gRPC client's."""
    # Gateways have no Sidecar.
    router = view.type is ProxyType.ROUTER
    key = None if router else sidecars.chosen(q, view.namespace, view.labels)
    who = destinations.asker(q, view.namespace, view.labels)
    seen = _seen(q, key, view.namespace, who)
    keeper = view.namespace if router and gatewayed.some(q) else NOBODY
    opened = sidecars.WHOLE if key is None else sidecars.outgoing(q, key, view.namespace)
    return Standing(
        seen=seen,
        caller=caller_of(q, view, seen),
        asker=who,
        source=source_of(q, view),
        sidecar=key is not None,
        openings=opened.openings,
        unknown="" if key is None else outbound.unknown_cluster(q, key, view.namespace),
        to_app=() if router else (inbound.clusters(q, inbound.ports_of(q, view), view.envoy_version),),
        keeper=keeper,
        keeps=bool(keeper) or (who != view.namespace and bool(credentialed.patterns(q))),
        changed=bool(view.proxy_config) or envoy_filters.any_for(q, view.namespace),
    )


def _seen(q: Db, key: Key | None, client: str, who: str) -> Lenses:
    seen = lenses(q, client) if key is None else known_to(q, client, sidecars.outgoing(q, key, client))
    return seen if who == client else selected(q, seen, who)


def caller_of(q: Db, view: View, seen: Lenses) -> Caller | None:
    """Keep of a View what the services ask of it that it sees so."""
    return localities.answer(localities.caller(view), _asked(q, seen))


@query
def _asked(q: Db, seen: Lenses) -> Asks | None:
    """Say what all services that clients with these lenses see ask of them."""
    return localities.together(
        localities.asked(q, namespace, seen.through(namespace).rules) for namespace in seen.namespaces
    )


def source_of(q: Db, view: View) -> Source:
    """Keep of a View what routes ask of the calling workload."""
    found = routing.project(routing.all_asks(q), view.namespace, view.labels)
    who = destinations.asker(q, view.namespace, view.labels)
    return found if who == view.namespace else replace(found, asker=who)
