"""DestinationRule: what holds for traffic to a host after routing (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Column, Kind
from meltemi.api.networking.virtual_service import PortSelector
from meltemi.api.selector import LabelSelector
from meltemi.api.values import EMPTY, Map


class SimpleLB(Enum):
    """Load-balancing algorithms without further settings."""

    UNSPECIFIED = 0
    LEAST_CONN = 1
    RANDOM = 2
    PASSTHROUGH = 3
    ROUND_ROBIN = 4
    LEAST_REQUEST = 5


class H2UpgradePolicy(Enum):
    """Whether HTTP/1.1 is spoken as HTTP/2 upstream."""

    DEFAULT = 0
    DO_NOT_UPGRADE = 1
    UPGRADE = 2


class ClientTLSMode(Enum):
    """How TLS is begun towards a destination."""

    DISABLE = 0
    SIMPLE = 1
    MUTUAL = 2
    ISTIO_MUTUAL = 3


class ProxyProtocolVersion(Enum):
    """Version of the PROXY header."""

    V1 = 0
    V2 = 1


@dataclass(frozen=True, slots=True)
class CookieAttribute:
    """A further attribute of a generated cookie."""

    name: str = field("Name of the attribute.", "", required=True)
    value: str = field("Its value; none for a bare attribute.", "")


@dataclass(frozen=True, slots=True)
class HTTPCookie:
    """A cookie that is hashed, and made if it is missing and a ttl is given."""

    name: str = field("Name of the cookie.", "", required=True)
    path: str = field("Path of the cookie.", "")
    ttl: Duration | None = field("Lifetime; 0s makes a session cookie, none makes no cookie.", None)
    attributes: tuple[CookieAttribute, ...] = field("Further attributes.", ())


@dataclass(frozen=True, slots=True)
class RingHash:
    """Ketama hashing."""

    minimum_ring_size: int = field("Least number of points on the ring (1024 if 0).", 0, format="uint64")


@dataclass(frozen=True, slots=True)
class MagLev:
    """Maglev hashing."""

    table_size: int = field("Size of the table, a prime (65537 if 0).", 0, format="uint64")


@dataclass(frozen=True, slots=True)
class ConsistentHashLB:
    """Load balancing by a hash of the request: soft affinity."""

    http_header_name: str | None = field("Hash this header.", None, oneof="hash_key")
    http_cookie: HTTPCookie | None = field("Hash a cookie.", None, oneof="hash_key")
    use_source_ip: bool | None = field("Hash the caller's address.", None, oneof="hash_key")
    http_query_parameter_name: str | None = field("Hash this query parameter.", None, oneof="hash_key")
    ring_hash: RingHash | None = field("Use ring hash.", None, oneof="hash_algorithm")
    maglev: MagLev | None = field("Use maglev.", None, oneof="hash_algorithm")
    minimum_ring_size: int = field(
        "Least number of points on the ring.", 0, deprecated="use ringHash.minimumRingSize", format="uint64"
    )


@dataclass(frozen=True, slots=True)
class WarmupConfiguration:
    """New endpoints get their full share only after a while."""

    duration: Duration | None = field("How long the warm-up lasts.", None, required=True, minimum=1e6)
    minimum_percent: float | None = field(
        "Share at the beginning (10).", None, minimum=0, maximum=100, format="double"
    )
    aggression: float | None = field("Speed of the growth, 1 being linear.", None, minimum=0, format="double")


@dataclass(frozen=True, slots=True)
class Distribute:
    """How traffic from one locality is spread over localities."""

    from_: str = field(
        "Calling locality, `region/zone/subzone`, a trailing part may be `*`.", "", json="from"
    )
    to: Map[int] = field("Locality to weight; the weights add up to 100.", EMPTY, format="uint32")


@dataclass(frozen=True, slots=True)
class Failover:
    """Where traffic of a region goes when its endpoints are unhealthy."""

    from_: str = field("Region that fails.", "", json="from")
    to: str = field("Region that takes over.", "")


@dataclass(frozen=True, slots=True)
class LocalityLoadBalancerSetting:
    """Load balancing by where endpoints are; one of distribute, failover and failoverPriority."""

    distribute: tuple[Distribute, ...] = field("Explicit weights.", ())
    failover: tuple[Failover, ...] = field("Explicit regions for failover.", ())
    failover_priority: tuple[str, ...] = field("Labels whose equality orders the endpoints.", ())
    enabled: bool | None = field("Overrides the mesh's setting.", None)


@dataclass(frozen=True, slots=True)
class LoadBalancerSettings:
    """How an endpoint is chosen."""

    simple: SimpleLB | None = field("An algorithm by name.", None, oneof="lb_policy")
    consistent_hash: ConsistentHashLB | None = field("By hash.", None, oneof="lb_policy")
    locality_lb_setting: LocalityLoadBalancerSetting | None = field("By locality.", None)
    warmup_duration_secs: Duration | None = field(
        "Length of the warm-up.", None, deprecated="use warmup", minimum=1e6
    )
    warmup: WarmupConfiguration | None = field("Warm-up of new endpoints.", None)


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """Keep-alive of the socket."""

    probes: int = field(
        "Unanswered probes until the connection is dead; the system's if 0.", 0, format="uint32"
    )
    time: Duration | None = field("Idle time before the first probe.", None, minimum=1e6)
    interval: Duration | None = field("Time between probes.", None, minimum=1e6)


@dataclass(frozen=True, slots=True)
class TCPSettings:
    """Limits of connections, TCP and HTTP."""

    max_connections: int = field("Most connections to a host (unlimited if 0).", 0, format="int32")
    connect_timeout: Duration | None = field("Limit of connecting (10s).", None, minimum=1e6)
    tcp_keepalive: TcpKeepalive | None = field("Keep-alive.", None)
    max_connection_duration: Duration | None = field("Longest life of a connection.", None, minimum=1e6)
    idle_timeout: Duration | None = field("Longest idle time of a TCP connection (1h; 0s disables).", None)


@dataclass(frozen=True, slots=True)
class HTTPSettings:
    """Limits of HTTP requests."""

    http1_max_pending_requests: int = field("Most requests waiting for a connection.", 0, format="int32")
    http2_max_requests: int = field("Most active requests to a host.", 0, format="int32")
    max_requests_per_connection: int = field(
        "Requests until a connection is closed; 1 disables keep-alive.", 0, format="int32"
    )
    max_retries: int = field("Most retries outstanding to a host.", 0, format="int32")
    idle_timeout: Duration | None = field(
        "Longest idle time of an upstream connection (1h).", None, minimum=1e6
    )
    h2_upgrade_policy: H2UpgradePolicy = field("Whether to upgrade to HTTP/2.", H2UpgradePolicy.DEFAULT)
    use_client_protocol: bool = field("Speak upstream what the client speaks.", False)
    max_concurrent_streams: int = field("Most streams on one HTTP/2 connection.", 0, format="int32")


@dataclass(frozen=True, slots=True)
class ConnectionPoolSettings:
    """Limits of a host's connection pool: circuit breakers."""

    tcp: TCPSettings | None = field("Limits of connections.", None)
    http: HTTPSettings | None = field("Limits of HTTP.", None)


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When an endpoint that keeps failing is left out for a while."""

    consecutive_errors: int = field(
        "Errors in a row.", 0, deprecated="use consecutive5xxErrors", format="int32"
    )
    split_external_local_origin_errors: bool = field("Count local failures apart.", False)
    consecutive_local_origin_failures: int | None = field(
        "Local failures in a row (5), if counted apart.", None, format="uint32"
    )
    consecutive_gateway_errors: int | None = field(
        "502, 503 or 504 in a row; 0 or none disables.", None, format="uint32"
    )
    consecutive_5xx_errors: int | None = field(
        "5xx in a row (5); 0 disables.", None, format="uint32", json="consecutive5xxErrors"
    )
    interval: Duration | None = field("Time between sweeps (10s).", None, minimum=1e6)
    base_ejection_time: Duration | None = field(
        "Shortest ejection (30s), multiplied by their number.", None, minimum=1e6
    )
    max_ejection_percent: int = field("Most endpoints ejected, in percent (10).", 0, format="int32")
    min_health_percent: int = field(
        "Detection is off below this share of healthy endpoints.", 0, format="int32"
    )


@dataclass(frozen=True, slots=True)
class ClientTLSSettings:
    """TLS towards the destination."""

    mode: ClientTLSMode = field("How TLS is begun.", ClientTLSMode.DISABLE)
    client_certificate: str = field("File of the client's certificate, for MUTUAL.", "")
    private_key: str = field("File of the client's key, for MUTUAL.", "")
    ca_certificates: str = field("File of the authorities the server must be signed by.", "")
    credential_name: str = field("Secret that holds them, instead of files.", "")
    subject_alt_names: tuple[str, ...] = field("Names of which the server's certificate must bear one.", ())
    sni: str = field("Server name that is sent.", "")
    insecure_skip_verify: bool | None = field("Do not verify the server at all.", None)
    ca_crl: str = field("File of the revocation list.", "")


@dataclass(frozen=True, slots=True)
class TunnelSettings:
    """TCP carried inside an HTTP tunnel to the destination."""

    protocol: str = field("CONNECT (default) or POST.", "")
    target_host: str = field("Host the tunnel ends at.", "", required=True)
    target_port: int = field("Port the tunnel ends at.", 0, required=True, format="uint32")


@dataclass(frozen=True, slots=True)
class ProxyProtocol:
    """A PROXY header at the start of upstream connections."""

    version: ProxyProtocolVersion = field("Version of the header.", ProxyProtocolVersion.V1)


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries limited to a share of the active requests."""

    percent: float | None = field("Share in percent (20).", None, minimum=0, maximum=100, format="double")
    min_retry_concurrency: int = field("Retries always allowed (3 if 0).", 0, format="uint32")


