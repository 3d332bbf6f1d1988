"""A sidecar's inbound side: one listener for all that comes in, and a cluster for every port of the app.

What a port takes is PeerAuthentication's to say: with STRICT there is no chain for plain text, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.api.duration import seconds
from meltemi.api.values import Map
from meltemi.envoy import names
from meltemi.envoy.clusters import Balancing, Cluster, Discovery, Http, Thresholds, encode_cluster
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
from meltemi.model import authn, settings
from meltemi.model.authn import Mtls
from meltemi.model.gateways import pod_port
from meltemi.model.services import Protocol, services_in
from meltemi.model.views import View
from meltemi.pilot.core import listening
from meltemi.pilot.core.clusters import spoken
from meltemi.pilot.core.findings import PORT_CONFLICT, origin
from meltemi.pilot.core.l4 import mongo
from meltemi.pilot.core.quarantine import settle
from meltemi.pilot.core.resource import CDS, LDS, Resource, Segment, segment
from meltemi.query import Db, query

SERVER_NAME = "istio-envoy"
_TO_GRPC = frozenset({GRPC_WEB})


@dataclass(frozen=True, slots=True)
class AppPort:
    """A port of the app that some Service leads to; the oldest Service decides what is spoken."""

    number: int
    protocol: Protocol
    host: str
    service_port: int
    origin: Ref | None = None


@query
def app_ports(
    q: Db, namespace: str, labels: Map[str], named: tuple[tuple[str, int], ...]
) -> tuple[AppPort, ...]:
    """List the ports of a workload that Services of its namespace lead to, by number."""
    selecting = [
        found for found in services_in(q, namespace) if found.selector and labels.contains_all(found.selector)
    ]
    ports: dict[int, AppPort] = {}
    for found in sorted(selecting, key=lambda one: (one.created, one.host)):
        ref = next(iter(found.origins), None)
        for port in found.ports:
            number = pod_port(port.target or port.number, named)
            if not number or port.protocol is Protocol.UDP:
                continue
            known = ports.setdefault(number, AppPort(number, port.protocol, found.host, port.number, ref))
            if spoken(known.protocol) is not spoken(port.protocol):
                text = f"port {number} of the pods speaks {_word(known.protocol)} for {known.host}"
                q.report(Diagnostic(PORT_CONFLICT, f"{text}, {_word(port.protocol)} for {found.host}", ref))
    return tuple(ports[number] for number in sorted(ports))


def _word(protocol: Protocol) -> str:
    return protocol.value or "whatever is found out"


# Clusters.


@query
def clusters(q: Db, ports: tuple[AppPort, ...], envoy: str) -> Segment:
    """List the clusters that lead to the app."""
    listed = [inbound_cluster(q, port.number, port.protocol, envoy) for port in ports]
    listed.append(inbound_cluster(q, 0, Protocol.AUTO, envoy))
    return segment(("inbound",), [one for one in listed if one is not None])


@query
def inbound_cluster(q: Db, port: int, protocol: Protocol, envoy: str) -> Resource | None:
    """Translate a port of the app; 0 is any port that no Service leads to."""
    made = Cluster(
        name=names.inbound_cluster(port) if port else names.INBOUND_PASSTHROUGH,
        discovery=Discovery.ORIGINAL_DST,
        connect_timeout=seconds(settings.CONNECT_TIMEOUT.read(q)),
        balancing=Balancing.PROVIDED,
        thresholds=Thresholds(),
        http=Http(spoken(protocol)),
        inbound=True,
    )
    return settle(q, CDS, made.name, encode_cluster(made), (), envoy)


# The listener.


@query
def listener(q: Db, view: View) -> Segment:
    """Return the inbound listener of a sidecar. Refused without a predecessor, it is one that takes nothing."""
    ports = app_ports(q, view.namespace, view.labels, view.named_ports)
    policy = authn.policy(q, view.namespace, view.labels)
    chains: list[Chain] = [
        Chain(
            "virtualInbound-blackhole",
            TcpChain(names.BLACK_HOLE, ((names.BLACK_HOLE, 1),)),
            ChainMatch(port=names.INBOUND_PORT),
        )
    ]
    for port in ports:
        chains.extend(_port_chains(port, policy.of(port.number)))
    known = {port.number for port in ports}
    for number, mode in policy.ports:
        if number not in known:
            chains.extend(_bytes_chains(number, mode, names.INBOUND_PASSTHROUGH))
    chains.extend(_bytes_chains(0, policy.mode, names.INBOUND_PASSTHROUGH))
    made = _listener(q, tuple(chains), _sniffed(ports, policy), _quiet(ports, policy))
    origins = [origin(port.origin) for port in ports if port.origin is not None]
    found = settle(q, LDS, made.name, encode_listener(made), dict.fromkeys(origins), view.envoy_version)
    if found is None:
        # It carries policy: left out, a newly started proxy would let everything pass to the app's port by itself.
        found = settle(q, LDS, made.name, encode_listener(_listener(q, (), (), ())), (), view.envoy_version)
    return segment(("inbound",), () if found is None else (found,))


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
        and policy.of(port.number) is Mtls.DISABLE
    )


def _port_chains(port: AppPort, mode: Mtls) -> list[Chain]:
    cluster = names.inbound_cluster(port.number)
    if not port.protocol.http and port.protocol is not Protocol.AUTO:
        made = _bytes_chains(port.number, mode, cluster)
        return [*mongo(made)] if port.protocol is Protocol.MONGO else made
    http = _http(port)
    stream = TcpChain(cluster, ((cluster, 1),))
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


def _bytes_chains(number: int, mode: Mtls, cluster: str) -> list[Chain]:
    handler = TcpChain(cluster, ((cluster, 1),))
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
