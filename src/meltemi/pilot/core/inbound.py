"""A sidecar's inbound side: one listener for all that comes in, and a cluster for every port of the app.

What a port takes is PeerAuthentication's to say: with STRICT there is no chain for plain text, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.duration import seconds
from meltemi.api.networking.destination_rule import ConnectionPoolSettings
from meltemi.api.networking.gateway import ServerTLSSettings
from meltemi.api.values import Map
from meltemi.envoy import names, sockets
from meltemi.envoy.clusters import Balancing, Cluster, Discovery, Http, Thresholds, encode_cluster
from meltemi.envoy.endpoints import Assignment, Group, LoadEndpoint
from meltemi.envoy.filters import GRPC_WEB
from meltemi.envoy.listeners import (
    HTTP_ALPN,
    RAW,
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
from meltemi.envoy.routes import Forward, Route, VirtualHost, WeightedTarget
from meltemi.envoy.sockets import MutualServer
from meltemi.model import authn, facts, settings, sidecars
from meltemi.model.authn import Mtls
from meltemi.model.gateways import pod_port
from meltemi.model.services import Protocol, entry_protocol, services_in
from meltemi.model.sidecars import Intake
from meltemi.model.views import NOWHERE, View
from meltemi.pilot.core import listening
from meltemi.pilot.core.credentials import Lacking
from meltemi.pilot.core.discovery import spoken
from meltemi.pilot.core.edge_tls import Ended
from meltemi.pilot.core.findings import INGRESS_CLOSED, INGRESS_TLS_UNUSED, PORT_CONFLICT, origin
from meltemi.pilot.core.intake import ended, limited, names_secret
from meltemi.pilot.core.l4 import mongo
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import CDS, LDS, Resource, Segment, digest, segment
from meltemi.pilot.core.stat_names import Meant, stat_name
from meltemi.pilot.core.traffic_policy import tcp_idle_timeout
from meltemi.query import Db, query

SERVER_NAME = "istio-envoy"
_TO_GRPC = frozenset({GRPC_WEB})


@dataclass(frozen=True, slots=True)
class AppPort:
    """A port of the app that some Service leads to (the oldest decides what is spoken), or that a Sidecar names.

    `endpoint` is where the app is, if that is not where the connection was going: (address, port), or (path of a Unix
    socket, 0). `bind` is the address of a listener of its own; "" is in the one for all. `at` is the Sidecar's field.
    """

    number: int
    protocol: Protocol
    host: str
    service_port: int
    origin: Ref | None = None
    endpoint: tuple[str, int] | None = None
    pool: ConnectionPoolSettings | None = None
    bind: str = ""
    tls: ServerTLSSettings | None = None
    at: str = ""
    stat: str = ""
    """Its name in statistics, where that is not the cluster's."""
    keeper: str = ""
    """The namespace whose Secrets the proxy is given for `tls`; "" where it is given none."""


def ports_of(q: Db, view: View) -> tuple[AppPort, ...]:
    """List the ports that a sidecar takes in: those that its Sidecar names, else those that Services lead to."""
    key = sidecars.chosen(q, view.namespace, view.labels)
    said = None if key is None else sidecars.incoming(q, key)
    if key is not None and said is not None and said.intakes:
        made = q.fact(facts.SIDECARS, *key)
        ref = None if made is None else made.ref
        host = f"{key[1]}.{key[0]}"
        keeper = key[0] if said.selected else ""
        return tuple(
            [
                replace(
                    _taken_in(one, index, host, ref, said.pool, view.address),
                    stat=_stat(q, one, host),
                    keeper=keeper if names_secret(one.tls) else "",
                )
                for index, one in enumerate(said.intakes)
            ]
        )
    ports = app_ports(q, view.namespace, view.labels, view.named_ports)
    if said is None or said.pool is None:
        return ports
    return tuple([replace(port, pool=said.pool) for port in ports])


