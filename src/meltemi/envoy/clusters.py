"""Clusters: what Envoy may send to, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from envoy.config.cluster.v3.cluster_pb2 import UpstreamConnectionOptions
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.core.v3.address_pb2 import BindConfig, SocketAddress, TcpKeepalive
from envoy.config.core.v3.base_pb2 import Metadata, RoutingPriority, RuntimeDouble
from envoy.config.core.v3.protocol_pb2 import (
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    UpstreamHttpProtocolOptions,
)
from envoy.config.core.v3.socket_option_pb2 import SocketOption
from envoy.extensions.clusters.common.dns.v3.dns_pb2 import DnsLookupFamily
from envoy.extensions.clusters.dns.v3.dns_cluster_pb2 import DnsCluster
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import (
    ClusterConfig as ForwardProxyCluster,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions as UpstreamHttp
from envoy.type.v3.percent_pb2 import Percent
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import UInt32Value

from meltemi.api.duration import Duration
from meltemi.envoy import forward_proxy, framing, names, sockets
from meltemi.envoy.encoding import duration, encode, pack, struct, uint32, uint64
from meltemi.envoy.endpoints import Assignment, assignment_message
from meltemi.envoy.forms import form
from meltemi.envoy.forward_proxy import DnsCache
from meltemi.envoy.framing import content, framed, span, tag, varint

UNLIMITED = 4_294_967_295
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
SOL_SOCKET = 1
SO_MARK = 36
MARK = 1337
"""The mark by which the redirect rules know a proxy's own traffic."""


class Discovery(Enum):
    """How a cluster finds its endpoints."""

    EDS = ClusterMessage.EDS
    STATIC = ClusterMessage.STATIC
    STRICT_DNS = ClusterMessage.STRICT_DNS
    LOGICAL_DNS = ClusterMessage.LOGICAL_DNS
    ORIGINAL_DST = ClusterMessage.ORIGINAL_DST
    BY_REQUEST = "dynamic forward proxy"
    """Whatever name a request asks for (or TLS, by its SNI), looked up in `Cluster.lookup`."""


class Balancing(Enum):
    """How an endpoint is chosen."""

    LEAST_REQUEST = ClusterMessage.LEAST_REQUEST
    ROUND_ROBIN = ClusterMessage.ROUND_ROBIN
    RANDOM = ClusterMessage.RANDOM
    RING_HASH = ClusterMessage.RING_HASH
    MAGLEV = ClusterMessage.MAGLEV
    PROVIDED = ClusterMessage.CLUSTER_PROVIDED


class UpstreamProtocol(Enum):
    """What is spoken to the endpoints of a cluster that carries HTTP; NONE where it carries bytes."""

    # Members are compared by identity anyway, and Enum's own hash is a function in Python.
    __hash__ = object.__hash__

    NONE = "none"
    HTTP1 = "http1"
    HTTP2 = "http2"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Circuit breakers; Istio's default is none at all."""

    connections: int = UNLIMITED
    pending: int = UNLIMITED
    requests: int = UNLIMITED
    retries: int = UNLIMITED
    retry_budget: tuple[float, int] | None = None
    """Percent of active requests, and the number always allowed."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """When an endpoint is left out for a while; `None` means Envoy's default, 0 consecutive errors means never."""

    consecutive_5xx: int | None = None
    gateway_errors: int = 0
    local_errors: int | None = None
    split_local: bool = False
    interval: Duration | None = None
    ejection: Duration | None = None
    max_percent: int | None = None
    min_health_percent: int = 0


@dataclass(frozen=True, slots=True)
class Keepalive:
    """TCP keep-alive; 0 and None leave the system's values."""

    probes: int = 0
    time: Duration | None = None
    interval: Duration | None = None


@dataclass(frozen=True, slots=True)
class Warmup:
    """New endpoints get their full share only after `window`; None is Envoy's default."""

    window: Duration
    least_percent: float | None = None
    aggression: float | None = None


@dataclass(frozen=True, slots=True)
class Http:
    """Options of the HTTP connections of a cluster."""

    protocol: UpstreamProtocol = UpstreamProtocol.NONE
    idle_timeout: Duration | None = None
    max_requests_per_connection: int = 0
    max_concurrent_streams: int = 0
    max_connection_duration: Duration | None = None


