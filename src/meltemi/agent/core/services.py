"""What network and edges carry for Services: ClusterIPs with their endpoints, and loopback ports on the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from meltemi.agent.core.net import ServicePort, Way, Ways

Document = Mapping[str, Any]

SERVICE_NAME = "kubernetes.io/service-name"
INGRESS = ("istio-system", "istio-ingressgateway")
"""The gateway whose ports `meltemi up` chooses: its ways are named `ingress/PORT`."""

Endpoints = Mapping[tuple[str, str, str], tuple[tuple[str, int], ...]]


def endpoints_of(slices: Iterable[Document]) -> Endpoints:
    """Ready endpoints (ip, port) by namespace, service and port name; each once, sorted."""
    found: dict[tuple[str, str, str], set[tuple[str, int]]] = {}
    for document in slices:
        metadata = document.get("metadata") or {}
        service = (metadata.get("labels") or {}).get(SERVICE_NAME)
        if service is None or document.get("addressType", "IPv4") != "IPv4":
            continue
        for port in document.get("ports") or ():
            key = (str(metadata.get("namespace") or ""), str(service), str(port.get("name") or ""))
            bucket = found.setdefault(key, set())
            for endpoint in document.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    bucket.update(
                        (str(ip), int(port.get("port") or 0)) for ip in endpoint.get("addresses") or ()
                    )
    return {key: tuple(sorted(bucket)) for key, bucket in found.items()}


def service_ports(
    services: Iterable[Document], endpoints: Endpoints, control: Iterable[tuple[str, int]]
) -> tuple[ServicePort, ...]:
    """The whole ClusterIP table, sorted; what the control plane answers itself (`control`) is left out."""
    carried = set(control)
    found: list[ServicePort] = []
    for document in services:
        namespace, name = _key(document)
        spec = document.get("spec") or {}
        addresses = [ip for ip in (spec.get("clusterIPs") or [spec.get("clusterIP")]) if ip and ip != "None"]
        for port in spec.get("ports") or ():
            behind = endpoints.get((namespace, name, str(port.get("name") or "")), ())
            protocol = str(port.get("protocol") or "TCP").lower()
            number = int(port.get("port") or 0)
            found.extend(
                ServicePort(ip, number, behind, protocol)
                for ip in addresses
                if ":" not in ip and (ip, number) not in carried and protocol in ("tcp", "udp")
            )
    return tuple(sorted(found, key=lambda entry: (entry.address, entry.port, entry.protocol)))


def ways(
    services: Iterable[Document],
    endpoints: Endpoints,
    wanted: Mapping[str, int],
    control: Mapping[tuple[str, int], str],
) -> Ways:
    """What the edges carry: LoadBalancers and NodePorts in, the control plane's addresses out.

    `wanted`: loopback ports asked for, by `namespace/service:port`. Names of ways: `ingress/PORT` for the ingress
    gateway, `loadbalancer/NAMESPACE/NAME/PORT` for others, `nodeport/NUMBER`.
    """
    into: dict[str, Way] = {}
    for document in sorted(services, key=_key):
        namespace, name = _key(document)
        spec = document.get("spec") or {}
        kind = spec.get("type")
        if kind not in ("LoadBalancer", "NodePort"):
            continue
        for port in spec.get("ports") or ():
            if str(port.get("protocol") or "TCP") != "TCP":
                continue
            targets = endpoints.get((namespace, name, str(port.get("name") or "")), ())
            number = int(port.get("port") or 0)
            if kind == "LoadBalancer":
                way = (
                    f"ingress/{number}"
                    if (namespace, name) == INGRESS
                    else f"loadbalancer/{namespace}/{name}/{number}"
                )
                into[way] = Way(wanted.get(f"{namespace}/{name}:{number}", 0), targets)
            elif node_port := int(port.get("nodePort") or 0):
                into[f"nodeport/{node_port}"] = Way(node_port, targets)
    return Ways(into, dict(control))


def control_addresses(
    services: Iterable[Document], sockets: Mapping[tuple[str, str, int], str]
) -> dict[tuple[str, int], str]:
    """(ClusterIP, port) -> socket for Services that the control plane answers itself.

    `sockets`: by namespace, service and port.
    """
    found: dict[tuple[str, int], str] = {}
    for document in services:
        namespace, name = _key(document)
        spec = document.get("spec") or {}
        ip = spec.get("clusterIP")
        for port in spec.get("ports") or ():
            number = int(port.get("port") or 0)
            if ip and ip != "None" and (path := sockets.get((namespace, name, number))) is not None:
                found[str(ip), number] = path
    return found


def balancer_status(document: Document, held: Mapping[str, int]) -> dict[str, Any] | None:
    """The status that a LoadBalancer's Service shall have by the ports that are held; None if it has it."""
    namespace, name = _key(document)
    spec = document.get("spec") or {}
    if spec.get("type") != "LoadBalancer":
        return None
    rows = []
    for port in spec.get("ports") or ():
        number = int(port.get("port") or 0)
        way = (
            f"ingress/{number}"
            if (namespace, name) == INGRESS
            else f"loadbalancer/{namespace}/{name}/{number}"
        )
        if (held_port := held.get(way)) is not None:
            rows.append({"port": held_port, "protocol": "TCP"})
    wanted: dict[str, Any] = {
        "loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": rows}]} if rows else {}
    }
    current = (document.get("status") or {}).get("loadBalancer") or {}
    return None if current == wanted["loadBalancer"] else wanted


def _key(document: Document) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