def _taken_in(
    one: Intake, index: int, host: str, ref: Ref | None, pool: ConnectionPoolSettings | None, pod: str
) -> AppPort:
    endpoint = one.endpoint
    if endpoint is not None and endpoint[0] == sidecars.POD:
        endpoint = (pod, endpoint[1])
    return AppPort(
        one.number,
        entry_protocol(one.number, one.protocol),
        host,
        one.number,
        ref,
        endpoint=endpoint,
        pool=pool if one.pool is None else one.pool,
        bind="" if one.captured else one.bind or names.ANY_ADDRESS,
        tls=one.tls,
        at=f"spec.ingress[{index}]",
    )


def _stat(q: Db, one: Intake, host: str) -> str:
    return stat_name(settings.INBOUND_STAT_NAME.read(q), Meant(host, one.number, one.name, target=one.number))


@query
def app_ports(
    q: Db, namespace: str, labels: Map[str], named: tuple[tuple[str, int], ...]
) -> tuple[AppPort, ...]:
    """List the ports of a workload that Services of its namespace lead to, by number."""
    selecting = [
        found for found in services_in(q, namespace) if found.selector and labels.contains_all(found.selector)
    ]
    pattern = settings.INBOUND_STAT_NAME.read(q)
    ports: dict[int, AppPort] = {}
    for found in sorted(selecting, key=lambda one: (one.created, one.host)):
        ref = next(iter(found.origins), None)
        for port in found.ports:
            number = pod_port(port.target or port.number, named)
            if not number or port.protocol is Protocol.UDP:
                continue
            meant = Meant(found.host, port.number, port.name, found.name, found.namespace, number)
            stat = stat_name(pattern, meant)
            known = ports.setdefault(
                number, AppPort(number, port.protocol, found.host, port.number, ref, stat=stat)
            )
            if spoken(known.protocol) is not spoken(port.protocol):
                text = f"port {number} of the pods speaks {_word(known.protocol)} for {known.host}"
                q.report(Diagnostic(PORT_CONFLICT, f"{text}, {_word(port.protocol)} for {found.host}", ref))
    return tuple(ports[number] for number in sorted(ports))


def _word(protocol: Protocol) -> str:
    return protocol.value or "whatever is found out"


# Clusters.


@query
def clusters(q: Db, ports: tuple[AppPort, ...], envoy: str) -> Segment:
    """List the clusters that lead to the app: to where connections were going, or to loopback if the mesh has it so."""
    local = settings.INBOUND_TRAFFIC_POLICY.read(q) == "LOCALHOST"
    listed = [
        inbound_cluster(
            q,
            port.number,
            port.protocol,
            envoy,
            (names.LOOPBACK, port.number) if local and not port.at else port.endpoint,
            port.pool,
            port.origin if port.at or port.pool else None,
            port.stat,
        )
        for port in ports
    ]
    listed.append(inbound_cluster(q, 0, Protocol.AUTO, envoy, None, None, None, ""))
    return segment(("inbound",), [one for one in listed if one is not None])


@query
def inbound_cluster(
    q: Db,
    port: int,
    protocol: Protocol,
    envoy: str,
    endpoint: tuple[str, int] | None,
    pool: ConnectionPoolSettings | None,
    said: Ref | None,
    stat: str,
) -> Resource | None:
    """Translate a port of the app; 0 is any port that no Service leads to. `said` is the Sidecar that has it so."""
    timeout = seconds(settings.CONNECT_TIMEOUT.read(q))
    name = names.inbound_cluster(port) if port else names.INBOUND_PASSTHROUGH
    made = Cluster(
        name=name,
        discovery=Discovery.ORIGINAL_DST,
        connect_timeout=timeout,
        balancing=Balancing.PROVIDED,
        thresholds=Thresholds(),
        http=Http(spoken(protocol)),
        inbound=True,
        stat_name=stat,
    )
    if endpoint is not None:
        made = made._replace(
            discovery=Discovery.STATIC,
            balancing=Balancing.ROUND_ROBIN,
            endpoints=_assignment(name, *endpoint),
            # A path has no source address.
            inbound=bool(endpoint[1]),
        )
    origins = () if said is None else (origin(said),)
    return settle(q, CDS, name, encode_cluster(limited(made, pool, timeout)), origins, envoy)


def _assignment(name: str, address: str, port: int) -> Assignment:
    if not address:
        # The pod's own, which it does not have yet.
        return Assignment(name)
    return Assignment(name, (Group(NOWHERE, (LoadEndpoint(address.removeprefix(sockets.UNIX), port),)),))


