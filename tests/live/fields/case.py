"""What a case of the field ledger is: documents with a field, what to ask, and what must be seen only with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.live.fields.asking import GATEWAY, Ask

Document = dict[str, Any]
Answer = dict[str, Any]

VIRTUAL_SERVICE = "virtualservices.networking.istio.io"
DESTINATION_RULE = "destinationrules.networking.istio.io"
GATEWAYS = "gateways.networking.istio.io"
SERVICE_ENTRY = "serviceentries.networking.istio.io"
WORKLOAD_GROUP = "workloadgroups.networking.istio.io"
WORKLOAD_ENTRY = "workloadentries.networking.istio.io"
INGRESS = "ingresses.networking.k8s.io"
INGRESS_CLASS = "ingressclasses.networking.k8s.io"
API_GATEWAY = "gateways.gateway.networking.k8s.io"
GATEWAY_CLASS = "gatewayclasses.gateway.networking.k8s.io"
LISTENER_SET = "listenersets.gateway.networking.k8s.io"
REFERENCE_GRANT = "referencegrants.gateway.networking.k8s.io"
HTTP_ROUTE = "httproutes.gateway.networking.k8s.io"
GRPC_ROUTE = "grpcroutes.gateway.networking.k8s.io"
BACKEND_TLS_POLICY = "backendtlspolicies.gateway.networking.k8s.io"
TLS_ROUTE = "tlsroutes.gateway.networking.k8s.io"
TCP_ROUTE = "tcproutes.gateway.networking.k8s.io"
SIDECAR = "sidecars.networking.istio.io"
PROXY_CONFIG = "proxyconfigs.networking.istio.io"
ENVOY_FILTER = "envoyfilters.networking.istio.io"
PEER_AUTHENTICATION = "peerauthentications.security.istio.io"
KINDS = {
    VIRTUAL_SERVICE: "VirtualService",
    DESTINATION_RULE: "DestinationRule",
    GATEWAYS: "Gateway",
    INGRESS: "Ingress",
    INGRESS_CLASS: "IngressClass",
    SERVICE_ENTRY: "ServiceEntry",
    WORKLOAD_ENTRY: "WorkloadEntry",
    WORKLOAD_GROUP: "WorkloadGroup",
    PEER_AUTHENTICATION: "PeerAuthentication",
    ENVOY_FILTER: "EnvoyFilter",
    PROXY_CONFIG: "ProxyConfig",
    API_GATEWAY: "Gateway",
    GATEWAY_CLASS: "GatewayClass",
    LISTENER_SET: "ListenerSet",
    REFERENCE_GRANT: "ReferenceGrant",
    HTTP_ROUTE: "HTTPRoute",
    GRPC_ROUTE: "GRPCRoute",
    TLS_ROUTE: "TLSRoute",
    BACKEND_TLS_POLICY: "BackendTLSPolicy",
    TCP_ROUTE: "TCPRoute",
    SIDECAR: "Sidecar",
}
ECHO = "echo.default.svc.cluster.local"


@dataclass(frozen=True)
class Own:
    """What a variant of a case has for itself, so that all may be in one mesh at the same time."""

    name: str
    number: int
    pods: dict[str, str]
    """IP addresses by the names of the mesh's pods; `file` holds a key and its certificate, `crl` a revocation list,
    and `sockets` is the folder where each pod of echo has a Unix socket."""

    @property
    def host(self) -> str:
        """A host name."""
        return f"{self.name}.test"

    @property
    def vip(self) -> str:
        """An address for a service."""
        return f"240.7.{self.number // 250}.{self.number % 250 + 1}"

    @property
    def port(self) -> int:
        """A port that no other variant uses."""
        return 20000 + self.number

    def document(self, kind: str, spec: Document, suffix: str = "", version: str = "v1") -> Document:
        """Give an object of this variant."""
        group = "security" if kind == "PeerAuthentication" else "networking"
        meta = {"name": self.name + suffix, "namespace": "default"}
        return {"apiVersion": f"{group}.istio.io/{version}", "kind": kind, "metadata": meta, "spec": spec}

    def ask(self, path: str = "/", **more: Any) -> Ask:
        """Ask the variant's host through the ingress gateway."""
        return Ask(**{"via": GATEWAY, "host": self.host, "path": path, **more})

    def mesh(self, path: str = "/", **more: Any) -> Ask:
        """Ask the variant's host from the client in the mesh."""
        return Ask(**{"via": "client", "host": self.host, "path": path, "address": "240.7.99.99", **more})