class Cluster(NamedTuple):
    """One cluster. `tls` holds for every endpoint, `auto_mtls` for those whose metadata says tlsMode=istio."""

    name: str
    discovery: Discovery = Discovery.EDS
    connect_timeout: Duration | None = None
    balancing: Balancing = Balancing.LEAST_REQUEST
    ring_size: int = 0
    table_size: int = 0
    warmup: Warmup | None = None
    """Only with LEAST_REQUEST and ROUND_ROBIN."""
    thresholds: Thresholds | None = None
    outlier: Outlier | None = None
    tls: sockets.ClientSocket | None = None
    auto_mtls: sockets.MutualClient | None = None
    http: Http = Http()
    services: tuple[tuple[str, str, str], ...] = ()
    """(host, name, namespace) of the services behind it, for statistics and logs."""
    config: str = ""
    """Path of the DestinationRule that shaped it, as Istio writes it into metadata."""
    subset: str = ""
    endpoints: Assignment | None = None
    """Written into the cluster itself: for DNS."""
    keepalive: Keepalive | None = None
    dns_refresh: Duration | None = None
    lookup: DnsCache | None = None
    """Where the names of BY_REQUEST are looked up; the filters before it must have the same."""
    inbound: bool = False
    """Leads to the app beside the proxy: source 127.0.0.6, and the mark, which its own bind config would lose."""
    locality_weighted: bool = False
    proxy_protocol: int = 0
    """Version of the PROXY protocol's header that goes first; 0 is none."""
    stat_name: str = ""
    """Its name in statistics, where that is another."""


_TLS_MODE = struct({"tlsMode": "istio"})


def encode_cluster(cluster: Cluster) -> bytes:
    """Return the bytes of Envoy's Cluster."""
    encoder = subset_encoder(cluster)
    if encoder is None:
        return encode(cluster_message(cluster))
    return encoder(
        cluster.name, cluster.auto_mtls.sni if cluster.auto_mtls is not None else "", cluster.subset
    )


def cluster_message(cluster: Cluster) -> ClusterMessage:
    """Make the message from nothing."""
    message = ClusterMessage(
        name=cluster.name,
        alt_stat_name=cluster.stat_name,
        connect_timeout=duration(cluster.connect_timeout),
        lb_policy=cluster.balancing.value,
        circuit_breakers=_breakers(cluster.thresholds),
        outlier_detection=_outlier(cluster.outlier),
        common_lb_config=_common_lb(cluster),
        metadata=_metadata(cluster),
    )
    if cluster.discovery is Discovery.EDS:
        message.eds_cluster_config.CopyFrom(
            ClusterMessage.EdsClusterConfig(eds_config=sockets.ads(), service_name=cluster.name)
        )
    if cluster.endpoints is not None:
        message.load_assignment.CopyFrom(assignment_message(cluster.endpoints))
    if cluster.discovery in (Discovery.STRICT_DNS, Discovery.LOGICAL_DNS):
        message.cluster_type.CopyFrom(_dns(cluster))
    elif cluster.lookup is not None:
        message.cluster_type.CopyFrom(_by_request(cluster, cluster.lookup))
    else:
        message.type = cluster.discovery.value
    _balance(message, cluster)
    _secure(message, cluster)
    options = _http(cluster.http)
    if cluster.lookup is not None:
        options = _sure_of_names(options, verify=not _is_unverified(cluster))
    if options is not None:
        message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(pack(options))
    if cluster.keepalive is not None:
        message.upstream_connection_options.CopyFrom(
            UpstreamConnectionOptions(tcp_keepalive=_keepalive(cluster.keepalive))
        )
    if cluster.inbound:
        message.upstream_bind_config.CopyFrom(_own_app())
    return message


def always_tls(body: bytes) -> bool:
    """Say whether an encoded cluster speaks TLS to each of its endpoints."""
    # Behind the header of the PROXY protocol it is a socket within a socket.
    return sockets.TLS.encode() in encode(ClusterMessage.FromString(body).transport_socket)


def _usual(cluster: Cluster) -> bool:
    """Say whether a cluster is as nearly all are: then a form is filled in, ten times as fast."""
    return (
        cluster.auto_mtls is not None
        and cluster.tls is None
        and cluster.discovery is Discovery.EDS
        and cluster.balancing is Balancing.LEAST_REQUEST
        and cluster.warmup is None
        and cluster.outlier is None
        and cluster.endpoints is None
        and cluster.keepalive is None
        and cluster.thresholds is not None
        and cluster.thresholds.retry_budget is None
        and len(cluster.services) == 1
        and bool(cluster.name)
        and bool(cluster.auto_mtls.sni)
        and (cluster.connect_timeout is None or cluster.connect_timeout.nanoseconds >= 0)
        and not cluster.inbound
        and not cluster.locality_weighted
        and not cluster.proxy_protocol
        and not cluster.stat_name
    )


