"""Listeners: where connections come in, how they are told apart, what handles them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.core.v3.base_pb2 import DataSource, TrafficDirection, TransportSocket
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChainMatch,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from envoy.config.listener.v3.listener_components_pb2 import FilterChain as ChainMessage
from envoy.config.listener.v3.listener_pb2 import Listener as ListenerMessage
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    Rds,
)
from envoy.extensions.filters.network.mongo_proxy.v3.mongo_proxy_pb2 import MongoProxy
from envoy.extensions.filters.network.set_filter_state.v3.set_filter_state_pb2 import (
    Config as SetFilterState,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation as EarlyMutation,
)
from envoy.type.v3.range_pb2 import Int32Range

from meltemi.api.duration import Duration
from meltemi.envoy import edge_sockets, filters, forward_proxy, sockets
from meltemi.envoy.encoding import boolean, duration, encode, pack, uint32
from meltemi.envoy.ext_authz import ExternalAuth
from meltemi.envoy.forward_proxy import DnsCache
from meltemi.envoy.routes import VirtualHost, route_configuration

HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
MONGO_PROXY = "envoy.filters.network.mongo_proxy"
EARLY_MUTATION = "envoy.http.early_header_mutation.header_mutation"
INTERNAL = (
    "x-envoy-is-timeout-retry",
    "x-envoy-original-dst-host",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-istio-attributes",
)
"""What proxies tell each other, and Envoy itself does not take from a foreign client (CVE-2020-8843)."""

HTTP_ALPN = ("http/1.0", "http/1.1", "h2c")
"""What the HTTP inspector says of plain text."""

RAW = "raw_buffer"
TLS = "tls"


class Direction(Enum):
    """Which way a listener's traffic goes."""

    INBOUND = TrafficDirection.INBOUND
    OUTBOUND = TrafficDirection.OUTBOUND


class Certificates(Enum):
    """What becomes of the header x-forwarded-client-cert."""

    SANITIZE = HttpConnectionManager.SANITIZE
    APPEND_FORWARD = HttpConnectionManager.APPEND_FORWARD
    SANITIZE_SET = HttpConnectionManager.SANITIZE_SET


@dataclass(frozen=True, slots=True)
class HttpChain:
    """Handle as HTTP, routed by the RouteConfiguration named `rds`, or by `inline` under the name `route_name`."""

    stat_prefix: str
    rds: str = ""
    route_name: str = ""
    inline: tuple[VirtualHost, ...] = ()
    certificates: Certificates = Certificates.SANITIZE
    server_name: str = ""
    edge: bool = False
    """The first proxy that a foreign client meets: it believes no header about who that client is."""
    http_filters: frozenset[str] = frozenset()
    lookups: tuple[DnsCache, ...] = ()
    """Where hosts are looked up of requests to clusters that find their endpoints by request."""
    asked: tuple[ExternalAuth, ...] = ()
    """Servers that routes have asked whether requests may pass."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A connection is carried as the body of a request to the cluster, which is to connect to `target` (host:port)."""

    target: str
    post: bool = False
    """POST instead of CONNECT."""


@dataclass(frozen=True, slots=True)
class TcpChain:
    """Handle as bytes, to one cluster or to several by weight."""

    stat_prefix: str
    clusters: tuple[tuple[str, int], ...]
    idle_timeout: Duration | None = None
    mongo: bool = False
    """Read what is carried as MongoDB's protocol, for its statistics; the bytes go on as they are."""
    alpn: str = ""
    """What to ask of the server's proxy in place of what the cluster asks: for one that carries HTTP as well."""
    lookup: tuple[DnsCache, int] | None = None
    """Where the server name of TLS is looked up, and the port to go to: for a cluster that finds its endpoints so."""
    tunnel: Tunnel | None = None
    lifetime: Duration | None = None
    """After which a connection is closed, in use or not; None is never."""


@dataclass(frozen=True, slots=True)
class ChainMatch:
    """Which connections a chain takes; an empty part does not ask."""

    port: int = 0
    transport: str = ""
    alpn: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """CIDRs of the destination."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A filter chain. `tls` ends TLS before the handler."""

    name: str
    handler: HttpChain | TcpChain
    match: ChainMatch = ChainMatch()
    tls: sockets.ServerSocket | edge_sockets.EdgeServer | edge_sockets.FileServer | None = None


