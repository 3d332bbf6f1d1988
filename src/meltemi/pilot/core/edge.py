"""Gateways: what a proxy at the edge of the mesh opens, by the servers of Gateways: its listeners and secrets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.duration import seconds
from meltemi.api.networking.gateway import ServerTLSMode
from meltemi.api.values import Map
from meltemi.envoy import names
from meltemi.envoy.edge_sockets import Clients
from meltemi.envoy.filters import CORS, FAULT, GRPC_WEB
from meltemi.envoy.listeners import (
    TLS,
    Certificates,
    Chain,
    ChainMatch,
    Direction,
    HttpChain,
    Listener,
    TcpChain,
    encode_listener,
)
from meltemi.model import settings
from meltemi.model.destinations import namespace_of
from meltemi.model.gateways import Bound, servers
from meltemi.model.hosts import overlap
from meltemi.model.isolation import isolated
from meltemi.model.routing import Head, gateway_routing
from meltemi.pilot.core import edge_auto, edge_tls, listening, specified
from meltemi.pilot.core.findings import PORT_CONFLICT, SERVER_CLOSED, origin
from meltemi.pilot.core.http_matches import Place
from meltemi.pilot.core.l4 import Asked, distinct, mongo, tcp_chains, tls_chains
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import LDS, Origin, Resource, Segment, segment
from meltemi.query import Db, query

HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")
PASSED = (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)
BYTES = ("TCP", "MONGO", "REDIS", "MYSQL")
SERVER_NAME = "istio-envoy"
Named = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a gateway proxy opens on one port of its pod, on all addresses, on one, or as a unix socket (port 0)."""

    port: int
    form: str
    """`http`, `tcp` or `tls` (ended or passed through): what the first server on the port asks for."""
    servers: tuple[Bound, ...]
    """Those that end TLS are among them even where they must stay closed: the names they asked for are theirs."""
    bind: str = ""

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.bind or names.ANY_ADDRESS

    @property
    def route(self) -> str:
        """The name of its routes, if it speaks plain HTTP."""
        return names.gateway_route(self.port, self.bind)


@query
def opened(q: Db, namespace: str, labels: Map[str], named: Named) -> tuple[Opened, ...]:
    """List what a gateway opens, by port. A server that cannot be opened as asked stays closed, and is told."""
    found: dict[tuple[int, str], list[Bound]] = {}
    forms: dict[tuple[int, str], str] = {}
    for one in servers(q, namespace, labels, named):
        form = _form(q, one)
        if not form:
            continue
        place = (one.port, one.bind)
        if forms.setdefault(place, form) != form:
            where = f"port {one.port}{one.bind and f' of {one.bind}'}"
            text = f"{where} is opened for {forms[place]} already"
            q.report(Diagnostic(PORT_CONFLICT, text, one.origin, one.path("port")))
            continue
        found.setdefault(place, []).append(one)
    return tuple(
        Opened(port, forms[port, bind], tuple(found[port, bind]), bind) for port, bind in sorted(found)
    )


def _form(q: Db, one: Bound) -> str:
    """Say how a server is opened; "" where it is not."""
    server = one.server
    protocol = server.port.protocol.upper() if server.port is not None else ""
    mode = server.tls.mode if server.tls is not None else None
    # The mode of a server that only redirects is not set, which reads as this.
    if protocol in HTTP and mode in (None, ServerTLSMode.PASSTHROUGH):
        return "http"
    if protocol in BYTES and mode is None:
        return "tcp"
    if protocol in ("TLS", "HTTPS") and (mode in PASSED or edge_tls.ends(server)):
        return "tls"
    text = f"{protocol} with TLS {mode.name if mode is not None else 'unset'} is not opened"
    q.report(Diagnostic(SERVER_CLOSED, text, one.origin, one.path("tls")))
    return ""


# Listeners.


@query
def listeners(q: Db, asker: str, labels: Map[str], named: Named, envoy: str) -> Segment:
    """List the listeners of a gateway, by its `destinations.asker`."""
    found = opened(q, namespace_of(asker), labels, named)
    made = [isolated(q, listener, one, asker, envoy) for one in found]
    return segment(("gateway",), [one for one in made if one is not None])


@query
def listener(q: Db, wanted: Opened, asker: str, envoy: str) -> Resource | None:
    """Translate one port of a gateway; one that has no chain is not opened."""
    name = names.listener(wanted.address, wanted.port)
    if wanted.form == "http":
        web = any(_speaks(one, "GRPC-WEB") for one in wanted.servers)
        needs = specified.at_gateways(q, (one.gateway for one in wanted.servers))
        chains: tuple[Chain, ...] = (Chain(name, needs.fit(_http(name, wanted.route, web=web))),)
    elif wanted.form == "tls":
        chains = _tls_chains(q, wanted, asker)
    else:
        asked: Asked = set()
        chains = tuple(
            chain
            for one in wanted.servers
            for chain in distinct(_byte_chains(q, one, asker, tls=False), asked)
        )
    if not chains:
        return None
    made = Listener(
        name=name,
        address=wanted.address,
        port=wanted.port,
        direction=Direction.OUTBOUND,
        chains=chains,
        inspect_tls=wanted.form == "tls",
        detection_timeout=seconds(settings.PROTOCOL_DETECTION_TIMEOUT.read(q)),
        paths=listening.paths(q),
    )
    origins = [origin(one.origin, one.path()) for one in wanted.servers]
    return settle(q, LDS, name, encode_listener(made), origins, envoy)


def _speaks(one: Bound, protocol: str) -> bool:
    return one.server.port is not None and one.server.port.protocol.upper() == protocol


