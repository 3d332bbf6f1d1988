"""MeshConfig: settings of the whole mesh (mesh/v1alpha1/config.proto, of Istio 1.0 and of today).

No Kubernetes kind: the text below the key `mesh` of the ConfigMap `istio`. Defaults here are those of a mesh that says
nothing (pkg/config/mesh), so that `MeshConfig()` is the mesh without a ConfigMap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import SECOND, Duration
from meltemi.api.mesh.providers import BUILT_IN, ExtensionProvider
from meltemi.api.mesh.proxy import ProxyConfig
from meltemi.api.networking.destination_rule import (
    ClientTLSSettings,
    LocalityLoadBalancerSetting,
    TcpKeepalive,
)
from meltemi.api.networking.virtual_service import HTTPRetry
from meltemi.api.values import EMPTY, Map


class IngressControllerMode(Enum):
    """Which Ingress objects are this mesh's."""

    UNSPECIFIED = 0
    OFF = 1
    DEFAULT = 2
    STRICT = 3


class AuthPolicy(Enum):
    """Whether proxies use mutual TLS among each other (Istio 1.0)."""

    NONE = 0
    MUTUAL_TLS = 1


class AccessLogEncoding(Enum):
    """What a line of the access log is."""

    TEXT = 0
    JSON = 1


class OutboundTrafficMode(Enum):
    """What becomes of traffic to where no service is known."""

    REGISTRY_ONLY = 0
    ALLOW_ANY = 1
    VIRTUAL_SERVICE_ONLY = 2
    ALLOW_ANY_DYNAMIC_DNS = 3


class InboundTrafficMode(Enum):
    """Which address of the workload inbound traffic is sent to."""

    PASSTHROUGH = 0
    LOCALHOST = 1


class MeshH2UpgradePolicy(Enum):
    """Whether HTTP/1.1 is spoken as HTTP/2 upstream."""

    DO_NOT_UPGRADE = 0
    UPGRADE = 1


class Resource(Enum):
    """What a source of configuration is asked for."""

    SERVICE_REGISTRY = 0


class ServiceScope(Enum):
    """Whether other clusters see a service."""

    LOCAL = 0
    GLOBAL = 1


class NormalizationType(Enum):
    """What is done to a path before rules see it."""

    DEFAULT = 0
    NONE = 1
    BASE = 2
    MERGE_SLASHES = 3
    DECODE_AND_MERGE_SLASHES = 4


class TLSProtocol(Enum):
    """Lowest version of TLS."""

    TLS_AUTO = 0
    TLSV1_2 = 1
    TLSV1_3 = 2


@dataclass(frozen=True, slots=True)
class OutboundTrafficPolicy:
    """What becomes of traffic to where no service is known."""

    mode: OutboundTrafficMode = field("Refuse it, or let it pass.", OutboundTrafficMode.ALLOW_ANY)
    tls: ClientTLSSettings | None = field("TLS that ALLOW_ANY_DYNAMIC_DNS begins.", None)


@dataclass(frozen=True, slots=True)
class InboundTrafficPolicy:
    """How inbound traffic is handed to the workload."""

    mode: InboundTrafficMode = field("To which of its addresses.", InboundTrafficMode.PASSTHROUGH)


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where configuration comes from."""

    address: str = field("Address of the source: xds://, fs:/// or k8s://.", "")
    tls_settings: ClientTLSSettings | None = field("TLS towards it.", None)
    subscribed_resources: tuple[Resource, ...] = field("What it is asked for; all if empty.", ())


@dataclass(frozen=True, slots=True)
class CertificateData:
    """An authority that workloads of the mesh may be signed by, besides the mesh's own."""

    pem: str | None = field("Its certificate.", None, oneof="certificate_data")
    spiffe_bundle_url: str | None = field(
        "Where its SPIFFE bundle is fetched.", None, oneof="certificate_data"
    )
    cert_signers: tuple[str, ...] = field("Kubernetes signers whose certificates it verifies.", ())
    trust_domains: tuple[str, ...] = field("Trust domains it is believed for.", ())


@dataclass(frozen=True, slots=True)
class ServiceFlags:
    """What holds for some services."""

    cluster_local: bool = field("Callers use endpoints of their own cluster only.", False)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Settings of services by host."""

    settings: ServiceFlags | None = field("What holds for them.", None)
    hosts: tuple[str, ...] = field("Hosts; a leading `*` allowed.", ())


@dataclass(frozen=True, slots=True)
class LabelSelectorRequirement:
    """What a label must be."""

    key: str = field("The label.", "")
    operator: str = field("In, NotIn, Exists or DoesNotExist.", "")
    values: tuple[str, ...] = field("Values, for In and NotIn.", ())


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Objects by label, as Kubernetes has it; all that is given must hold."""

    match_labels: Map[str] = field("Labels they must bear.", EMPTY)
    match_expressions: tuple[LabelSelectorRequirement, ...] = field("What further labels must be.", ())