class Paths(Enum):
    """What is done to the path of a request before anything looks at it."""

    NONE = "as it came"
    BASE = "dots are resolved"
    MERGE_SLASHES = "and slashes that follow one another are one"
    DECODE_AND_MERGE_SLASHES = "and so are those that are escaped"


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener; `bind` False where it only takes what another hands over by original destination."""

    name: str
    address: str
    port: int
    direction: Direction
    chains: tuple[Chain, ...] = ()
    default: Chain | None = None
    bind: bool = True
    hand_over: bool = False
    """Give connections to the listener of their original destination, where there is one."""
    original_dst: bool = False
    inspect_tls: bool = False
    inspect_http: bool = False
    detection_timeout: Duration | None = None
    """How long to wait for the first bytes; 0 waits for ever. Then the connection goes on unclassified."""
    http_ports: tuple[int, ...] = ()
    """Destination ports on which HTTP is looked for; all if empty."""
    skip_tls_ports: tuple[int, ...] = ()
    """Destination ports on which TLS is not looked for: where servers speak first, waiting would hang them."""
    paths: Paths = Paths.BASE
    mesh_tls: sockets.MeshTls = sockets.USUAL


def encode_listener(listener: Listener) -> bytes:
    """Return the bytes of Envoy's Listener."""
    message = ListenerMessage(
        name=listener.name,
        address=sockets.address(listener.address, listener.port),
        traffic_direction=listener.direction.value,
        listener_filters=_inspectors(listener),
        filter_chains=[_chain(chain, listener) for chain in listener.chains],
        default_filter_chain=None if listener.default is None else _chain(listener.default, listener),
        bind_to_port=None if listener.bind else boolean(False),
        use_original_dst=boolean(True) if listener.hand_over else None,
    )
    if listener.inspect_tls or listener.inspect_http:
        message.continue_on_listener_filters_timeout = True
        message.listener_filters_timeout.CopyFrom(duration(listener.detection_timeout or Duration(0)))
    return encode(message)


def _inspectors(listener: Listener) -> list[ListenerFilter]:
    found: list[ListenerFilter] = []
    if listener.original_dst:
        found.append(
            ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(OriginalDst()))
        )
    if listener.inspect_tls:
        found.append(
            ListenerFilter(
                name="envoy.filters.listener.tls_inspector",
                typed_config=pack(TlsInspector()),
                filter_disabled=_on_ports(listener.skip_tls_ports),
            )
        )
    if listener.inspect_http:
        wanted = _on_ports(listener.http_ports)
        found.append(
            ListenerFilter(
                name="envoy.filters.listener.http_inspector",
                typed_config=pack(HttpInspector()),
                filter_disabled=None
                if wanted is None
                else ListenerFilterChainMatchPredicate(not_match=wanted),
            )
        )
    return found


def _on_ports(ports: tuple[int, ...]) -> ListenerFilterChainMatchPredicate | None:
    single = [
        ListenerFilterChainMatchPredicate(destination_port_range=Int32Range(start=port, end=port + 1))
        for port in ports
    ]
    if len(single) < 2:
        return single[0] if single else None
    return ListenerFilterChainMatchPredicate(
        or_match=ListenerFilterChainMatchPredicate.MatchSet(rules=single)
    )


def _chain(chain: Chain, listener: Listener) -> ChainMessage:
    handler = chain.handler
    name = TCP_PROXY if isinstance(handler, TcpChain) else HTTP_CONNECTION_MANAGER
    config = _tcp(handler) if isinstance(handler, TcpChain) else _http(handler, listener)
    lookup = handler.lookup if isinstance(handler, TcpChain) else None
    before = [] if lookup is None else [forward_proxy.sni_filter(*lookup)]
    if isinstance(handler, TcpChain) and handler.alpn:
        before.append(_asking(handler.alpn))
    if isinstance(handler, TcpChain) and handler.mongo:
        before.append(
            Filter(name=MONGO_PROXY, typed_config=pack(MongoProxy(stat_prefix=handler.stat_prefix)))
        )
    return ChainMessage(
        name=chain.name,
        filter_chain_match=_match(chain.match),
        filters=[*before, Filter(name=name, typed_config=pack(config))],
        transport_socket=_tls(chain, listener),
    )