def _http(listener_name: str, route: str, *, web: bool = False) -> HttpChain:
    return HttpChain(
        stat_prefix=f"outbound_{listener_name}",
        rds=route,
        certificates=Certificates.SANITIZE_SET,
        server_name=SERVER_NAME,
        edge=True,
        http_filters=frozenset({CORS, GRPC_WEB, FAULT} if web else {CORS, FAULT}),
    )


def _byte_chains(q: Db, one: Bound, asker: str, *, tls: bool) -> tuple[Chain, ...]:
    """Make the chains of a server by the `tcp` routes behind it; with `tls` by its `tls` routes, passed through."""
    found: list[Chain] = []
    number = one.number
    for head in gateway_routing(q, one.gateway):
        if not any(joint(one, head, host, text) for host in head.hosts for text in one.server.hosts):
            continue
        place = Place(number, gateway=one.gateway, client=asker)
        if tls:
            found.extend(tls_chains(q, head.key, place, "", ()))
        else:
            found.extend(tcp_chains(q, head.key, place, "", ""))
    return mongo(found) if _speaks(one, "MONGO") else tuple(found)


def _tls_chains(q: Db, wanted: Opened, asker: str) -> tuple[Chain, ...]:
    """Make the chains of a TLS port, told apart by the name that clients ask for; none if all would be closed."""
    found: list[Chain] = []
    routed = False
    asked: Asked = set()
    for one in wanted.servers:
        if edge_auto.is_auto(one.server):
            found.extend(distinct(edge_auto.chains(q, edge_auto.patterns(one), namespace_of(asker)), asked))
            continue
        if not edge_tls.ends(one.server):
            passed = distinct(_byte_chains(q, one, asker, tls=True), asked)
            # A route to nowhere is a route: who asks for its name is let in, and let go.
            routed = routed or bool(passed)
            found.extend(passed)
            continue
        named = edge_tls.server_names(one.server)
        taken = [name or "all names" for name in named or ("",) if ("", name) in asked]
        if taken:
            text = f"port {one.port} is open for {', '.join(taken)} already, by another server"
            q.report(Diagnostic(PORT_CONFLICT, text, one.origin, one.path("hosts")))
        found.extend(distinct(_ended_chains(q, one, named, asker), asked))
    return tuple(found) if routed or any(_opens(chain) for chain in found) else ()


def _ended_chains(q: Db, one: Bound, named: tuple[str, ...], asker: str) -> tuple[Chain, ...]:
    """Make the chains of a server that ends TLS.

    One that is closed, or that no route is behind, keeps its names, and resets who asks for them.
    """
    name = edge_tls.route_name(one)
    match = ChainMatch(transport=TLS, server_names=named)
    kept = (Chain(name, TcpChain(names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)), match),)
    ended = edge_tls.ended(q, one, namespace_of(asker))
    if ended is None:
        return kept
    if edge_tls.speaks_http(one.server):
        handler = _http(names.listener(one.bind or names.ANY_ADDRESS, one.port), name)
        if ended.socket.clients is Clients.UNVERIFIED:
            # What a certificate says that nobody verified is not told as if somebody had.
            handler = replace(handler, certificates=Certificates.SANITIZE)
        needs = specified.at_gateways(q, (one.gateway,))
        return (Chain(name, needs.fit(handler), match, ended.socket),)
    routed = tuple(
        Chain(each.name, each.handler, replace(match, addresses=each.match.addresses), ended.socket)
        for each in _byte_chains(q, one, asker, tls=False)
    )
    # What takes some addresses only leaves the others of these names to nobody.
    return routed if any(not each.match.addresses for each in routed) else (*routed, *kept)


def _opens(chain: Chain) -> bool:
    return isinstance(chain.handler, HttpChain) or chain.handler.stat_prefix != names.BLACK_HOLE


def joint(one: Bound, head: Head, host: str, text: str) -> str | None:
    """Return the host that a server (`namespace/host` or `host`) and a VirtualService both mean, or None."""
    place, slash, pattern = text.rpartition("/")
    if slash:
        own = one.gateway.partition("/")[0]
        if place not in ("*", head.namespace) and not (place == "." and head.namespace == own):
            return None
    return overlap(pattern.lower(), host)


@query
def auto_patterns(q: Db, namespace: str, labels: Map[str], named: Named) -> tuple[str, ...]:
    """List the hosts whose services a gateway passes connections on to by their SNI alone."""
    found = [
        pattern
        for wanted in opened(q, namespace, labels, named)
        for one in (wanted.servers if wanted.form == "tls" else ())
        if edge_auto.is_auto(one.server)
        for pattern in edge_auto.patterns(one)
    ]
    return tuple(sorted(set(found)))


# Secrets.


@query
def secrets(q: Db, namespace: str, labels: Map[str], named: Named) -> Segment:
    """List the secrets that the open servers of a gateway take, each once: of a Secret, and of who names it."""
    found: dict[str, Resource] = {}
    origins: dict[str, dict[Origin, None]] = {}
    for wanted in opened(q, namespace, labels, named):
        for one in wanted.servers if wanted.form == "tls" else ():
            ended = edge_tls.ended(q, one, namespace)
            for each in ended.secrets if ended is not None else ():
                found[each.name] = each
                by = origin(one.origin, one.path("tls"))
                origins.setdefault(each.name, dict.fromkeys(each.origins))[by] = None
    made = [replace(found[name], origins=tuple(origins[name])) for name in sorted(found)]
    return segment(("gateway",), made)