# The listener.


@query
def listener(q: Db, view: View) -> Segment:
    """Return the inbound listener of a sidecar. Refused without a predecessor, it is one that takes nothing."""
    every = tuple([port for port in ports_of(q, view) if port.bind or not _own(q, port)])
    ports = tuple([port for port in every if not port.bind])
    policy = authn.policy(q, view.namespace, view.labels)
    origins = dict.fromkeys([origin(port.origin) for port in ports if port.origin is not None])
    encoded = encode_listener(_inbound(q, ports, policy, shut=False))
    found = settle(q, LDS, names.VIRTUAL_INBOUND, encoded, origins, view.envoy_version)
    refused = found is None or found.version != digest(encoded)
    if refused and any(port.tls is not None for port in ports):
        # Its TLS files may be at fault, and what was accepted may be from before TLS was asked for.
        encoded = encode_listener(_inbound(q, ports, policy, shut=True))
        found = settle(q, LDS, names.VIRTUAL_INBOUND, encoded, origins, view.envoy_version)
    if found is None:
        # It carries policy: left out, a newly started proxy would let everything pass to the app's port by itself.
        nothing = encode_listener(_listener(q, (), (), ()))
        found = settle(q, LDS, names.VIRTUAL_INBOUND, nothing, (), view.envoy_version)
    apart = [_apart(q, port, policy, view.envoy_version) for port in every if port.bind]
    return segment(("inbound",), [one for one in (found, *apart) if one is not None])


def secrets(q: Db, view: View) -> Segment:
    """List the secrets that a sidecar takes for the TLS that it ends: each once."""
    policy = authn.policy(q, view.namespace, view.labels)
    found: dict[str, Resource] = {}
    for port in ports_of(q, view):
        if port.tls is None or not port.keeper or policy.of(port.number) is not Mtls.DISABLE:
            continue
        ends = ended(q, port.tls, port.keeper, http=port.protocol.http)
        if isinstance(ends, Ended):
            found.update((one.name, one) for one in ends.secrets)
    return segment(("inbound",), [found[name] for name in sorted(found)])


def _own(q: Db, port: AppPort) -> bool:
    """Say, and tell, that an app's port is the proxy's own."""
    if port.number != names.INBOUND_PORT:
        return False
    text = f"port {port.number} is the proxy's own: nothing of it reaches the app"
    q.report(Diagnostic(PORT_CONFLICT, text, port.origin, f"{port.at}.port" if port.at else ""))
    return True


def _inbound(q: Db, ports: tuple[AppPort, ...], policy: authn.Policy, *, shut: bool) -> Listener:
    """Make the listener for all ports; with `shut` those that a Sidecar's own TLS is for lead nowhere."""
    chains: list[Chain] = [_to_nowhere("virtualInbound-blackhole", names.INBOUND_PORT)]
    for port in ports:
        if shut and _ends_own_tls(port, policy):
            chains.append(_to_nowhere(f"{names.ANY_ADDRESS}_{port.number}_tls", port.number))
        else:
            chains.extend(_chains(q, port, policy.of(port.number)))
    known = {names.INBOUND_PORT, *(port.number for port in ports)}
    for number, mode in policy.ports:
        if number not in known:
            chains.extend(_bytes_chains(number, mode, _PASSTHROUGH))
    chains.extend(_bytes_chains(0, policy.mode, _PASSTHROUGH))
    return _listener(q, tuple(chains), _sniffed(ports, policy), _quiet(ports, policy))


def _to_nowhere(label: str, port: int) -> Chain:
    return Chain(label, TcpChain(names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)), ChainMatch(port=port))


