"""Gateways: routes of a proxy at the edge of the mesh, from Gateway servers and the VirtualServices behind them."""

from __future__ import annotations

from dataclasses import replace

from meltemi.api.networking.gateway import Server
from meltemi.api.values import Map
from meltemi.envoy.routes import Direct, Route, VirtualHost, encode_route_head, encode_virtual_host
from meltemi.model import settings
from meltemi.model.destinations import namespace_of
from meltemi.model.gateways import Bound
from meltemi.model.hosts import closeness, complete
from meltemi.model.isolation import isolated
from meltemi.model.routing import Head, gateway_routing
from meltemi.pilot.core import edge_tls, specified
from meltemi.pilot.core.edge import Named, Opened, joint, listener, opened
from meltemi.pilot.core.findings import origin, routed_by
from meltemi.pilot.core.http_matches import Place, catches_all
from meltemi.pilot.core.http_routes import routes_of
from meltemi.pilot.core.quarantine import settle_rope
from meltemi.pilot.core.resource import Origin, Resource, Rope, rope, segment, virtual_host
from meltemi.query import Db, query


@query
def ropes(q: Db, asker: str, labels: Map[str], named: Named, envoy: str) -> tuple[Rope, ...]:
    """List the route configurations of a gateway, by its `destinations.asker`."""
    namespace = namespace_of(asker)
    wanted: dict[str, tuple[Opened, tuple[str, ...]]] = {}
    for one in opened(q, namespace, labels, named):
        if one.form == "http":
            wanted[one.route] = (one, _unasked(q, one, asker, envoy))
        for server in one.servers if one.form == "tls" else ():
            if edge_tls.speaks_http(server.server) and edge_tls.ended(q, server, namespace) is not None:
                alone = Opened(one.port, one.form, (server,))
                wanted.setdefault(edge_tls.route_name(server), (alone, _unasked(q, one, asker, envoy)))
    made = [gateway_rope(q, name, one, unasked, asker, envoy) for name, (one, unasked) in wanted.items()]
    return tuple(one for one in made if one is not None)


def _unasked(q: Db, wanted: Opened, asker: str, envoy: str) -> tuple[str, ...]:
    """Name the filters that routes of a port turn on, and that its listener has not: nearly always none.

    Where Envoy refused the listener, the one from before is in force; a route that turns on what is not there is not
    asked for.
    """
    needs = specified.at_gateways(q, (one.gateway for one in wanted.servers))
    if not needs.asked:
        return ()
    made = isolated(q, listener, wanted, asker, envoy)
    return tuple(one.name for one in needs.asked if made is not None and one.name.encode() not in made.entry)


@query
def gateway_rope(
    q: Db, name: str, wanted: Opened, unasked: tuple[str, ...], asker: str, envoy: str
) -> Rope | None:
    """Make the routes of one HTTP port, or of one HTTPS server.

    They are for the hosts of servers that VirtualServices speak of; all else is 404. Those that ask by an `unasked`
    filter answer with an error.
    """
    listed = [
        isolated(q, gateway_host, domain, number, uses, redirect, unasked, asker)
        for domain, number, uses, redirect in domains(q, wanted)
    ]
    found = [one for one in listed if one is not None]
    if not found:
        empty = VirtualHost(f"blackhole:{wanted.port}", ("*",), ())
        found = [virtual_host(empty.name, encode_virtual_host(empty))]
    head = encode_route_head(name, ignore_port=True)
    origins = [origin(one.origin, one.path()) for one in wanted.servers]
    return settle_rope(q, rope(name, head, (segment(("gateway",), found),), origins), envoy)


Use = tuple[str, str, str]
"""Gateway, and namespace and name of a VirtualService that routes a host behind it."""
Domain = tuple[str, int, tuple[Use, ...], bool]
"""A host, the port that servers name, who routes it (oldest first), whether it redirects to HTTPS."""


@query
def domains(q: Db, wanted: Opened) -> tuple[Domain, ...]:
    """List the hosts of a port, each once."""
    uses: dict[str, dict[Use, None]] = {}
    ports: dict[str, int] = {}
    redirects: dict[str, bool] = {}
    heads: list[tuple[Bound, Head]] = sorted(
        ((one, head) for one in wanted.servers for head in gateway_routing(q, one.gateway)),
        key=lambda pair: (pair[1].created, pair[1].namespace, pair[1].name),
    )
    for one, head in heads:
        for host in head.hosts:
            for text in one.server.hosts:
                domain = joint(one, head, host, text)
                if domain is None:
                    continue
                uses.setdefault(domain, {})[(one.gateway, *head.key)] = None
                ports.setdefault(domain, one.number)
                redirects[domain] = redirects.get(domain, False) or _redirects(one.server)
    for one in wanted.servers:
        if _redirects(one.server):
            for text in one.server.hosts:
                domain = _server_host(q, one, text)
                uses.setdefault(domain, {})
                ports.setdefault(domain, one.number)
                redirects[domain] = True
    return tuple(
        (domain, ports[domain], tuple(uses[domain]), redirects.get(domain, False))
        for domain in sorted(uses, key=closeness)
    )


def _redirects(server: Server) -> bool:
    return server.tls is not None and server.tls.https_redirect


def _server_host(q: Db, one: Bound, text: str) -> str:
    namespace = one.gateway.partition("/")[0]
    return complete(text.rpartition("/")[2], namespace, settings.CLUSTER_DOMAIN.read(q))


@query
def gateway_host(
    q: Db,
    domain: str,
    number: int,
    uses: tuple[Use, ...],
    redirect: bool,
    unasked: tuple[str, ...],
    asker: str,
) -> Resource | None:
    """Translate one host behind a gateway: the routes of all its VirtualServices, those that catch all last."""
    # Behind two Gateways of one port the same routes are there once.
    found: dict[Route, None] = {}
    origins: dict[Origin, None] = {}
    for gateway, where, name in uses:
        place = Place(number, gateway=gateway, client=asker)
        for route in routes_of(q, (where, name), place):
            found[replace(route, action=Direct(500), asked="") if route.asked in unasked else route] = None
        origins.update(dict.fromkeys(routed_by(q, where, name)))
    if not found and not redirect:
        return None
    ordered = (
        *(route for route in found if not catches_all(route.match)),
        *(route for route in found if catches_all(route.match)),
    )
    label = f"{domain}:{number}"
    made = VirtualHost(label, (domain,), ordered, require_tls=redirect)
    return virtual_host(label, encode_virtual_host(made), tuple(origins))