def subset_encoder(cluster: Cluster) -> Callable[[str, str, str], bytes] | None:
    """Return what encodes clusters that differ from one in name, SNI and subset alone, given in this order.

    None where it is not as nearly all are; each is to be encoded by itself then.
    """
    mutual = cluster.auto_mtls
    if mutual is None or not _usual(cluster):
        return None
    ((host, service, namespace),) = cluster.services
    where = host.encode(), service.encode(), namespace.encode()
    limits = cluster.thresholds or UNLIMITED_ALL
    options = _OPTIONS.get(cluster.http)
    rest = (
        b"" if cluster.connect_timeout is None else framed(_TIMEOUT, span(cluster.connect_timeout)),
        _UNLIMITED if limits is UNLIMITED_ALL else _breakers_bytes(limits),
        _field("config", cluster.config) if cluster.config else b"",
        _options(cluster.http) if options is None else options,
        sockets.alpn(mutual),
        sockets.sans(mutual),
    )

    def encoded(name: str, sni: str, subset: str) -> bytes:
        label = _field("subset", subset) if subset else b""
        return _USUAL(name.encode(), sni.encode(), *where, label, *rest)

    return encoded


def _field(key: str, value: str) -> bytes:
    return framing.struct({key: value})


def _breakers_bytes(limits: Thresholds) -> bytes:
    """Encode circuit breakers without a retry budget."""
    counts = (limits.connections, limits.pending, limits.requests, limits.retries)
    parts = [
        without if number == UNLIMITED else framed(limit, _VALUE + varint(number) if number else b"")
        for number, (limit, without) in zip(counts, _LIMITS, strict=True)
    ]
    return framed(_BREAKERS, framed(_THRESHOLDS, b"".join(parts) + _TRACK))


def _options(http: Http) -> bytes:
    made = _http(http)
    if made is None:
        return b""
    return encode(ClusterMessage(typed_extension_protocol_options={HTTP_OPTIONS: pack(made)}))


def _dns(cluster: Cluster) -> ClusterMessage.CustomClusterType:
    """Resolve by name. Pods have no IPv6: an AAAA would lead nowhere."""
    config = DnsCluster(
        dns_lookup_family=DnsLookupFamily.V4_ONLY,
        respect_dns_ttl=True,
        dns_refresh_rate=duration(cluster.dns_refresh),
        all_addresses_in_single_endpoint=cluster.discovery is Discovery.LOGICAL_DNS,
    )
    return ClusterMessage.CustomClusterType(name="envoy.clusters.dns", typed_config=pack(config))


def _by_request(cluster: Cluster, cache: DnsCache) -> ClusterMessage.CustomClusterType:
    """Resolve what is asked for. Envoy wants to be told where a server of TLS is not to be verified at all."""
    config = ForwardProxyCluster(
        dns_cache_config=forward_proxy.cache_message(cache),
        allow_insecure_cluster_options=_is_unverified(cluster),
    )
    return ClusterMessage.CustomClusterType(name=forward_proxy.CLUSTER, typed_config=pack(config))


def _is_unverified(cluster: Cluster) -> bool:
    return isinstance(cluster.tls, sockets.FileClient) and not cluster.tls.verify


def _sure_of_names(options: UpstreamHttp | None, *, verify: bool) -> UpstreamHttp:
    """Ask a server of TLS by the name that the client asked for, and see that it is the server's."""
    made = options or UpstreamHttp(
        explicit_http_config=UpstreamHttp.ExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions())
    )
    made.upstream_http_protocol_options.CopyFrom(
        UpstreamHttpProtocolOptions(auto_sni=True, auto_san_validation=verify)
    )
    return made


def mark_option() -> SocketOption:
    """SO_MARK on sockets of the proxy: the redirect rules let marked traffic pass."""
    return SocketOption(level=SOL_SOCKET, name=SO_MARK, int_value=MARK, state=SocketOption.STATE_PREBIND)


def _own_app() -> BindConfig:
    return BindConfig(
        source_address=SocketAddress(address=names.INBOUND_BIND, port_value=0), socket_options=[mark_option()]
    )


def _breakers(limits: Thresholds | None) -> CircuitBreakers | None:
    if limits is None:
        return None
    budget = None
    if limits.retry_budget is not None:
        percent, least = limits.retry_budget
        budget = CircuitBreakers.Thresholds.RetryBudget(
            budget_percent=Percent(value=percent), min_retry_concurrency=uint32(least)
        )
    return CircuitBreakers(
        thresholds=[
            CircuitBreakers.Thresholds(
                priority=RoutingPriority.DEFAULT,
                max_connections=uint32(limits.connections),
                max_pending_requests=uint32(limits.pending),
                max_requests=uint32(limits.requests),
                max_retries=uint32(limits.retries),
                retry_budget=budget,
                track_remaining=True,
            )
        ]
    )