@dataclass(frozen=True, slots=True)
class PortTrafficPolicy:
    """Settings for one port; they replace, and are not merged with, the destination's."""

    port: PortSelector | None = field("The port.", None)
    load_balancer: LoadBalancerSettings | None = field("How an endpoint is chosen.", None)
    connection_pool: ConnectionPoolSettings | None = field("Limits of the pool.", None)
    outlier_detection: OutlierDetection | None = field("When endpoints are ejected.", None)
    tls: ClientTLSSettings | None = field("TLS towards the destination.", None)


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """Settings for all ports of a destination."""

    load_balancer: LoadBalancerSettings | None = field("How an endpoint is chosen.", None)
    connection_pool: ConnectionPoolSettings | None = field("Limits of the pool.", None)
    outlier_detection: OutlierDetection | None = field("When endpoints are ejected.", None)
    tls: ClientTLSSettings | None = field("TLS towards the destination.", None)
    port_level_settings: tuple[PortTrafficPolicy, ...] = field(
        "Settings of single ports.", (), max_items=4096
    )
    tunnel: TunnelSettings | None = field("Carry TCP in an HTTP tunnel.", None)
    proxy_protocol: ProxyProtocol | None = field("Send a PROXY header.", None)
    retry_budget: RetryBudget | None = field("Limit of concurrent retries.", None)


