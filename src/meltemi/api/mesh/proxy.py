"""ProxyConfig, the message: how a proxy is started (mesh/v1alpha1/proxy.proto).

It stands in MeshConfig's `defaultConfig` and in a Pod's annotation `proxy.istio.io/config`. Its defaults here are
those of a mesh that says nothing (pkg/config/mesh), so that `ProxyConfig()` is what a proxy then gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import SECOND, Duration
from meltemi.api.mesh.tracing import Tracing
from meltemi.api.networking.destination_rule import ClientTLSSettings, TcpKeepalive
from meltemi.api.networking.proxy_config import ProxyImage
from meltemi.api.networking.workload_group import ReadinessProbe
from meltemi.api.values import EMPTY, Map


class AuthenticationPolicy(Enum):
    """How a proxy and the control plane know each other."""

    NONE = 0
    MUTUAL_TLS = 1
    INHERIT = 1000


class ForwardClientCertDetails(Enum):
    """What becomes of the header x-forwarded-client-cert."""

    UNDEFINED = 0
    SANITIZE = 1
    FORWARD_ONLY = 2
    APPEND_FORWARD = 3
    SANITIZE_SET = 4
    ALWAYS_FORWARD_ONLY = 5


class TracingServiceName(Enum):
    """What a proxy calls its service in spans."""

    APP_LABEL_AND_NAMESPACE = 0
    CANONICAL_NAME_ONLY = 1
    CANONICAL_NAME_AND_NAMESPACE = 2


class InboundInterceptionMode(Enum):
    """How inbound traffic gets to the proxy."""

    REDIRECT = 0
    TPROXY = 1
    NONE = 2


class MetadataExchangeMode(Enum):
    """Where a proxy sends its own metadata along."""

    UNDEFINED = 0
    IN_MESH = 1


@dataclass(frozen=True, slots=True)
class SDS:
    """Secrets over SDS; today's proxies always get them so."""

    enabled: bool = field("Whether SDS is used.", False)
    k8s_sa_jwt_path: str = field("File of the service account's token.", "", json="k8sSaJwtPath")


@dataclass(frozen=True, slots=True)
class ProxyProtocolConfiguration:
    """Expect a PROXY header at the start of connections."""


@dataclass(frozen=True, slots=True)
class Topology:
    """What stands in front of a gateway."""

    num_trusted_proxies: int = field("Proxies whose x-forwarded-for is believed.", 0, format="uint32")
    forward_client_cert_details: ForwardClientCertDetails = field(
        "What becomes of x-forwarded-client-cert.", ForwardClientCertDetails.UNDEFINED
    )
    proxy_protocol: ProxyProtocolConfiguration | None = field("Expect a PROXY header.", None)


@dataclass(frozen=True, slots=True)
class CryptoMb:
    """Private-key operations batched for the CPU's vector units."""

    poll_delay: Duration | None = field("Longest wait for a batch to fill.", None)
    fallback: bool | None = field("Use plain TLS where the CPU has no such units (false).", None)


@dataclass(frozen=True, slots=True)
class QAT:
    """Private-key operations on a QuickAssist device."""

    poll_delay: Duration | None = field("Time between looks at the device.", None)
    fallback: bool | None = field("Use plain TLS where there is no device (false).", None)


@dataclass(frozen=True, slots=True)
class PrivateKeyProvider:
    """Hardware that does private-key operations."""

    cryptomb: CryptoMb | None = field("The CPU's vector units.", None, oneof="provider")
    qat: QAT | None = field("A QuickAssist device.", None, oneof="provider")


@dataclass(frozen=True, slots=True)
class RemoteService:
    """A service that the proxy itself reports to."""

    address: str = field("Host and port.", "")
    tls_settings: ClientTLSSettings | None = field("TLS towards it.", None)
    tcp_keepalive: TcpKeepalive | None = field("Keep-alive of the connection.", None)


@dataclass(frozen=True, slots=True)
class ProxyStatsMatcher:
    """Statistics of Envoy that are kept besides Istio's own."""

    inclusion_prefixes: tuple[str, ...] = field("Names that begin so.", ())
    inclusion_suffixes: tuple[str, ...] = field("Names that end so.", ())
    inclusion_regexps: tuple[str, ...] = field("Names that match these RE2 expressions.", ())


@dataclass(frozen=True, slots=True)
class Disabled:
    """Something that can be switched off."""

    disabled: bool | None = field("Whether it is off (false).", None)


@dataclass(frozen=True, slots=True)
class Enabled:
    """Something that can be switched on."""

    enabled: bool | None = field("Whether it is on (false).", None)


@dataclass(frozen=True, slots=True)
class ServerHeader:
    """The header `server` of answers."""

    disabled: bool | None = field("Pass on what the application sends (false).", None)
    value: str = field("What the proxy says (istio-envoy).", "")


@dataclass(frozen=True, slots=True)
class MetadataExchangeHeaders:
    """The headers by which proxies tell who they are."""

    mode: MetadataExchangeMode = field("Where they are sent.", MetadataExchangeMode.UNDEFINED)


@dataclass(frozen=True, slots=True)
class SetCurrentClientCertDetails:
    """What x-forwarded-client-cert says of the caller's certificate."""

    subject: bool | None = field("Its subject (true).", None)
    cert: bool | None = field("The certificate itself (false).", None)
    chain: bool | None = field("The whole chain (false).", None)
    dns: bool | None = field("Its DNS names (true).", None)
    uri: bool | None = field("Its URIs (true).", None)