def _outlier(wanted: Outlier | None) -> OutlierDetection | None:
    if wanted is None:
        return None
    message = OutlierDetection(
        interval=duration(wanted.interval),
        base_ejection_time=duration(wanted.ejection),
        max_ejection_percent=uint32(wanted.max_percent),
        enforcing_success_rate=uint32(0),
        split_external_local_origin_errors=wanted.split_local,
    )
    if wanted.consecutive_5xx is not None:
        message.consecutive_5xx.CopyFrom(uint32(wanted.consecutive_5xx))
        message.enforcing_consecutive_5xx.CopyFrom(uint32(100 if wanted.consecutive_5xx > 0 else 0))
    if wanted.gateway_errors > 0:
        message.consecutive_gateway_failure.CopyFrom(uint32(wanted.gateway_errors))
    message.enforcing_consecutive_gateway_failure.CopyFrom(uint32(100 if wanted.gateway_errors > 0 else 0))
    if wanted.split_local:
        message.enforcing_local_origin_success_rate.CopyFrom(uint32(0))
        if wanted.local_errors is not None:
            message.consecutive_local_origin_failure.CopyFrom(uint32(wanted.local_errors))
            message.enforcing_consecutive_local_origin_failure.CopyFrom(
                uint32(100 if wanted.local_errors > 0 else 0)
            )
    return message


def _common_lb(cluster: Cluster) -> ClusterMessage.CommonLbConfig | None:
    if cluster.discovery in (Discovery.ORIGINAL_DST, Discovery.BY_REQUEST):
        return None
    least = cluster.outlier.min_health_percent if cluster.outlier is not None else 0
    # Panic mode would send to ejected endpoints; Istio's default is to do without it.
    config = ClusterMessage.CommonLbConfig(healthy_panic_threshold=Percent(value=float(least)))
    if cluster.locality_weighted:
        config.locality_weighted_lb_config.SetInParent()
    return config


def _metadata(cluster: Cluster) -> Metadata | None:
    fields = _fields(cluster)
    return Metadata(filter_metadata={"istio": struct(fields)}) if fields else None


def _fields(cluster: Cluster) -> dict[str, object]:
    fields: dict[str, object] = {}
    if cluster.services:
        fields["services"] = [
            {"host": host, "name": name, "namespace": namespace} for host, name, namespace in cluster.services
        ]
    if cluster.subset:
        fields["subset"] = cluster.subset
    if cluster.config:
        fields["config"] = cluster.config
    return fields


def _balance(message: ClusterMessage, cluster: Cluster) -> None:
    if cluster.balancing is Balancing.RING_HASH:
        message.ring_hash_lb_config.CopyFrom(
            ClusterMessage.RingHashLbConfig(minimum_ring_size=uint64(cluster.ring_size or None))
        )
    elif cluster.balancing is Balancing.MAGLEV:
        message.maglev_lb_config.CopyFrom(
            ClusterMessage.MaglevLbConfig(table_size=uint64(cluster.table_size or None))
        )
    elif cluster.warmup is not None and cluster.balancing is Balancing.LEAST_REQUEST:
        message.least_request_lb_config.slow_start_config.CopyFrom(_slow_start(cluster.warmup))
    elif cluster.warmup is not None and cluster.balancing is Balancing.ROUND_ROBIN:
        message.round_robin_lb_config.slow_start_config.CopyFrom(_slow_start(cluster.warmup))


def _slow_start(wanted: Warmup) -> ClusterMessage.SlowStartConfig:
    aggression, least = wanted.aggression, wanted.least_percent
    return ClusterMessage.SlowStartConfig(
        slow_start_window=duration(wanted.window),
        # Envoy wants a key by which its runtime could say otherwise.
        aggression=None
        if aggression is None
        else RuntimeDouble(default_value=aggression, runtime_key="warmup.aggression"),
        min_weight_percent=None if least is None else Percent(value=least),
    )


def _secure(message: ClusterMessage, cluster: Cluster) -> None:
    _tls(message, cluster)
    if not cluster.proxy_protocol:
        return
    if not message.transport_socket_matches and cluster.tls is None:
        message.transport_socket.CopyFrom(sockets.raw())
    given = [each.transport_socket for each in message.transport_socket_matches]
    for socket in given or [message.transport_socket]:
        socket.CopyFrom(sockets.with_proxy_header(cluster.proxy_protocol, socket))


