"""Headless, aliased and many-ported services, and shares of TCP connections, with real clients through sidecars."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.live import meshes
from tests.live.fields.certificates import pem
from tests.live.meshes import Mesh

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

APPS = Path(__file__).with_name("apps")
PORTS = [
    {"name": "http", "port": 8080},
    {"name": "any", "port": 8081},
    {"name": "grpc", "port": 50051},
    {"name": "tcp", "port": 9000},
]
PODS = ("db-0", "db-1")


def pod(name: str, *argv: str, **spec: Any) -> dict[str, Any]:
    """A pod; with a hostname and a subdomain as those of a StatefulSet."""
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "SPEAKER_TLS": pem(), "SPEAKER": name}
    container = {
        "name": "app",
        "image": "local",
        "command": list(argv),
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "ports": [{"name": "web", "containerPort": 8080}, {"name": "talk", "containerPort": 9000}],
    }
    labels = {"app": name.partition("-")[0], "version": f"v{name[-1]}"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def service(name: str, ports: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports, **spec}}


def of(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def to(host: str, port: int, subset: str = "", weight: int = 0) -> dict[str, Any]:
    where = {"host": host, "port": {"number": port}, **({"subset": subset} if subset else {})}
    return {"destination": where, **({"weight": weight} if weight else {})}


SERVICES = (
    service("db", PORTS, clusterIP="None", selector={"app": "db"}),
    service("plain", PORTS, selector={"app": "db"}),
    service(
        "named",
        [
            {"name": "http", "port": 80, "targetPort": "web"},
            {"name": "tcp", "port": 90, "targetPort": "talk"},
        ],
        selector={"app": "db"},
    ),
    service(
        "alias",
        [{"name": "http", "port": 8080}, {"name": "grpc", "port": 50051}],
        type="ExternalName",
        externalName="plain.default.svc.cluster.local",
    ),
)
SUBSETS = [{"name": f"v{number}", "labels": {"version": f"v{number}"}} for number in (0, 1)]
RULES = (
    of("DestinationRule", "plain", {"host": "plain", "subsets": SUBSETS}),
    of("DestinationRule", "db", {"host": "db", "subsets": SUBSETS}),
    of(
        "Gateway",
        "front",
        {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    ),
    of(
        "VirtualService",
        "front",
        {
            "hosts": ["db.test"],
            "gateways": ["front"],
            "http": [
                {"match": [{"uri": {"prefix": "/v1"}}], "route": [to("db", 8080, "v1")]},
                {"route": [to("db", 8080)]},
            ],
        },
    ),
)


@pytest.fixture(scope="module")
def world() -> Iterator[Mesh]:
    """Two pods as of a StatefulSet, behind services of each kind, and a client."""
    with meshes.mesh("services") as mesh:
        for document in SERVICES:
            mesh.put(document)
        for name in PODS:
            mesh.put(pod(name, sys.executable, str(APPS / "speaker.py"), hostname=name, subdomain="db"))
        mesh.put(pod("client", "sleep", "infinity"))
        mesh.ready(*PODS, "client")
        mesh.apply(*RULES)
        mesh.meltemi("wait", *(f"{one['kind'].lower()}/{one['metadata']['name']}" for one in RULES)).good()
        meshes.until(
            lambda: all("name" in ask(mesh, "http", f"{name}.db", 8080) for name in PODS), 20, "all answer"
        )
        yield mesh


def ask(mesh: Mesh, form: str, host: str, port: int, what: str = "hello", times: int = 1) -> Any:
    """Ask from the client."""
    command = (sys.executable, str(APPS / "listener.py"), form, host, str(port), what, str(times))
    return json.loads(mesh.meltemi("exec", "client", "--", *command).good())


@pytest.mark.parametrize("port", [8080, 8081])
@pytest.mark.parametrize("name", PODS)
def test_a_pod_of_a_headless_service_is_called_by_its_own_name(world: Mesh, name: str, port: int) -> None:
    found = ask(world, "http", f"{name}.db", port)
    assert (found["name"], found["port"]) == (name, port)
    # Through both proxies, with mutual TLS, where HTTP is declared.
    if port == 8080:
        assert "By=spiffe" in found["headers"]["x-forwarded-client-cert"]
        assert found["headers"]["x-envoy-attempt-count"] == "1"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_of_a_headless_service_is_called_with_bytes_and_grpc(world: Mesh, name: str) -> None:
    assert ask(world, "line", f"{name}.db.default.svc.cluster.local", 9000) == f"{name} hello"
    assert ask(world, "grpc", f"{name}.db", 50051)["said"] == "hello"


def test_a_headless_service_is_called_by_its_name(world: Mesh) -> None:
    assert ask(world, "http", "db", 8080)["name"] in PODS
    assert ask(world, "line", "db", 9000) in {f"{name} hello" for name in PODS}


def test_a_gateway_balances_among_the_pods_of_a_headless_service(world: Mesh) -> None:
    at = urlsplit(world.hands.ingress)

    def seen(path: str) -> Counter[str]:
        command = ["http", str(at.hostname), str(at.port), f"db.test/{path}", "20"]
        done = meshes.run([sys.executable, str(APPS / "listener.py"), *command], dict(os.environ))
        return Counter(one.get("name", str(one.get("status"))) for one in json.loads(done.good()))

    assert seen("any").keys() == {"db-0", "db-1"}
    assert seen("v1") == {"db-1": 20}


def test_ports_of_pods_are_found_by_name(world: Mesh) -> None:
    found = ask(world, "http", "named", 80)
    assert (found["name"] in PODS, found["port"]) == (True, 8080)
    assert ask(world, "line", "named", 90) in {f"{name} hello" for name in PODS}


def test_an_alias_leads_to_what_it_stands_for(world: Mesh) -> None:
    assert ask(world, "http", "alias", 8080)["name"] in PODS
    assert ask(world, "grpc", "alias", 50051)["said"] == "hello"
    # No port of it is TCP: what it stands for is found by its address.
    assert ask(world, "line", "alias", 9000) in {f"{name} hello" for name in PODS}


def lines(world: Mesh, host: str, port: int, times: int) -> Counter[str]:
    """Which pods answered so many connections."""
    found = ask(world, "line", host, port, times=times)
    return Counter(one.split()[0] for one in found)


def shift(world: Mesh, *shares: tuple[str, int]) -> None:
    """Give each subset a share of the TCP connections."""
    routes = [to("plain", 9000, subset, weight) for subset, weight in shares]
    world.apply(of("VirtualService", "shift", {"hosts": ["plain"], "tcp": [{"route": routes}]}))
    world.meltemi("wait", "virtualservice/shift").good()


@pytest.mark.long
def test_tcp_connections_are_shifted_by_weight(world: Mesh) -> None:
    """Istio's task: all to v1, then 80 to 20, then all to v2 (here v0 and v1)."""
    shift(world, ("v0", 100))
    assert lines(world, "plain", 9000, 20) == {"db-0": 20}
    shift(world, ("v0", 80), ("v1", 20))
    seen = lines(world, "plain", 9000, 200)
    assert 15 <= seen["db-1"] <= 70
    assert seen["db-0"] + seen["db-1"] == 200
    shift(world, ("v1", 100))
    assert lines(world, "plain", 9000, 20) == {"db-1": 20}