@dataclass(frozen=True, slots=True)
class ServiceScopeConfigs:
    """Which services other clusters see."""

    namespace_selector: LabelSelector | None = field("Namespaces it is for; all if not given.", None)
    services_selector: LabelSelector | None = field("Services it is for; all if not given.", None)
    scope: ServiceScope = field("Whether others see them.", ServiceScope.LOCAL)


@dataclass(frozen=True, slots=True)
class CA:
    """An authority outside of the mesh that signs its workloads."""

    address: str = field("Host and port of the authority.", "", required=True)
    tls_settings: ClientTLSSettings | None = field("TLS towards it.", None)
    request_timeout: Duration | None = field("Limit of a request (10s).", None)
    istiod_side: bool = field("Whether the control plane asks it for the proxies (true).", False)


@dataclass(frozen=True, slots=True)
class DefaultProviders:
    """Providers that are used where no Telemetry names one."""

    tracing: tuple[str, ...] = field("For spans.", ())
    metrics: tuple[str, ...] = field("For metrics.", ())
    access_logging: tuple[str, ...] = field("For access logs.", ())


@dataclass(frozen=True, slots=True)
class ProxyPathNormalization:
    """What is done to a path before rules see it."""

    normalization: NormalizationType = field("How much.", NormalizationType.DEFAULT)


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """What TLS may use."""

    min_protocol_version: TLSProtocol = field("Lowest version.", TLSProtocol.TLS_AUTO)
    ecdh_curves: tuple[str, ...] = field("Curves, best first.", ())
    cipher_suites: tuple[str, ...] = field("Ciphers of TLS 1.2, best first.", ())


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that the control plane makes (Istio 1.3 to 1.29)."""

    secret_name: str = field("Secret it is kept in.", "")
    dns_names: tuple[str, ...] = field("Names it bears.", ())


_MIXER = "today's Istio has no Mixer"


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """Settings of the whole mesh."""

    proxy_listen_port: int = field("Port that proxies get outbound traffic at.", 15001, format="int32")
    proxy_inbound_listen_port: int = field("Port that proxies get inbound traffic at.", 15006, format="int32")
    proxy_http_port: int = field("Port of an HTTP proxy for applications; none if 0.", 0, format="int32")
    connect_timeout: Duration = field("Limit of connecting to a service.", Duration(10 * SECOND))
    hbone_idle_timeout: Duration | None = field("Longest idle time of an HBONE connection (1h).", None)
    protocol_detection_timeout: Duration = field(
        "How long to wait for a protocol to show itself; 0s is as long as it takes.", Duration()
    )
    tcp_keepalive: TcpKeepalive | None = field("Keep-alive of upstream connections.", None)
    ingress_class: str = field("Class of the Ingress objects that are the mesh's.", "istio")
    ingress_service: str = field("Service of the gateway for Ingress.", "istio-ingressgateway")
    ingress_controller_mode: IngressControllerMode = field(
        "Which Ingress objects are the mesh's.", IngressControllerMode.STRICT
    )
    ingress_selector: str = field("Label `istio` of the gateway for Ingress.", "")
    enable_tracing: bool = field("Whether proxies trace requests.", True)
    access_log_file: str = field("File of the access log; off if empty.", "")
    access_log_format: str = field("What a line of it holds; Istio's default if empty.", "")
    access_log_encoding: AccessLogEncoding = field("What a line of it is.", AccessLogEncoding.TEXT)
    enable_envoy_access_log_service: bool = field("Send access logs over gRPC.", False)
    disable_envoy_listener_log: bool = field("Do not log connections that match no listener.", False)
    default_config: ProxyConfig = field("How proxies are started; merged with the defaults.", ProxyConfig())
    outbound_traffic_policy: OutboundTrafficPolicy = field(
        "What becomes of traffic to where no service is known.",
        OutboundTrafficPolicy(),
    )
    inbound_traffic_policy: InboundTrafficPolicy | None = field("How inbound traffic is handed on.", None)
    config_sources: tuple[ConfigSource, ...] = field("Where configuration comes from; the API if empty.", ())
    enable_auto_mtls: bool = field("Use mutual TLS wherever the peer can.", True)
    trust_domain: str = field("Trust domain of the mesh's identities.", "cluster.local")
    trust_domain_aliases: tuple[str, ...] = field("Trust domains that are treated as the mesh's own.", ())
    ca_certificates: tuple[CertificateData, ...] = field("Further authorities that peers are trusted by.", ())
    default_service_export_to: tuple[str, ...] = field(
        "Who sees services that do not say it: `.` their namespace, `*` all, `~` none.", ("*",)
    )
    default_virtual_service_export_to: tuple[str, ...] = field(
        "Who sees virtual services that do not say it.", ("*",)
    )
    default_destination_rule_export_to: tuple[str, ...] = field(
        "Who sees destination rules that do not say it.", ("*",)
    )
    root_namespace: str = field("Namespace whose policies hold for the whole mesh.", "istio-system")
    locality_lb_setting: LocalityLoadBalancerSetting = field(
        "Load balancing by where endpoints are.",
        LocalityLoadBalancerSetting(enabled=True),
    )
    dns_refresh_rate: Duration = field("How long a DNS answer without ttl is kept.", Duration(60 * SECOND))
    h2_upgrade_policy: MeshH2UpgradePolicy = field(
        "Whether to upgrade to HTTP/2.", MeshH2UpgradePolicy.DO_NOT_UPGRADE
    )
    inbound_cluster_stat_name: str = field("Pattern of inbound clusters' names in statistics.", "")
    outbound_cluster_stat_name: str = field("Pattern of outbound clusters' names in statistics.", "")
    certificates: tuple[Certificate, ...] = field(
        "Certificates that the control plane makes.", (), deprecated="it has no effect"
    )
    service_settings: tuple[ServiceSettings, ...] = field("Settings of services by host.", ())
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = field("Which services other clusters see.", ())
    enable_prometheus_merge: bool = field("Answer metrics of proxy and application as one.", True)
    verify_certificate_at_client: bool | None = field(
        "Verify servers by the system's authorities if no others are given.",
        None,
        deprecated="it is always so",
    )
    ca: CA | None = field("An authority outside of the mesh.", None)
    extension_providers: tuple[ExtensionProvider, ...] = field("Services that policies refer to by name.", ())
    default_providers: DefaultProviders = field("Providers where no Telemetry names one.", DefaultProviders())
    discovery_selectors: tuple[LabelSelector, ...] = field("Namespaces the mesh sees; all if empty.", ())
    path_normalization: ProxyPathNormalization | None = field(
        "What is done to a path before rules see it.", None
    )
    default_http_retry_policy: HTTPRetry | None = field(
        "How failures are retried if nothing else says.", None
    )
    mesh_mtls: TLSConfig | None = field("What mutual TLS within the mesh may use.", None, json="meshMTLS")
    tls_defaults: TLSConfig | None = field("What other TLS may use.", None)
    mixer_check_server: str = field("Host and port of checks (Istio 1.0).", "", deprecated=_MIXER)
    mixer_report_server: str = field("Host and port of reports (Istio 1.0).", "", deprecated=_MIXER)
    mixer_address: str = field("Host and port of Mixer (Istio 0.x).", "", deprecated=_MIXER)
    disable_policy_checks: bool = field("Do not check requests (Istio 1.0).", False, deprecated=_MIXER)
    policy_check_fail_open: bool = field(
        "Let requests pass while Mixer cannot be asked (Istio 1.0).", False, deprecated=_MIXER
    )
    enable_client_side_policy_check: bool = field(
        "Check requests at the caller, too (Istio 1.0).", False, deprecated=_MIXER
    )
    auth_policy: AuthPolicy = field(
        "Whether proxies use mutual TLS among each other (Istio 1.0).",
        AuthPolicy.NONE,
        deprecated="use a PeerAuthentication in the root namespace",
    )
    rds_refresh_delay: Duration | None = field(
        "Time between polls of routes (Istio 1.0).", None, deprecated="discovery is pushed"
    )
    sds_uds_path: str = field("Socket of secrets (Istio 1.0).", "", deprecated="SDS is always used")
    sds_refresh_delay: Duration | None = field(
        "Time between polls of secrets (Istio 1.0).", None, deprecated="secrets are pushed"
    )

    @property
    def providers(self) -> tuple[ExtensionProvider, ...]:
        """All providers: those that every mesh has, unless replaced by name, then the mesh's own."""
        own = {provider.name: provider for provider in self.extension_providers}
        return (*(own.pop(one.name, one) for one in BUILT_IN), *own.values())