@dataclass(frozen=True)
class Seen:
    """What was seen of a variant: the answers in order, and the configuration that Envoys hold."""

    own: Own
    answers: list[Answer]
    envoys: dict[str, Any]
    refused: str = ""
    """The words with which the API refused the variant."""
    started: Document = field(default_factory=dict)
    """Of a Pod of the variant's own: the `bootstrap` and the `options` that its proxy was started with."""

    @property
    def statuses(self) -> list[int]:
        """The status of each answer; 0 where there was none."""
        return [one["status"] for one in self.answers]

    @property
    def bodies(self) -> list[str]:
        """The body of each answer."""
        return [one["body"] for one in self.answers]

    @property
    def pods(self) -> list[str]:
        """The pod behind each answer, "" where none answered well."""
        return [one["told"].get("pod", "") if one["status"] == 200 else "" for one in self.answers]

    def cluster(self, proxy: str = "client", port: int = 80, subset: str = "") -> Document:
        """The variant's cluster in a proxy; LookupError where there is none."""
        found: Document = self.envoys[proxy].clusters[f"outbound|{port}|{subset}|{self.own.host}"]
        return found

    def routes(self, proxy: str = GATEWAY) -> list[Document]:
        """The routes of the variant's host in a proxy."""
        found: list[Document] = self.envoys[proxy].routes[self.own.host]
        return found

    def endpoints(self, proxy: str = "client", port: int = 80, subset: str = "") -> list[Document]:
        """The endpoints of the variant's cluster, as Envoy tells their health."""
        found: list[Document] = self.envoys[proxy].endpoints[f"outbound|{port}|{subset}|{self.own.host}"]
        return found


@dataclass(frozen=True)
class Case:
    """Documents with all of `shows`, what to ask, and whether what was seen is as it should be.

    Each field of `shows` is dropped in a variant of its own, of which `expect` must not hold. `quick` cases are run by
    `make test`. `alone` is for what others would feel: such variants are in the mesh one after another.
    """

    id: str
    kind: str
    shows: tuple[str, ...]
    make: Callable[[Own], tuple[Document, ...]]
    expect: Callable[[Seen], bool]
    asks: Callable[[Own], tuple[Ask, ...]] = field(default=lambda _: ())
    quick: bool = False
    alone: bool = False
    starts: bool = False
    """A Pod is among the documents, which is made when the others are in the mesh."""
    at_admission: bool = False
    """Dropped from the document, not in translation: the API server itself says it in today's words."""


def virtual_service(own: Own, *http: Document, **more: Any) -> Document:
    """A VirtualService of the variant's host behind the gateway."""
    spec = {"hosts": [own.host], "gateways": ["front"], "http": list(http), **more}
    return own.document("VirtualService", {key: value for key, value in spec.items() if value})


def says(text: str, status: int = 200) -> Document:
    """A rule's part that answers this."""
    return {"directResponse": {"status": status, "body": {"string": text}}}


def to(subset: str = "", port: int = 8080, **more: Any) -> Document:
    """A weighted destination: the echo service."""
    chosen = {"subset": subset} if subset else {}
    return {"destination": {"host": ECHO, "port": {"number": port}, **chosen}, **more}


def entry(own: Own, *ports: Document, **more: Any) -> Document:
    """A ServiceEntry of the variant's host, served by both pods of echo."""
    spec = {
        "hosts": [own.host],
        "ports": list(ports) or [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
        "resolution": "STATIC",
        "endpoints": [
            {"address": own.pods[f"echo-{version}"], "labels": {"version": version}}
            for version in ("v1", "v2")
        ],
        **more,
    }
    made = own.document("ServiceEntry", {key: value for key, value in spec.items() if value})
    # Without an address of its own a port is served at every address, so that callers need not ask DNS first.
    made["metadata"]["labels"] = {"networking.istio.io/enable-autoallocate-ip": "false"}
    return made
