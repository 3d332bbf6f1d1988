"""Istio's names of listeners, clusters, routes: users' dashboards and EnvoyFilters know them by heart."""

from __future__ import annotations

ISTIO_VERSION = "1.30.3"
"""The release of Istio that proxies say they are of: what they are given is as that release has it."""

PASSTHROUGH = "PassthroughCluster"
BLACK_HOLE = "BlackHoleCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"

XDS_CLUSTER = "xds-grpc"
SDS_CLUSTER = "sds-grpc"
PROMETHEUS_CLUSTER = "prometheus_stats"
AGENT_CLUSTER = "agent"
STATIC_CLUSTERS = frozenset({XDS_CLUSTER, SDS_CLUSTER, PROMETHEUS_CLUSTER, AGENT_CLUSTER})
"""Clusters of every proxy's bootstrap: Envoy passes over what comes later under their names."""

WORKLOAD_CERTIFICATE = "default"
ROOT_CERTIFICATE = "ROOTCA"
AUTHORITIES_SUFFIX = "-cacert"
"""Ends the name of a credential that holds authorities alone."""

CERTIFICATE_PROVIDER = "default"
"""What gRPC without a proxy calls the files of its certificates (`certificate_providers`)."""
SERVER_LISTENER = "xds.istio.io/grpc/lds/inbound/"
"""Begins the name of the listener that a gRPC server without a proxy asks for; `ADDRESS:PORT` ends it."""

PROXY_PORT = 15001
INBOUND_PORT = 15006
BYTES_ALPN = ("istio", "istio-peer-exchange")
"""ALPN of Istio mutual TLS that carries bytes."""
HTTP_MTLS_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""ALPN of Istio mutual TLS that carries HTTP."""
MTLS_ALPN = (*BYTES_ALPN, *HTTP_MTLS_ALPN)
"""ALPN by which an inbound listener knows Istio mutual TLS from an app's own TLS."""

ANY_ADDRESS = "0.0.0.0"
LOOPBACK = "127.0.0.1"
INBOUND_BIND = "127.0.0.6"
"""Source address of what a sidecar sends to its own app, so that the redirect rules let it through."""


def outbound_cluster(host: str, port: int, subset: str = "") -> str:
    """Name the cluster of a service's port, or of one of its subsets."""
    return f"outbound|{port}|{subset}|{host}"


def port_of(cluster: str) -> int:
    """Return the port in the name of an outbound cluster."""
    return int(cluster.split("|", 2)[1])


def inbound_cluster(port: int) -> str:
    """Name the cluster that leads to the app's own port."""
    return f"inbound|{port}||"


def sni(host: str, port: int, subset: str = "") -> str:
    """Name the SNI by which a mesh-internal TLS connection says its cluster."""
    return f"outbound_.{port}_.{subset}_.{host}"


def listener(address: str, port: int) -> str:
    """Name a listener by what it stands for: a service's address, or 0.0.0.0, and its port."""
    return f"{address}_{port}"


def socket_route(path: str) -> str:
    """Name the RouteConfiguration of a unix domain socket that a Sidecar's egress opens, `unix://` and its path."""
    return path


def sidecar_route(port: int) -> str:
    """Name the RouteConfiguration that a sidecar uses for all HTTP on a port."""
    return str(port)


HTTP_PROXY_ROUTE = "http_proxy"
"""Name of the RouteConfiguration of the HTTP proxy that the mesh's `proxyHttpPort` opens."""


def service_route(host: str, port: int) -> str:
    """Name the RouteConfiguration of one service's port (protocol to be detected)."""
    return f"{host}:{port}"


def gateway_route(port: int, bind: str = "") -> str:
    """Name the RouteConfiguration of a gateway's plain HTTP port, as the pod listens on it."""
    return f"http.{port}.{bind}" if bind else f"http.{port}"


def https_route(port: int, port_name: str, gateway: str, namespace: str) -> str:
    """Name the RouteConfiguration of one HTTPS server of a gateway, by the port as the Gateway has it."""
    return f"https.{port}.{port_name}.{gateway}.{namespace}"


def credential(secret: str) -> str:
    """Name the secret that the control plane makes of a Secret for a gateway."""
    return f"kubernetes://{secret}"


def map_authorities(config_map: str) -> str:
    """Name the secret of authorities that the control plane makes of a ConfigMap for a gateway."""
    return f"configmap://{config_map}{AUTHORITIES_SUFFIX}"


def client_authorities(sources: tuple[tuple[str, str, str], ...]) -> str:
    """Name the secret of authorities of a Gateway's clients, by (kind, namespace, name) of what they are read of."""
    listed = ",".join("/".join((kind.lower(), *place)) for kind, *place in sources)
    return f"kubernetes-gateway-clients://{listed}"


def file_certificate(chain: str, key: str) -> str:
    """Name the secret of a certificate and its key that a Gateway names as files."""
    return f"file-cert:{chain}~{key}"


def file_authorities(roots: str, crl: str = "") -> str:
    """Name the secret of authorities that a Gateway names as a file, with a revocation list or without."""
    return f"file-root:{roots}~{crl}" if crl else f"file-root:{roots}"


def spiffe(trust_domain: str, namespace: str, account: str) -> str:
    """Return the SPIFFE id of a service account."""
    return f"{spiffe_domain(trust_domain)}ns/{namespace}/sa/{account}"


def spiffe_domain(trust_domain: str) -> str:
    """Return what the SPIFFE ids of a trust domain begin with."""
    return f"spiffe://{trust_domain}/"