def _tls(message: ClusterMessage, cluster: Cluster) -> None:
    if cluster.tls is not None:
        message.transport_socket.CopyFrom(sockets.client(cluster.tls))
    elif cluster.auto_mtls is not None:
        message.transport_socket_matches.extend(
            [
                ClusterMessage.TransportSocketMatch(
                    name="tlsMode-istio",
                    match=_TLS_MODE,
                    transport_socket=sockets.client(cluster.auto_mtls),
                ),
                ClusterMessage.TransportSocketMatch(
                    name="tlsMode-disabled", match=Struct(), transport_socket=sockets.raw()
                ),
            ]
        )


def _http(wanted: Http) -> UpstreamHttp | None:
    common = HttpProtocolOptions(
        idle_timeout=duration(wanted.idle_timeout),
        max_requests_per_connection=uint32(wanted.max_requests_per_connection or None),
        max_connection_duration=duration(wanted.max_connection_duration),
    )
    shared = common if common.ByteSize() else None
    h2 = Http2ProtocolOptions(max_concurrent_streams=uint32(wanted.max_concurrent_streams or None))
    if wanted.protocol is UpstreamProtocol.HTTP2:
        explicit = UpstreamHttp.ExplicitHttpConfig(http2_protocol_options=h2)
    elif wanted.protocol is UpstreamProtocol.HTTP1:
        explicit = UpstreamHttp.ExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions())
    elif wanted.protocol is UpstreamProtocol.CLIENT:
        return UpstreamHttp(
            common_http_protocol_options=shared,
            use_downstream_protocol_config=UpstreamHttp.UseDownstreamHttpConfig(
                http_protocol_options=Http1ProtocolOptions(), http2_protocol_options=h2
            ),
        )
    elif shared is not None:
        explicit = UpstreamHttp.ExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions())
    else:
        return None
    return UpstreamHttp(common_http_protocol_options=shared, explicit_http_config=explicit)


def _keepalive(wanted: Keepalive) -> TcpKeepalive:
    return TcpKeepalive(
        keepalive_probes=uint32(wanted.probes or None),
        keepalive_time=uint32(_whole_seconds(wanted.time)),
        keepalive_interval=uint32(_whole_seconds(wanted.interval)),
    )


def _whole_seconds(value: Duration | None) -> int | None:
    return None if value is None else max(1, round(value.seconds))


UNLIMITED_ALL = Thresholds()


_TIMEOUT = tag(ClusterMessage, "connect_timeout")
_BREAKERS = tag(ClusterMessage, "circuit_breakers")
_THRESHOLDS = tag(CircuitBreakers, "thresholds")
_VALUE = tag(UInt32Value, "value")
_Limits = CircuitBreakers.Thresholds
_LIMITS = (
    (tag(_Limits, "max_connections"), encode(_Limits(max_connections=uint32(UNLIMITED)))),
    (tag(_Limits, "max_pending_requests"), encode(_Limits(max_pending_requests=uint32(UNLIMITED)))),
    (tag(_Limits, "max_requests"), encode(_Limits(max_requests=uint32(UNLIMITED)))),
    (tag(_Limits, "max_retries"), encode(_Limits(max_retries=uint32(UNLIMITED)))),
)
"""The tag of each, and what it is without a limit."""
_TRACK = encode(_Limits(track_remaining=True))
_UNLIMITED = encode(ClusterMessage(circuit_breakers=_breakers(UNLIMITED_ALL)))
_OPTIONS = {http: _options(http) for http in map(Http, UpstreamProtocol)}
_MUTUAL = sockets.MutualClient("<sni>", ("<san>",), ("<alpn>",))
_SAMPLE = Cluster(
    "<name>",
    connect_timeout=Duration(123_456_789),
    thresholds=Thresholds(1, 2, 3, 4),
    auto_mtls=_MUTUAL,
    http=Http(UpstreamProtocol.HTTP1, Duration(2)),
    services=(("<host>", "<service>", "<namespace>"),),
    config="<config>",
    subset="<subset>",
)
_USUAL = form(
    cluster_message(_SAMPLE),
    {
        "name": "<name>",
        "sni": "<sni>",
        "host": "<host>",
        "service": "<service>",
        "namespace": "<namespace>",
    },
    {
        "subset": content(_field("subset", "<subset>")),
        "timeout": span(Duration(123_456_789)),
        "breakers": content(_breakers_bytes(Thresholds(1, 2, 3, 4))),
        "config": content(_field("config", "<config>")),
        "options": content(_options(_SAMPLE.http)),
        "alpn": content(sockets.alpn(_MUTUAL)),
        "sans": content(sockets.sans(_MUTUAL)),
    },
)
