"""Service: a name and an address for a set of pods."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map


class ServiceType(Enum):
    """How a service can be reached."""

    ClusterIP = "ClusterIP"
    NodePort = "NodePort"
    LoadBalancer = "LoadBalancer"
    ExternalName = "ExternalName"


class Protocol(Enum):
    """Transport protocols."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service."""

    name: str = field("Name; needed where there are several ports.", "")
    protocol: Protocol = field("Transport protocol.", Protocol.TCP)
    app_protocol: str = field("What is spoken on the port, such as `http` or `kubernetes.io/h2c`.", "")
    port: int = field("Port of the service.", 0, required=True)
    target_port: int | str | None = field("Port of the pods, number or name; `port` if not given.", None)
    node_port: int = field("Port on every node, for NodePort and LoadBalancer.", 0)


@dataclass(frozen=True, slots=True)
class Service:
    """What a service's author says."""

    type: ServiceType = field("How it can be reached.", ServiceType.ClusterIP)
    ports: tuple[ServicePort, ...] = field("Ports of the service.", ())
    selector: Map[str] = field("Labels of its pods; without any, endpoints are made by hand.", EMPTY)
    cluster_ip: str = field("Virtual address, or `None` for a headless service.", "", json="clusterIP")
    cluster_ips: tuple[str, ...] = field("Virtual addresses, one for each IP family.", (), json="clusterIPs")
    external_ips: tuple[str, ...] = field("Further addresses, routed from outside.", (), json="externalIPs")
    external_name: str = field("Name it stands for, for ExternalName.", "")
    load_balancer_ip: str = field("Wanted address, for LoadBalancer.", "", json="loadBalancerIP")
    load_balancer_class: str = field("Who provides the load balancer.", "")
    publish_not_ready_addresses: bool = field("Endpoints count before they are ready.", False)
    session_affinity: str = field("None or ClientIP.", "None")
    internal_traffic_policy: str = field("Cluster or Local.", "")
    external_traffic_policy: str = field("Cluster or Local.", "")
    traffic_distribution: str = field("Preference among endpoints, such as PreferClose.", "")
    ip_families: tuple[str, ...] = field("IPv4, IPv6.", ())
    ip_family_policy: str = field("SingleStack, PreferDualStack or RequireDualStack.", "")

    @property
    def headless(self) -> bool:
        """Whether clients see the endpoints themselves."""
        return self.cluster_ip == "None"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The virtual addresses that are real addresses; none for headless and unallocated services."""
        return tuple(ip for ip in self.cluster_ips or (self.cluster_ip,) if ip and ip != "None")


@dataclass(frozen=True, slots=True)
class PortStatus:
    """A port that the load balancer answers on."""

    port: int = field("Number.", 0)
    protocol: str = field("TCP or UDP.", "TCP")


@dataclass(frozen=True, slots=True)
class LoadBalancerIngress:
    """One address the load balancer answers on."""

    ip: str = field("Address.", "")
    hostname: str = field("Name.", "")
    ports: tuple[PortStatus, ...] = field("Its ports, where they are not the Service's.", ())


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What load balancers report."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


SERVICE: Kind[Service] = Kind(
    name="Service",
    group="",
    versions=("v1",),
    plural="services",
    singular="service",
    short=("svc",),
    categories=("all",),
    model=Service,
    columns=(
        Column("Type", "string", ".spec.type", "How it can be reached."),
        Column("Cluster-IP", "string", ".spec.clusterIP", "Its virtual address."),
        Column("External-IP", "string", ".status.loadBalancer.ingress[*].ip", "Addresses from outside."),
        Column("Port(s)", "string", ".spec.ports[*].port", "Its ports."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
        Column("Selector", "string", ".spec.selector", "Labels of its pods.", 1),
    ),
    doc="A name and an address for a set of pods.",
)
