"""Rules for a host that requests from a gateway do not meet: IST0140."""

from __future__ import annotations

from meltemi.api.kind import Object
from meltemi.api.networking import VirtualService
from meltemi.galley.analyze.codes import INGRESS_IGNORES_ROUTES
from meltemi.galley.analyze.reading import every, full, tell
from meltemi.model import facts, settings
from meltemi.model.gateways import MESH, gateway_name
from meltemi.model.hosts import complete
from meltemi.query import Db, query

Found = Object[VirtualService]


@query
def check(q: Db) -> None:
    """Tell of routes from a gateway to a host whose subsets another VirtualService chooses for sidecars only."""
    choosing = _choosing(q)
    if not choosing:
        return
    domain = settings.CLUSTER_DOMAIN.read(q)
    for made in every(q, facts.VIRTUAL_SERVICES):
        if not _gateways(made):
            continue
        for number, http in enumerate(made.spec.http):
            for index, one in enumerate(http.route):
                to = one.destination
                if to is None or to.subset:
                    continue
                host = complete(to.host, made.namespace, domain)
                for other, name, gateways in choosing:
                    if other == host and name != full(made) and not _gateways(made) & set(gateways):
                        at = ("spec", "http", number, "route", index, "destination", "host")
                        message = f'requests from the gateway to "{to.host}" do not meet the rules of {name}'
                        tell(q, INGRESS_IGNORES_ROUTES, made, at, message, "name the subset here")


def _gateways(made: Found) -> set[str]:
    return {gateway_name(one, made.namespace) for one in made.spec.gateways if one != MESH}


@query
def _choosing(q: Db) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """List (host, VirtualService, its gateways) where one chooses a subset of its own host."""
    domain = settings.CLUSTER_DOMAIN.read(q)
    found: dict[tuple[str, str, tuple[str, ...]], None] = {}
    for made in every(q, facts.VIRTUAL_SERVICES):
        hosts = {complete(host, made.namespace, domain) for host in made.spec.hosts}
        for http in made.spec.http:
            for one in http.route:
                if one.destination is None or not one.destination.subset:
                    continue
                host = complete(one.destination.host, made.namespace, domain)
                if host in hosts:
                    found[host, full(made), tuple(sorted(_gateways(made)))] = None
    return tuple(found)