def _asking(protocol: str) -> Filter:
    """Set the ALPN of the connection that goes on, as the well-known object of Envoy's filter state says it."""
    value = FilterStateValue(
        object_key="envoy.network.application_protocols",
        format_string=SubstitutionFormatString(text_format_source=DataSource(inline_string=protocol)),
        shared_with_upstream=FilterStateValue.ONCE,
    )
    return Filter(
        name="envoy.filters.network.set_filter_state",
        typed_config=pack(SetFilterState(on_new_connection=[value])),
    )


def _tls(chain: Chain, listener: Listener) -> TransportSocket | None:
    if isinstance(chain.tls, edge_sockets.EdgeServer):
        return edge_sockets.server(chain.tls)
    if isinstance(chain.tls, edge_sockets.FileServer):
        return edge_sockets.file_server(chain.tls)
    return None if chain.tls is None else sockets.server(chain.tls, listener.mesh_tls)


def _match(match: ChainMatch) -> FilterChainMatch | None:
    if match == ChainMatch():
        return None
    return FilterChainMatch(
        destination_port=uint32(match.port or None),
        transport_protocol=match.transport,
        application_protocols=match.alpn,
        server_names=match.server_names,
        prefix_ranges=[_cidr(text) for text in match.addresses],
    )


def _cidr(text: str) -> CidrRange:
    address, _slash, length = text.partition("/")
    full = 128 if ":" in address else 32
    return CidrRange(address_prefix=address, prefix_len=uint32(int(length) if length else full))


def _tcp(chain: TcpChain) -> TcpProxy:
    message = TcpProxy(stat_prefix=chain.stat_prefix, idle_timeout=duration(chain.idle_timeout))
    if chain.lifetime is not None:
        message.max_downstream_connection_duration.CopyFrom(duration(chain.lifetime))
    if chain.tunnel is not None:
        message.tunneling_config.CopyFrom(
            TcpProxy.TunnelingConfig(hostname=chain.tunnel.target, use_post=chain.tunnel.post)
        )
    if len(chain.clusters) == 1:
        message.cluster = chain.clusters[0][0]
    else:
        message.weighted_clusters.CopyFrom(
            TcpProxy.WeightedCluster(
                clusters=[
                    TcpProxy.WeightedCluster.ClusterWeight(name=name, weight=weight)
                    for name, weight in chain.clusters
                ]
            )
        )
    return message


def _http(chain: HttpChain, listener: Listener) -> HttpConnectionManager:
    message = HttpConnectionManager(
        codec_type=HttpConnectionManager.AUTO,
        stat_prefix=chain.stat_prefix,
        http_filters=filters.http_filters(chain.http_filters, chain.lookups, chain.asked),
        http_protocol_options=Http1ProtocolOptions(accept_http_10=True),
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        # A stream may rest as long as its ends like (server-sent events, long polls).
        stream_idle_timeout=duration(Duration(0)),
        normalize_path=boolean(listener.paths is not Paths.NONE),
        merge_slashes=listener.paths in (Paths.MERGE_SLASHES, Paths.DECODE_AND_MERGE_SLASHES),
        path_with_escaped_slashes_action=HttpConnectionManager.UNESCAPE_AND_FORWARD
        if listener.paths is Paths.DECODE_AND_MERGE_SLASHES
        else HttpConnectionManager.KEEP_UNCHANGED,
        use_remote_address=boolean(chain.edge),
        forward_client_cert_details=chain.certificates.value,
        server_name=chain.server_name,
        proxy_100_continue=True,
    )
    if chain.certificates is not Certificates.SANITIZE:
        message.set_current_client_cert_details.CopyFrom(
            HttpConnectionManager.SetCurrentClientCertDetails(subject=boolean(True), dns=True, uri=True)
        )
    if chain.rds:
        message.rds.CopyFrom(Rds(config_source=sockets.ads(), route_config_name=chain.rds))
    else:
        message.route_config.CopyFrom(route_configuration(chain.route_name, chain.inline))
    if chain.edge:
        early = EarlyMutation(mutations=[HeaderMutation(remove=name) for name in INTERNAL])
        message.early_header_mutation_extensions.append(
            TypedExtensionConfig(name=EARLY_MUTATION, typed_config=pack(early))
        )
    if listener.direction is Direction.OUTBOUND and not chain.edge:
        # The app's own answer to "who are you" must not be hidden from it by its own proxy.
        message.server_header_transformation = HttpConnectionManager.PASS_THROUGH
    return message
