"""Sidecar: what a workload's proxy takes in, and what it needs to know of the mesh (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.networking.destination_rule import ConnectionPoolSettings
from meltemi.api.networking.gateway import ServerTLSSettings
from meltemi.api.networking.selector import WorkloadSelector
from meltemi.api.networking.virtual_service import Destination


class CaptureMode(Enum):
    """How traffic comes to a listener."""

    DEFAULT = 0
    IPTABLES = 1
    NONE = 2


class OutboundMode(Enum):
    """What becomes of traffic to where no service is known."""

    REGISTRY_ONLY = 0
    ALLOW_ANY = 1


@dataclass(frozen=True, slots=True)
class SidecarPort:
    """A port of a listener."""

    number: int = field("Port number; 0 for a unix domain socket.", 0, format="uint32")
    protocol: str = field(
        "HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, REDIS, MYSQL, TCP or TLS; detected if empty.", ""
    )
    name: str = field("Name of the port.", "")
    target_port: int = field("Not supported.", 0, deprecated="it has no effect", format="uint32")


@dataclass(frozen=True, slots=True)
class IngressListener:
    """A port at which the proxy takes traffic for the workload."""

    port: SidecarPort | None = field("The port.", None, required=True)
    bind: str = field("Address to listen on; the workload's own if empty.", "")
    capture_mode: CaptureMode = field("How traffic comes to it.", CaptureMode.DEFAULT)
    default_endpoint: str = field(
        "Where the application is: 127.0.0.1:PORT, 0.0.0.0:PORT or unix:///path; the port itself if empty.",
        "",
    )
    tls: ServerTLSSettings | None = field("TLS that the proxy ends here, instead of the mesh's.", None)
    connection_pool: ConnectionPoolSettings | None = field("Limits of what is taken in here.", None)


@dataclass(frozen=True, slots=True)
class EgressListener:
    """Services that the proxy knows, at one port or at all that are not listed."""

    port: SidecarPort | None = field("The port; all that no other listener has, if not given.", None)
    bind: str = field("Address, or unix socket, to listen on.", "")
    capture_mode: CaptureMode = field("How traffic comes to it.", CaptureMode.DEFAULT)
    hosts: tuple[str, ...] = field(
        "Services as `namespace/host`; the namespace may be `*`, `.` (its own) or `~` (none).",
        (),
        required=True,
    )


@dataclass(frozen=True, slots=True)
class OutboundTrafficPolicy:
    """What becomes of traffic to where no service is known."""

    mode: OutboundMode = field("Refuse it, or let it pass.", OutboundMode.REGISTRY_ONLY)
    egress_proxy: Destination | None = field("Where it is sent instead of to its destination.", None)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What the proxies of some workloads take in and know."""

    workload_selector: WorkloadSelector | None = field(
        "Workloads it is for; all of the namespace if not given.", None
    )
    ingress: tuple[IngressListener, ...] = field("Ports that are taken in; the pod's own if empty.", ())
    egress: tuple[EgressListener, ...] = field("Services that are known; all that are visible if empty.", ())
    inbound_connection_pool: ConnectionPoolSettings | None = field("Limits of what is taken in.", None)
    outbound_traffic_policy: OutboundTrafficPolicy | None = field(
        "What becomes of unknown destinations; as the mesh has it if not given.", None
    )


SIDECAR: Kind[Sidecar] = Kind(
    name="Sidecar",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="sidecars",
    singular="sidecar",
    categories=("istio-io", "networking-istio-io"),
    model=Sidecar,
    doc="What a workload's proxy takes in, and what it needs to know of the mesh.",
)
