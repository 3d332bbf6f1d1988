"""Istio's tasks with the Gateway API: requests through Gateways and within the mesh, and what their statuses say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from tests.live.fields import asking
from tests.live.fields.asking import Ask
from tests.live.fields.world import World, world
from tests.live.meshes import until

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

API = "gateway.networking.k8s.io"
Document = dict[str, Any]
Answer = dict[str, Any]


def of(kind: str, name: str, spec: Document, namespace: str = "default", version: str = "v1") -> Document:
    """An object of the Gateway API."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{API}/{version}", "kind": kind, "metadata": meta, "spec": spec}


def gateway(name: str, *listeners: Document, **more: Any) -> Document:
    """A Gateway of Istio's class."""
    return of("Gateway", name, {"gatewayClassName": "istio", "listeners": list(listeners), **more})


def http(name: str = "http", port: int = 80, **more: Any) -> Document:
    """A listener for HTTP."""
    return {"name": name, "port": port, "protocol": "HTTP", **more}


def route(name: str, parent: str, *rules: Document, hosts: tuple[str, ...] = (), **more: Any) -> Document:
    """An HTTPRoute of a Gateway."""
    spec: Document = {"parentRefs": [{"name": parent}], "rules": list(rules), **more}
    return of("HTTPRoute", name, {**spec, **({"hostnames": list(hosts)} if hosts else {})})


def to(service: str = "echo", port: int = 8080, **more: Any) -> Document:
    """A backend."""
    return {"name": service, "port": port, **more}


def path(value: str, kind: str = "PathPrefix") -> list[Document]:
    """Matches of one path."""
    return [{"path": {"type": kind, "value": value}}]


class Front:
    """The mesh with a Gateway that Meltemi deployed."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.mesh = made.mesh

    def apply(self, *documents: Document) -> None:
        """Apply objects, and wait until all proxies have those that translation reads."""
        assert not self.world._apply(list(documents))
        self.world._settle([one for one in documents if one["kind"] in ("HTTPRoute", "Gateway", "GRPCRoute")])

    def status(self, kind: str, name: str, namespace: str = "default") -> Document:
        """The status of an object."""
        shown = self.mesh.kubectl("get", f"{kind}.{API}", name, "-n", namespace, "-o", "json").good()
        found: Document = json.loads(shown).get("status", {})
        return found

    def ports(self, service: str) -> dict[int, int]:
        """The loopback ports of a LoadBalancer, by the port of its Service."""
        found = self.mesh.object("service", service)
        rows = found["status"].get("loadBalancer", {}).get("ingress", [{}])[0].get("ports", [])
        return {port["port"]: row["port"] for port, row in zip(found["spec"]["ports"], rows, strict=False)}

    def ask(
        self, host: str, at: str = "/", *, service: str = "gw-istio", port: int = 80, **more: Any
    ) -> Answer:
        """Ask a gateway from the host, by the loopback port of its Service."""
        made = Ask("host", host, at, address="127.0.0.1", port=self.ports(service)[port], **more)
        [[answer]] = asyncio.run(asking.all_of([{"asks": [asdict(made)]}]))
        return answer

    def inside(self, host: str, at: str = "/", *, via: str = "client", **more: Any) -> Answer:
        """Ask from a pod in the mesh."""
        address = self.mesh.object("service", "echo")["spec"]["clusterIP"]
        made = Ask(via, host, at, **{"address": address, "port": 8080, **more})
        [[answer]] = asyncio.run(self.world._calls(via, [{"asks": [asdict(made)]}]))
        return answer


def conditions(status: Document) -> dict[str, tuple[str, str]]:
    """Status and reason of conditions, by type."""
    return {row["type"]: (row["status"], row["reason"]) for row in status["conditions"]}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """The ledger's mesh, with a Gateway `gw` on port 80."""
    with world() as made:
        found = Front(made)
        found.mesh.apply(gateway("gw", http(allowedRoutes={"namespaces": {"from": "All"}})))
        found.mesh.kubectl("wait", f"gateway.{API}/gw", "--for=condition=Programmed", "--timeout=30s").good()
        yield found


def test_a_gateway_is_deployed_and_told(front: Front) -> None:
    status = front.status("gateways", "gw")
    assert conditions(status) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
    assert status["addresses"] == [{"type": "IPAddress", "value": "127.0.0.1"}]
    [listener] = status["listeners"]
    assert [one["kind"] for one in listener["supportedKinds"]] == ["HTTPRoute", "GRPCRoute"]
    assert conditions(listener) == {
        "Accepted": ("True", "Accepted"),
        "Conflicted": ("False", "NoConflicts"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
        "Programmed": ("True", "Programmed"),
    }
    shown = conditions(front.status("gatewayclasses", "istio"))
    assert shown["Accepted"][0] == shown["SupportedVersion"][0] == "True"


def test_requests_are_routed(front: Front) -> None:
    front.apply(
        route(
            "routing",
            "gw",
            {"matches": path("/a"), "backendRefs": [to()]},
            {"matches": path("/exact", "Exact"), "backendRefs": [to("client")]},
            hosts=("routing.test",),
        )
    )
    assert front.ask("routing.test", "/a/b")["told"]["path"] == "/a/b"
    assert front.ask("routing.test", "/exact")["told"]["pod"] == "client"
    assert front.ask("routing.test", "/ab")["status"] == 404
    assert front.ask("other.test", "/a")["status"] == 404
    [parent] = front.status("httproutes", "routing")["parents"]
    assert parent["controllerName"] == "istio.io/gateway-controller"
    assert conditions(parent) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    until(lambda: front.status("gateways", "gw")["listeners"][0]["attachedRoutes"] == 1, 5, "attachedRoutes")