@dataclass(frozen=True, slots=True)
class Subset:
    """A named part of a host's endpoints, such as a version."""

    name: str = field("Name that routes refer to.", "", required=True)
    labels: Map[str] = field("Labels the endpoints must bear.", EMPTY)
    traffic_policy: TrafficPolicy | None = field("Settings that override the host's.", None)


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """Settings for traffic to a host."""

    host: str = field("Host of a service; a leading `*` allowed.", "", required=True)
    traffic_policy: TrafficPolicy | None = field("Settings for all of the host.", None)
    subsets: tuple[Subset, ...] = field("Named parts of the host.", ())
    export_to: tuple[str, ...] = field(
        "Namespaces that see it: `.` its own, `*` all; as the mesh has it if empty.", ()
    )
    workload_selector: LabelSelector | None = field("Calling workloads it is for; all if not given.", None)


DESTINATION_RULE: Kind[DestinationRule] = Kind(
    name="DestinationRule",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="destinationrules",
    singular="destinationrule",
    short=("dr",),
    categories=("istio-io", "networking-istio-io"),
    model=DestinationRule,
    columns=(
        Column("Host", "string", ".spec.host", "The host of a service in the registry."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Settings for traffic to a host after routing: subsets, load balancing, pools, outliers, TLS.",
)