@dataclass(frozen=True, slots=True)
class ProxyHeaders:
    """Which headers the proxy sets."""

    forwarded_client_cert: ForwardClientCertDetails = field(
        "What becomes of x-forwarded-client-cert.", ForwardClientCertDetails.UNDEFINED
    )
    set_current_client_cert_details: SetCurrentClientCertDetails | None = field(
        "What x-forwarded-client-cert says.", None
    )
    request_id: Disabled | None = field("The header x-request-id.", None)
    server: ServerHeader | None = field("The header server.", None)
    attempt_count: Disabled | None = field("The header x-envoy-attempt-count.", None)
    envoy_debug_headers: Disabled | None = field("Further headers x-envoy-*.", None)
    metadata_exchange_headers: MetadataExchangeHeaders | None = field(
        "The headers x-envoy-peer-metadata.", None
    )
    preserve_http1_header_case: bool | None = field(
        "Keep the case of HTTP/1.1 headers (false).", None, json="preserveHttp1HeaderCase"
    )
    x_forwarded_host: Enabled | None = field("The header x-forwarded-host.", None)
    x_forwarded_port: Enabled | None = field("The header x-forwarded-port.", None)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """How a proxy is started; a change needs a restart of the Pod."""

    config_path: str = field("Folder of the generated files.", "./etc/istio/proxy")
    binary_path: str = field("File of the proxy.", "/usr/local/bin/envoy")
    service_cluster: str | None = field("What Envoy calls its service.", None, oneof="cluster_name")
    tracing_service_name: TracingServiceName | None = field(
        "How Envoy's service is called in spans.", None, oneof="cluster_name"
    )
    drain_duration: Duration = field("How long a hot restart drains.", Duration(45 * SECOND))
    discovery_address: str = field("Host and port of discovery.", "istiod.istio-system.svc:15012")
    discovery_refresh_delay: Duration | None = field(
        "Time between polls of discovery (Istio 1.0).", None, deprecated="discovery is pushed"
    )
    zipkin_address: str = field(
        "Host and port of Zipkin (Istio 1.0).", "", deprecated="use a Telemetry, or tracing.zipkin"
    )
    statsd_udp_address: str = field("Host and port of a statsd server.", "")
    envoy_metrics_service_address: str = field(
        "Host and port that metrics are sent to.", "", deprecated="use envoyMetricsService"
    )
    proxy_admin_port: int = field("Port of Envoy's administration.", 15000, format="int32")
    availability_zone: str = field("Zone of the proxy.", "", deprecated="the node's labels say it")
    control_plane_auth_policy: AuthenticationPolicy = field(
        "How proxy and control plane know each other.", AuthenticationPolicy.MUTUAL_TLS
    )
    custom_config_file: str = field("File of a bootstrap that replaces the generated one.", "")
    stat_name_length: int = field("Longest name of a statistic.", 189, format="int32")
    concurrency: int | None = field("Worker threads; 0 is one for each CPU.", None, format="int32")
    proxy_bootstrap_template_path: str = field("File of the bootstrap's template.", "")
    interception_mode: InboundInterceptionMode = field(
        "How inbound traffic gets to the proxy.", InboundInterceptionMode.REDIRECT
    )
    tracing: Tracing | None = field("Which requests are traced, and where spans go.", None)
    sds: SDS | None = field("Secrets over SDS.", None, deprecated="SDS is always used")
    envoy_access_log_service: RemoteService | None = field("Where access logs are sent over gRPC.", None)
    envoy_metrics_service: RemoteService | None = field("Where metrics are sent over gRPC.", None)
    proxy_metadata: Map[str] = field("Variables of the proxy's environment; ISTIO_META_* is metadata.", EMPTY)
    runtime_values: Map[str] = field("Runtime flags of Envoy.", EMPTY)
    status_port: int = field("Port of the agent's health and metrics.", 15020, format="int32")
    extra_stat_tags: tuple[str, ...] = field("Further tags that metrics may have.", ())
    gateway_topology: Topology | None = field("What stands in front of a gateway.", None)
    termination_drain_duration: Duration = field("How long an ending proxy drains.", Duration(5 * SECOND))
    mesh_id: str = field("Name of the mesh among several.", "")
    readiness_probe: ReadinessProbe | None = field(
        "How the agent of a workload outside of Kubernetes finds out whether it serves.", None
    )
    proxy_stats_matcher: ProxyStatsMatcher | None = field("Statistics that are kept besides.", None)
    hold_application_until_proxy_starts: bool | None = field(
        "Start the application after the proxy (false).", None
    )
    ca_certificates_pem: tuple[str, ...] = field("Further authorities that peers are trusted by, as PEM.", ())
    image: ProxyImage | None = field("Which build of the proxy runs.", None)
    private_key_provider: PrivateKeyProvider | None = field("Hardware for private keys.", None)
    proxy_headers: ProxyHeaders | None = field("Which headers the proxy sets.", None)
    file_flush_interval: Duration | None = field("Time between writes of a log (1s).", None)
    file_flush_min_size_kb: int | None = field(
        "Size of a log's buffer that is written at once, in KiB (64).", None, format="uint32"
    )
    stats_compression: bool | None = field("Answer metrics compressed (true).", None)
    parent_shutdown_duration: Duration | None = field(
        "When a hot restart ends the old process (Istio 1.0).", None, deprecated="there are no hot restarts"
    )
    connect_timeout: Duration | None = field(
        "Limit of connecting to discovery (Istio 1.0).", None, deprecated="it has no effect"
    )