def _apart(q: Db, port: AppPort, policy: authn.Policy, envoy: str) -> Resource | None:
    """Make the listener of a port that a Sidecar has bound by itself."""
    name = names.listener(port.bind, port.number)
    if port.number in (names.PROXY_PORT, names.INBOUND_PORT):
        text = f"port {port.number} is the proxy's own: a Sidecar cannot open it"
        q.report(Diagnostic(PORT_CONFLICT, text, port.origin, f"{port.at}.port"))
        return None
    chains = tuple(
        [
            replace(chain, match=replace(chain.match, port=0))
            for chain in _chains(q, port, policy.of(port.number))
        ]
    )
    asks = any(chain.match != ChainMatch() for chain in chains)
    made = Listener(
        name=name,
        address=port.bind,
        port=port.number,
        direction=Direction.INBOUND,
        chains=chains,
        inspect_tls=asks,
        paths=listening.paths(q),
        mesh_tls=listening.mesh_tls(q),
        inspect_http=any(chain.match.alpn == HTTP_ALPN for chain in chains),
        detection_timeout=seconds(settings.PROTOCOL_DETECTION_TIMEOUT.read(q)),
    )
    origins = () if port.origin is None else (origin(port.origin),)
    encoded = encode_listener(made)
    found = settle(q, LDS, name, encoded, origins, envoy)
    if found is not None and found.version != digest(encoded) and _ends_own_tls(port, policy):
        # As in `listener`: what was accepted may be from before TLS was asked for.
        return None
    return found


def _ends_own_tls(port: AppPort, policy: authn.Policy) -> bool:
    """Say whether TLS of the Sidecar's own is for a port: the mesh's goes before it."""
    return port.tls is not None and policy.of(port.number) is Mtls.DISABLE


def _listener(q: Db, chains: tuple[Chain, ...], sniffed: tuple[int, ...], quiet: tuple[int, ...]) -> Listener:
    closed = Chain("closed", TcpChain(names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)))
    return Listener(
        name=names.VIRTUAL_INBOUND,
        address=names.ANY_ADDRESS,
        port=names.INBOUND_PORT,
        direction=Direction.INBOUND,
        chains=chains or (closed,),
        original_dst=True,
        inspect_tls=True,
        inspect_http=bool(sniffed),
        detection_timeout=seconds(settings.PROTOCOL_DETECTION_TIMEOUT.read(q)),
        http_ports=sniffed,
        skip_tls_ports=quiet,
        paths=listening.paths(q),
        mesh_tls=listening.mesh_tls(q),
    )


def _sniffed(ports: tuple[AppPort, ...], policy: authn.Policy) -> tuple[int, ...]:
    """List the ports on which plain text may be HTTP or not."""
    return tuple(
        port.number
        for port in ports
        if port.protocol is Protocol.AUTO and policy.of(port.number) is not Mtls.STRICT
    )


def _quiet(ports: tuple[AppPort, ...], policy: authn.Policy) -> tuple[int, ...]:
    """List the ports whose first bytes decide nothing: their servers may speak first."""
    return tuple(
        port.number
        for port in ports
        if port.protocol in (Protocol.TCP, Protocol.MONGO, Protocol.TLS, Protocol.HTTPS)
        and port.tls is None
        and policy.of(port.number) is Mtls.DISABLE
    )


def _chains(q: Db, port: AppPort, mode: Mtls) -> list[Chain]:
    """List the chains of a port: with TLS of the Sidecar's own only where the mesh's is off, as in Istio."""
    ends = None if port.tls is None else ended(q, port.tls, port.keeper, http=port.protocol.http)
    if ends is None:
        return _port_chains(port, mode)
    if mode is not Mtls.DISABLE:
        text = f"mutual TLS is on at port {port.number}: the Sidecar's own TLS is not used"
        hint = f"turn it off by portLevelMtls {port.number} of a PeerAuthentication"
        q.report(Diagnostic(INGRESS_TLS_UNUSED, text, port.origin, f"{port.at}.tls", hint))
        return _port_chains(port, mode)
    label = f"{names.ANY_ADDRESS}_{port.number}_tls"
    if isinstance(ends, Lacking):
        text = f"port {port.number} is closed: {ends.reason}"
        q.report(Diagnostic(INGRESS_CLOSED, text, port.origin, f"{port.at}.tls"))
        return [_to_nowhere(label, port.number)]
    match = ChainMatch(port=port.number, transport=TLS)
    handler = _http(port) if port.protocol.http else _stream(port)
    return [Chain(label, handler, match, ends.socket), _plain_refused(port)]


