"""The scoped mesh that the engine is measured on, as facts.

Namespaces of 100 services; each service exported to its own namespace and three others; a tenth TCP, a third with
two HTTP ports, a quarter with a DestinationRule of two subsets, a fifth with a VirtualService; five endpoints each,
pods with sidecars in two zones. Everything is made from the number of the service, so every run is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from meltemi.api.core.endpoint_slice import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from meltemi.api.core.node import Node
from meltemi.api.core.pod import Container, ContainerPort, Pod
from meltemi.api.core.service import Service, ServicePort
from meltemi.api.duration import Duration
from meltemi.api.kind import Object
from meltemi.api.networking.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    Subset,
    TCPSettings,
    TrafficPolicy,
)
from meltemi.api.networking.virtual_service import (
    Destination,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    StringMatch,
    VirtualService,
)
from meltemi.api.values import Map
from meltemi.model import facts
from meltemi.model.services import EXPORT_TO
from meltemi.model.views import Locality, View
from meltemi.model.workloads import REGION, ZONE
from meltemi.query import Change

PER_NAMESPACE = 100
ENDPOINTS = 5
SECOND = 1_000_000_000
READY = EndpointConditions(ready=True, serving=True, terminating=False)
TCP = (ServicePort(name="tcp", port=9000, target_port=9000),)
HTTP = (ServicePort(name="http", port=80, target_port=8080),)
TWO = (*HTTP, ServicePort(name="http-admin", port=8080, target_port=8081))
CONTAINERS = (
    Container(name="app", image="app:1", ports=(ContainerPort(container_port=8080),)),
    Container(name="istio-proxy", image="auto"),
)
PODS = {
    zone: Pod(containers=CONTAINERS, node_name=f"node-{zone}", service_account_name="app") for zone in "ab"
}


@dataclass(frozen=True)
class Mesh:
    """How large it is; `views` are spread evenly over the namespaces."""

    services: int = 10_000
    views: int = 200

    @property
    def namespaces(self) -> int:
        """How many namespaces there are."""
        return max(4, self.services // PER_NAMESPACE)

    def place(self, number: int) -> tuple[str, str]:
        """Namespace and name of a service; what is beyond the mesh's size joins the last namespace."""
        return f"ns{self.home(number):03}", f"svc{number:05}"

    def home(self, number: int) -> int:
        """Number of a service's namespace."""
        return min(number // PER_NAMESPACE, self.namespaces - 1)

    def view(self, number: int) -> View:
        """One of the Views: a workload of some namespace, in one of two zones."""
        home = number % self.namespaces
        zone = "ab"[number // self.namespaces % 2]
        name = f"svc{home * PER_NAMESPACE + number // self.namespaces:05}"
        return View(
            namespace=f"ns{home:03}",
            labels=Map({"app": name}),
            workload=name,
            service_account="app",
            locality=Locality("r1", f"r1-{zone}"),
        )

    def changes(self) -> Iterator[Change[Any]]:
        """All facts."""
        for zone in "ab":
            labels = Map({REGION: "r1", ZONE: f"r1-{zone}"})
            node = Object("Node", "", f"node-{zone}", Node(), labels)
            yield Change(facts.NODES, "", f"node-{zone}", node)
        for number in range(self.services):
            yield from self.service(number)

    def service(self, number: int) -> Iterator[Change[Any]]:
        """One service with all that belongs to it."""
        namespace, name = self.place(number)
        exported = Map({EXPORT_TO: ",".join(self.export(number))})
        yield put(facts.SERVICES, "Service", namespace, name, self.spec(number), exported)
        yield self.slice(number)
        for index in range(ENDPOINTS):
            labels = Map({"app": name, "version": f"v{index % 2 + 1}"})
            pod = f"{name}-{index}"
            obj = Object("Pod", namespace, pod, PODS["ab"[index % 2]], labels)
            yield Change(facts.PODS, namespace, pod, obj)
        if number % 4 == 1:
            yield self.rule(number, 10)
        if number % 5 == 2:
            yield self.routing(number, 90)

    def spec(self, number: int) -> Service:
        """A service's ports: a tenth TCP, a third two HTTP ports."""
        ports = TCP if number % 10 == 0 else TWO if number % 3 == 0 else HTTP
        _, name = self.place(number)
        address = f"198.19.{number // 250}.{number % 250 + 1}"
        return Service(ports=ports, selector=Map({"app": name}), cluster_ip=address, cluster_ips=(address,))

    def export(self, number: int) -> tuple[str, ...]:
        """Who sees it: its own namespace and three others."""
        return (".", *(f"ns{(self.home(number) + step) % self.namespaces:03}" for step in (1, 2, 3)))

    def slice(self, number: int, moved: int = 0) -> Change[Any]:
        """The service's endpoints; `moved` gives the first another address."""
        namespace, name = self.place(number)
        ports = tuple(
            EndpointPort(name=port.name, port=int(port.target_port or port.port))
            for port in self.spec(number).ports
        )
        endpoints = tuple(
            Endpoint(
                addresses=(
                    f"198.18.{number // 50}.{number % 50 * 5 + index}"
                    if index or not moved
                    else f"198.17.0.{moved}",
                ),
                conditions=READY,
                zone=f"r1-{'ab'[index % 2]}",
                target_ref=ObjectReference(kind="Pod", namespace=namespace, name=f"{name}-{index}"),
            )
            for index in range(ENDPOINTS)
        )
        obj = Object(
            "EndpointSlice",
            namespace,
            f"{name}-1",
            EndpointSlice(address_type="IPv4", endpoints=endpoints, ports=ports),
            Map({SERVICE_NAME_LABEL: name}),
        )
        return Change(facts.ENDPOINT_SLICES, namespace, f"{name}-1", obj)

    def rule(self, number: int, timeout: int) -> Change[Any]:
        """A DestinationRule with two subsets and a connect timeout in seconds."""
        namespace, name = self.place(number)
        spec = DestinationRule(
            host=name,
            traffic_policy=TrafficPolicy(
                connection_pool=ConnectionPoolSettings(
                    tcp=TCPSettings(connect_timeout=Duration(timeout * SECOND), max_connections=1000)
                )
            ),
            export_to=self.export(number),
            subsets=tuple(Subset(name=version, labels=Map({"version": version})) for version in ("v1", "v2")),
        )
        return put(facts.DESTINATION_RULES, "DestinationRule", namespace, name, spec)

    def routing(self, number: int, weight: int) -> Change[Any]:
        """A VirtualService of two routes; the second is split between the service and its neighbour."""
        namespace, name = self.place(number)
        _, other = self.place(self.home(number) * PER_NAMESPACE + (number + 1) % PER_NAMESPACE)
        spec = VirtualService(
            hosts=(name,),
            export_to=self.export(number),
            http=(
                HTTPRoute(
                    match=(HTTPMatchRequest(uri=StringMatch(prefix="/api")),),
                    route=(HTTPRouteDestination(destination=Destination(host=name)),),
                    timeout=Duration(5 * SECOND),
                ),
                HTTPRoute(
                    route=(
                        HTTPRouteDestination(destination=Destination(host=name), weight=weight),
                        HTTPRouteDestination(destination=Destination(host=other), weight=100 - weight),
                    )
                ),
            ),
        )
        return put(facts.VIRTUAL_SERVICES, "VirtualService", namespace, name, spec)


def put(
    kind: Any, name_of_kind: str, namespace: str, name: str, spec: object, annotations: Map[str] | None = None
) -> Change[Any]:
    """Set an object."""
    made = Object(name_of_kind, namespace, name, spec, annotations=annotations or Map())
    return Change(kind, namespace, name, made)
