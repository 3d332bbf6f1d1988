"""Small meshes of facts: what tests of translation, push and status stand on.

mesh = Mesh()
mesh.service("helloworld", ports={"http": 5000})
mesh.pod("helloworld-v1", ip="198.18.0.2", labels={"app": "helloworld", "version": "v1"})
mesh.apply(YAML)
mesh.roots("default", "helloworld-v1")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from meltemi.api import registry
from meltemi.api.allocation import allocated_addresses
from meltemi.api.core.service import ServiceStatus
from meltemi.api.decode import decode, decode_status
from meltemi.api.diagnostics import Diagnostic
from meltemi.api.values import Map
from meltemi.galley.core.facts import fact_kind, health, network_service, pod_status
from meltemi.model import facts
from meltemi.model.proxies import view_of
from meltemi.model.views import View
from meltemi.pilot.core.push import full
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS, SDS, Roots, message_of
from meltemi.pilot.core.roots import roots
from meltemi.query import Change, Engine

CLASSES: dict[str, type[Message]] = {
    CDS: Cluster,
    EDS: ClusterLoadAssignment,
    LDS: Listener,
    RDS: RouteConfiguration,
    SDS: Secret,
}


class Mesh:
    """A mesh of facts with an engine of its own. Objects are younger the later they are applied."""

    def __init__(self, domain: str = "cluster.local") -> None:
        self.engine = Engine()
        self.domain = domain
        self.clock = 1.0
        self.documents: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._vip = 0

    # Objects.

    def apply(self, text: str, namespace: str = "default") -> None:
        """Apply objects written in YAML; a wrong one fails the test with its findings."""
        self.put([one for one in yaml.safe_load_all(text) if one], namespace)

    def put(self, documents: Iterable[dict[str, Any]], namespace: str = "default") -> None:
        """Apply documents in one transaction, the slices of services with a selector made anew."""
        changes: list[Change[Any]] = []
        for document in documents:
            changes.extend(self.changes(document, namespace))
        self.engine.apply([*changes, *self._slices()])

    def changes(self, document: dict[str, Any], namespace: str = "default") -> list[Change[Any]]:
        """Make the changes of facts that a document means."""
        kind = registry.of_document(document)
        assert kind is not None, document
        metadata = document.setdefault("metadata", {})
        if kind.namespaced:
            metadata.setdefault("namespace", namespace)
        if "creationTimestamp" not in metadata:
            metadata["creationTimestamp"] = (
                f"2026-01-01T00:{int(self.clock) // 60:02d}:{int(self.clock) % 60:02d}Z"
            )
            self.clock += 1
        made, found = decode(kind, document)
        assert made is not None, [f"{one.path}: {one.message}" for one in found]
        self.documents[(kind.name, made.namespace, made.name)] = document
        changes: list[Change[Any]] = [Change(fact_kind(kind), made.namespace, made.name, made)]
        if kind.name == "Pod":
            changes.append(Change(facts.POD_STATUS, made.namespace, made.name, pod_status(kind, document)))
        if kind.name == "Service":
            changes.append(
                Change(facts.NETWORK_SERVICES, made.namespace, made.name, network_service(document))
            )
            reported = decode_status(kind, document)
            balancers = reported.ingress if isinstance(reported, ServiceStatus) else ()
            changes.append(Change(facts.BALANCERS, made.namespace, made.name, balancers or None))
        if kind.name == "ServiceEntry":
            given = Map(allocated_addresses(document)) or None
            changes.append(Change(facts.ALLOCATED, made.namespace, made.name, given))
        if kind.name == "WorkloadEntry":
            changes.append(Change(facts.WORKLOAD_HEALTH, made.namespace, made.name, health(document)))
        return changes

    def delete(self, kind_name: str, name: str, namespace: str = "default") -> None:
        """Delete an object."""
        document = self.documents.pop((kind_name, namespace, name))
        kind = registry.of_document(document)
        assert kind is not None
        gone: list[Change[Any]] = [Change(fact_kind(kind), namespace, name, None)]
        if kind_name == "Pod":
            gone.append(Change(facts.POD_STATUS, namespace, name, None))
        if kind_name == "Service":
            gone += [Change(one, namespace, name, None) for one in (facts.NETWORK_SERVICES, facts.BALANCERS)]
        self.engine.apply([*gone, *self._slices()])

    def setting(self, name: str, value: object) -> None:
        """Change a mesh setting; None takes it back."""
        self.engine.apply([Change(facts.SETTING, "", name, value)])

    def service(
        self,
        name: str,
        namespace: str = "default",
        *,
        ports: Mapping[str, int | tuple[int, int | str]] | None = None,
        selector: Mapping[str, str] | None = None,
        vip: str = "",
        headless: bool = False,
        annotations: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Add a Service (port name to number, or to (number, target)) and return its address."""
        self._vip += 1
        address = "None" if headless else vip or f"198.19.{self._vip // 250}.{self._vip % 250 + 1}"
        listed = []
        for port_name, wanted in (ports or {"http": 80}).items():
            number, target = wanted if isinstance(wanted, tuple) else (wanted, wanted)
            listed.append({"name": port_name, "port": number, "targetPort": target})
        self.put(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {
                        "name": name,
                        "namespace": namespace,
                        "annotations": dict(annotations or {}),
                        "labels": dict(labels or {}),
                    },
                    "spec": {
                        "selector": dict(selector or {"app": name}),
                        "clusterIP": address,
                        "ports": listed,
                    },
                }
            ]
        )
        return address

    def pod(
        self,
        name: str,
        namespace: str = "default",
        *,
        ip: str,
        labels: Mapping[str, str] | None = None,
        sidecar: bool = True,
        gateway: bool = False,
        account: str = "",
        ports: Mapping[str, int] | None = None,
        ready: bool = True,
        node: str = "",
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Add a Pod; with `gateway` a proxy alone."""
        listed = [{"name": port, "containerPort": number} for port, number in (ports or {}).items()]
        proxy = {
            "name": "istio-proxy",
            "args": ["proxy", "router" if gateway else "sidecar"],
            "ports": listed,
        }
        app = {"name": "app", "command": ["true"], "ports": listed}
        containers = [proxy] if gateway else [app, proxy] if sidecar else [app]
        spec: dict[str, Any] = {"containers": containers, "serviceAccountName": account or "default"}
        if node:
            spec["nodeName"] = node
        self.put(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": name,
                        "namespace": namespace,
                        "labels": dict(labels or {"app": name}),
                        **({"annotations": dict(annotations)} if annotations else {}),
                    },
                    "spec": spec,
                    "status": {
                        "phase": "Running",
                        "podIP": ip,
                        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                    },
                }
            ]
        )

    def _slices(self) -> list[Change[Any]]:
        """Do what the EndpointSlice controller does, one slice a service."""
        changes: list[Change[Any]] = []
        pods = [doc for (kind, _ns, _name), doc in self.documents.items() if kind == "Pod"]
        for (kind, namespace, name), document in list(self.documents.items()):
            selector = document["spec"].get("selector") if kind == "Service" else None
            if selector:
                changes.extend(self.changes(_slice(namespace, name, document, selector, pods)))
        return changes

    # What becomes of them.

    def view(self, name: str, namespace: str = "default") -> View:
        """Return the View of a pod's proxy."""
        found = self.engine.get(view_of, namespace, name)
        assert found is not None
        return found

    def roots(self, name: str, namespace: str = "default") -> Roots:
        """Return everything a pod's proxy is sent."""
        return self.engine.get(roots, self.view(name, namespace))

    def reports(self, name: str, namespace: str = "default") -> tuple[Diagnostic, ...]:
        """Return what is found wrong while translating for a pod's proxy."""
        return self.engine.reports(roots, self.view(name, namespace))

    def messages(self, type_url: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return the resources of one type by name, as proto JSON."""
        return decoded(self.roots(name, namespace), type_url)

    def clusters(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return a proxy's clusters."""
        return self.messages(CDS, name, namespace)

    def endpoints(self, name: str, namespace: str = "default") -> dict[str, list[str]]:
        """Return the addresses of a proxy's load assignments."""
        found = {}
        for cluster, message in self.messages(EDS, name, namespace).items():
            found[cluster] = [
                _place(one["endpoint"]["address"])
                for group in message.get("endpoints", ())
                for one in group["lbEndpoints"]
            ]
        return found

    def listeners(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return a proxy's listeners."""
        return self.messages(LDS, name, namespace)

    def routes(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return a proxy's route configurations."""
        return self.messages(RDS, name, namespace)

    def hosts(self, name: str, route: str, namespace: str = "default") -> dict[str, Any]:
        """Return the virtual hosts of one route configuration by name."""
        return {host["name"]: host for host in self.routes(name, namespace)[route].get("virtualHosts", ())}


def _place(address: dict[str, Any]) -> str:
    if "pipe" in address:
        return str(address["pipe"]["path"])
    return "{address}:{portValue}".format(**address["socketAddress"])


def decoded(found: Roots, type_url: str) -> dict[str, Any]:
    """Decode the resources of a type to proto JSON, by name."""
    return {name: MessageToDict(message) for name, message in messages(found, type_url).items()}


def messages(found: Roots, type_url: str) -> dict[str, Message]:
    """Decode the resources of a type, by name; every name once."""
    listed: dict[str, Message] = {}
    for item in full(found, type_url):
        whole = item.join() if hasattr(item, "join") else item
        _url, body = message_of(whole.entry)
        assert item.name not in listed, f"{item.name} twice"
        listed[item.name] = CLASSES[type_url].FromString(body)
    return listed


def _slice(
    namespace: str, name: str, service: dict[str, Any], selector: dict[str, str], pods: list[dict[str, Any]]
) -> dict[str, Any]:
    chosen = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == namespace
        and selector.items() <= pod["metadata"].get("labels", {}).items()
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "addressType": "IPv4",
        "ports": [
            {"name": port.get("name", ""), "port": _number(port, chosen)} for port in service["spec"]["ports"]
        ],
        "endpoints": [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": pod["status"]["conditions"][0]["status"] == "True"},
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod["metadata"]["name"]},
            }
            for pod in chosen
        ],
    }


def _number(port: dict[str, Any], pods: list[dict[str, Any]]) -> int:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for one in container.get("ports", ()):
                if one.get("name") == target:
                    return int(one["containerPort"])
    return int(port["port"])


HELLOWORLD = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: helloworld}
spec:
  host: helloworld
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: helloworld-gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: helloworld}
spec:
  hosts: ["*"]
  gateways: [helloworld-gateway]
  http:
  - match: [{uri: {exact: /hello}}]
    route:
    - {destination: {host: helloworld, port: {number: 5000}, subset: v1}, weight: 90}
    - {destination: {host: helloworld, port: {number: 5000}, subset: v2}, weight: 10}
"""


def helloworld() -> Mesh:
    """Build Istio's helloworld: two versions, a client, an ingress gateway, 90/10."""
    mesh = Mesh()
    mesh.service("helloworld", ports={"http": 5000})
    mesh.service(
        "istio-ingressgateway",
        "istio-system",
        ports={"http2": (80, 8080), "https": (443, 8443)},
        selector={"istio": "ingressgateway"},
    )
    mesh.pod("helloworld-v1", ip="198.18.0.2", labels={"app": "helloworld", "version": "v1"})
    mesh.pod("helloworld-v2", ip="198.18.0.3", labels={"app": "helloworld", "version": "v2"})
    mesh.pod("sleep", ip="198.18.0.4", account="sleep")
    mesh.pod(
        "ingressgateway",
        "istio-system",
        ip="198.18.0.5",
        labels={"istio": "ingressgateway"},
        gateway=True,
        account="ingressgateway",
    )
    mesh.apply(HELLOWORLD)
    return mesh