def _plain_refused(port: AppPort) -> Chain:
    """Take plain text to nowhere: the chain for all ports would take it to the app."""
    return _to_nowhere(f"{names.ANY_ADDRESS}_{port.number}", port.number)


def _stream(port: AppPort) -> TcpChain:
    cluster = names.inbound_cluster(port.number)
    return TcpChain(port.stat or cluster, ((cluster, 1),), tcp_idle_timeout(port.pool))


def _port_chains(port: AppPort, mode: Mtls) -> list[Chain]:
    stream = _stream(port)
    if not port.protocol.http and port.protocol is not Protocol.AUTO:
        made = _bytes_chains(port.number, mode, stream)
        return [*mongo(made)] if port.protocol is Protocol.MONGO else made
    http = _http(port)
    label = f"{names.ANY_ADDRESS}_{port.number}"
    found: list[Chain] = []
    if mode is not Mtls.DISABLE:
        if port.protocol.http:
            found.append(_mutual(f"{label}_mtls", port.number, mode, http))
        else:
            # What TLS carries cannot be looked into before a chain is chosen: the client's proxy says it.
            found.append(_mutual(f"{label}_mtls_http", port.number, mode, http, names.HTTP_MTLS_ALPN))
            alpn = names.BYTES_ALPN if mode is Mtls.PERMISSIVE else ()
            found.append(_mutual(f"{label}_mtls", port.number, mode, stream, alpn))
    if mode is Mtls.STRICT:
        return found
    if port.protocol.http:
        found.append(Chain(label, http, ChainMatch(port=port.number, transport=RAW)))
    else:
        found.append(
            Chain(f"{label}_http", http, ChainMatch(port=port.number, transport=RAW, alpn=HTTP_ALPN))
        )
        found.append(Chain(label, stream, ChainMatch(port=port.number, transport=RAW)))
    # The app's own TLS.
    found.append(Chain(f"{label}_tls", stream, ChainMatch(port=port.number, transport=TLS)))
    return found


_PASSTHROUGH = TcpChain(names.INBOUND_PASSTHROUGH, ((names.INBOUND_PASSTHROUGH, 1),))


def _bytes_chains(number: int, mode: Mtls, handler: TcpChain) -> list[Chain]:
    label = f"{names.ANY_ADDRESS}_{number}" if number else "virtualInbound-catchall"
    if mode is Mtls.DISABLE:
        return [Chain(label, handler, ChainMatch(port=number))]
    found = [_mutual(f"{label}_mtls", number, mode, handler)]
    if mode is Mtls.PERMISSIVE:
        # Two chains, for Envoy does not come back from "TLS" to one that asks for no transport.
        found.append(Chain(label, handler, ChainMatch(port=number, transport=RAW)))
        found.append(Chain(f"{label}_tls", handler, ChainMatch(port=number, transport=TLS)))
    return found


def _mutual(
    label: str, number: int, mode: Mtls, handler: HttpChain | TcpChain, said: tuple[str, ...] | None = None
) -> Chain:
    """End the mesh's TLS; with `said` of those clients alone who ask for one of these protocols."""
    alpn = said if said is not None else names.MTLS_ALPN if mode is Mtls.PERMISSIVE else ()
    tls = MutualServer() if isinstance(handler, HttpChain) else MutualServer(("istio-peer-exchange", "istio"))
    return Chain(label, handler, ChainMatch(port=number, transport=TLS, alpn=alpn), tls)


def _http(port: AppPort) -> HttpChain:
    cluster = names.inbound_cluster(port.number)
    route = Route(
        Forward((WeightedTarget(cluster, 1),)), name="default", operation=f"{port.host}:{port.service_port}/*"
    )
    return HttpChain(
        stat_prefix=f"inbound_{names.ANY_ADDRESS}_{port.number}",
        route_name=cluster,
        inline=(VirtualHost(f"inbound|http|{port.service_port}", ("*",), (route,), attempt_count=False),),
        certificates=Certificates.APPEND_FORWARD,
        server_name=SERVER_NAME,
        http_filters=_TO_GRPC if port.protocol is Protocol.GRPC_WEB else frozenset(),
    )
