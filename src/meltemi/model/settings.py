"""Mesh settings: each a fact of its own, with MeshConfig's default where it is not set.

A setting that nobody reads costs nothing when it changes; one that is read wakes its readers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from meltemi.api.networking.destination_rule import LocalityLoadBalancerSetting, TcpKeepalive
from meltemi.api.networking.virtual_service import HTTPRetry
from meltemi.model.facts import SETTING
from meltemi.query import Db

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One mesh setting: `name` is its path in MeshConfig; durations are seconds.

    A fact of another type than the default's is not believed: the default stands.
    """

    name: str
    default: T

    def read(self, q: Db) -> T:
        """Return the setting's value, or its default."""
        value = q.fact(SETTING, "", self.name)
        return value if value is not None and isinstance(value, type(self.default)) else self.default


ROOT_NAMESPACE = Setting("rootNamespace", "istio-system")
TRUST_DOMAIN = Setting("trustDomain", "cluster.local")
CLUSTER_DOMAIN = Setting("clusterDomain", "cluster.local")
"""The DNS suffix of Kubernetes Services; no field of MeshConfig (istiod's flag --domain)."""
ENABLE_AUTO_MTLS = Setting("enableAutoMtls", True)
OUTBOUND_TRAFFIC_POLICY = Setting("outboundTrafficPolicy.mode", "ALLOW_ANY")
CONNECT_TIMEOUT = Setting("connectTimeout", 10.0)
SYSTEM_ROOTS = Setting("systemRoots", "/etc/ssl/certs/ca-certificates.crt")
"""File of the authorities that a proxy's system trusts; no field of MeshConfig."""
PROTOCOL_DETECTION_TIMEOUT = Setting("protocolDetectionTimeout", 0.0)
DEFAULT_RETRY = Setting("defaultHttpRetryPolicy", HTTPRetry(attempts=2))
"""Conditions that are not given are Istio's default ones."""
LOCALITY = Setting("localityLbSetting", LocalityLoadBalancerSetting(enabled=True))
TCP_KEEPALIVE = Setting("tcpKeepalive", TcpKeepalive())
PROXY_HTTP_PORT = Setting("proxyHttpPort", 0)
"""Where every sidecar is an HTTP proxy for its app, on loopback; 0 is nowhere."""
INBOUND_TRAFFIC_POLICY = Setting("inboundTrafficPolicy.mode", "PASSTHROUGH")
INBOUND_STAT_NAME = Setting("inboundClusterStatName", "")
OUTBOUND_STAT_NAME = Setting("outboundClusterStatName", "")
H2_UPGRADE_POLICY = Setting("h2UpgradePolicy", "DO_NOT_UPGRADE")
TRUST_DOMAIN_ALIASES: Setting[tuple[str, ...]] = Setting("trustDomainAliases", ())
PATH_NORMALIZATION = Setting("pathNormalization.normalization", "DEFAULT")
MESH_TLS_LOWEST = Setting("meshMTLS.minProtocolVersion", "TLS_AUTO")
MESH_TLS_CIPHERS: Setting[tuple[str, ...]] = Setting("meshMTLS.cipherSuites", ())
TLS_LOWEST = Setting("tlsDefaults.minProtocolVersion", "TLS_AUTO")
"""For TLS that gateways end, where their Gateway does not say; clients do not heed it, as in Istio."""
TLS_CIPHERS: Setting[tuple[str, ...]] = Setting("tlsDefaults.cipherSuites", ())
"""For TLS that gateways end and that clients begin, but not the mesh's own."""
TLS_CURVES: Setting[tuple[str, ...]] = Setting("tlsDefaults.ecdhCurves", ())
DNS_REFRESH_RATE = Setting("dnsRefreshRate", 60.0)
DEFAULT_SERVICE_EXPORT_TO: Setting[tuple[str, ...]] = Setting("defaultServiceExportTo", ("*",))
DEFAULT_VIRTUAL_SERVICE_EXPORT_TO: Setting[tuple[str, ...]] = Setting("defaultVirtualServiceExportTo", ("*",))
DEFAULT_DESTINATION_RULE_EXPORT_TO: Setting[tuple[str, ...]] = Setting(
    "defaultDestinationRuleExportTo", ("*",)
)

INGRESS_CONTROLLER_MODE = Setting("ingressControllerMode", "STRICT")
"""OFF: no Ingress is the mesh's. DEFAULT: also those without a class. STRICT: those of its class."""
INGRESS_CLASS = Setting("ingressClass", "istio")
INGRESS_SERVICE = Setting("ingressService", "istio-ingressgateway")
INGRESS_SELECTOR = Setting("ingressSelector", "")

SETTINGS: tuple[Setting[object], ...] = cast(
    "tuple[Setting[object], ...]",
    (
        ROOT_NAMESPACE,
        TRUST_DOMAIN,
        CLUSTER_DOMAIN,
        ENABLE_AUTO_MTLS,
        OUTBOUND_TRAFFIC_POLICY,
        CONNECT_TIMEOUT,
        SYSTEM_ROOTS,
        PROTOCOL_DETECTION_TIMEOUT,
        DEFAULT_RETRY,
        LOCALITY,
        TCP_KEEPALIVE,
        PROXY_HTTP_PORT,
        INBOUND_TRAFFIC_POLICY,
        INBOUND_STAT_NAME,
        OUTBOUND_STAT_NAME,
        H2_UPGRADE_POLICY,
        TRUST_DOMAIN_ALIASES,
        PATH_NORMALIZATION,
        MESH_TLS_LOWEST,
        MESH_TLS_CIPHERS,
        TLS_LOWEST,
        TLS_CIPHERS,
        TLS_CURVES,
        DNS_REFRESH_RATE,
        DEFAULT_SERVICE_EXPORT_TO,
        DEFAULT_VIRTUAL_SERVICE_EXPORT_TO,
        DEFAULT_DESTINATION_RULE_EXPORT_TO,
        INGRESS_CONTROLLER_MODE,
        INGRESS_CLASS,
        INGRESS_SERVICE,
        INGRESS_SELECTOR,
    ),
)
"""All settings there are; whoever turns a MeshConfig into facts takes the names from here."""
