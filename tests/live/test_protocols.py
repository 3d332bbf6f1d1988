"""What is spoken on a port: declared by name or appProtocol, or found out; with real clients through sidecars."""

from __future__ import annotations

import json
import os
import shutil
import sys
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
WAIT = 0.4
"""Seconds that proxies wait for the first bytes before a protocol counts as unknown."""
PORTS: tuple[dict[str, Any], ...] = (
    {"name": "http", "port": 8080},
    {"name": "any", "port": 8081},
    {"name": "socket", "port": 8082, "appProtocol": "kubernetes.io/ws"},
    {"name": "grpc", "port": 50051},
    {"name": "calls", "port": 50052},
    {"name": "http2", "port": 50053, "appProtocol": "kubernetes.io/h2c"},
    {"name": "grpc-web", "port": 50054},
    {"name": "tcp-first", "port": 7000},
    {"name": "first", "port": 7001},
    {"name": "db", "port": 7002, "appProtocol": "mysql"},
    {"name": "well-known", "port": 3306},
    {"name": "tcp-bytes", "port": 9000},
    {"name": "bytes", "port": 9001},
    {"name": "tls", "port": 8443},
    {"name": "secure", "port": 8444, "appProtocol": "kubernetes.io/wss"},
    {"name": "secret", "port": 8445},
    {"name": "mongo", "port": 27017},
)
"""Of the service `speaker`; `any`, `calls`, `first`, `bytes` and `secret` do not say what is spoken."""


def pod(name: str, *argv: str, sidecar: bool = True, **env: str) -> dict[str, Any]:
    labels = {"app": name, **({} if sidecar else {"sidecar.istio.io/inject": "false"})}
    env = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **env}
    container = {
        "name": name,
        "image": "local",
        "command": list(argv),
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def service(name: str, *ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": list(ports), **more}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def of(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


GATEWAY = (
    of(
        "Gateway",
        "front",
        {
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {"port": {"number": 80, "name": "web", "protocol": "GRPC-WEB"}, "hosts": ["*"]},
                {
                    "port": {"number": 443, "name": "tls", "protocol": "TLS"},
                    "tls": {"mode": "PASSTHROUGH"},
                    "hosts": ["one.test", "two.test"],
                },
            ],
        },
    ),
    of(
        "VirtualService",
        "front",
        {
            "hosts": ["speaker.test", "calls.test", "one.test", "two.test"],
            "gateways": ["front"],
            "http": [
                {
                    "match": [{"uri": {"prefix": "/test.Echo/"}, "authority": {"prefix": "calls"}}],
                    "route": [{"destination": {"host": "speaker", "port": {"number": 50052}}}],
                },
                {
                    "match": [{"uri": {"prefix": "/test.Echo/"}}],
                    "route": [{"destination": {"host": "speaker", "port": {"number": 50051}}}],
                },
                {"route": [{"destination": {"host": "speaker", "port": {"number": 8080}}}]},
            ],
            "tls": [
                {
                    "match": [{"sniHosts": ["one.test"]}],
                    "route": [{"destination": {"host": "speaker", "port": {"number": 8443}}}],
                },
                {
                    "match": [{"sniHosts": ["two.test"]}],
                    "route": [{"destination": {"host": "speaker", "port": {"number": 8444}}}],
                },
            ],
        },
    ),
)
SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "istio", "namespace": "istio-system"},
    "data": {"mesh": f"protocolDetectionTimeout: {WAIT}s"},
}


@pytest.fixture(scope="module")
def world() -> Iterator[Mesh]:
    """A speaker behind a proxy, a client with a proxy and one without."""
    with meshes.mesh("speak") as mesh:
        mesh.apply(SETTINGS)
        python = sys.executable
        mesh.put(service("speaker", *PORTS))
        mesh.put(pod("speaker", python, str(APPS / "speaker.py"), SPEAKER_TLS=pem()))
        mesh.put(pod("client", "sleep", "infinity"))
        mesh.put(pod("outsider", "sleep", "infinity", sidecar=False))
        mesh.ready("speaker", "client", "outsider")
        mesh.apply(*GATEWAY)
        mesh.meltemi("wait", "gateway/front", "virtualservice/front").good()
        ask(mesh, "http", 8080)
        yield mesh


def ask(
    mesh: Mesh, form: str, port: int, what: str = "hello", *, host: str = "speaker", by: str = "client"
) -> Any:
    """Ask from a pod; the app may still be starting."""
    command = (sys.executable, str(APPS / "listener.py"), form, host, str(port), what)
    found: list[Any] = []

    def answered() -> bool:
        found.append(json.loads(mesh.meltemi("exec", by, "--", *command).good()))
        return not (isinstance(found[-1], dict) and ("error" in found[-1] or found[-1].get("status") == 503))

    meshes.until(answered, 6, f"{form} {host}:{port}, which said {found[-1:]}")
    return found[-1]


def stat(mesh: Mesh, name: str, pod: str = "client") -> int:
    text = mesh.hands.envoy("default", pod, f"stats?filter={name}")
    return sum(int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if ": " in line)


# HTTP.


@pytest.mark.parametrize("port", [8080, 8081, 8082])
def test_http_is_seen_as_such_on_both_sides(world: Mesh, port: int) -> None:
    """Declared or found out: the client's proxy and the server's both know the request."""
    found = ask(world, "http", port, "page")
    assert (found["port"], found["version"], found["path"]) == (port, "1.1", "/page")
    # Of the server's proxy, which saw who called.
    assert "By=spiffe://cluster.local/ns/default/sa/default" in found["headers"]["x-forwarded-client-cert"]
    # Of the client's proxy.
    assert found["headers"]["x-envoy-attempt-count"] == "1"


@pytest.mark.parametrize("port", [8080, 8081])
def test_plain_http_is_seen_by_the_servers_proxy(world: Mesh, port: int) -> None:
    found = ask(world, "http", port, by="outsider")
    assert found["server"] == "istio-envoy"
    assert "x-envoy-attempt-count" not in found["headers"]


@pytest.mark.parametrize("port", [8080, 8081, 8082])
def test_websockets_are_upgraded(world: Mesh, port: int) -> None:
    assert ask(world, "websocket", port, "hi") == [f"{port} hi", f"{port} again"]


# gRPC.


@pytest.mark.parametrize("port", [50051, 50052, 50053])
def test_grpc_declared_and_found_out(world: Mesh, port: int) -> None:
    found = ask(world, "grpc", port, "hi")
    assert (found["port"], found["said"]) == (port, "hi")
    assert "By=spiffe" in found["metadata"]["x-forwarded-client-cert"]
    assert ask(world, "stream", port, "hi") == ["hi 0", "hi 1", "hi 2"]


@pytest.mark.parametrize("port", [50051, 50052])
def test_plain_grpc_is_seen_by_the_servers_proxy(world: Mesh, port: int) -> None:
    assert "x-request-id" in ask(world, "grpc", port, by="outsider")["metadata"]


@pytest.mark.parametrize("by", ["client", "outsider"])
def test_grpc_web_becomes_grpc_where_it_is_declared(world: Mesh, by: str) -> None:
    found = ask(world, "web", 50054, "hi", by=by)
    assert (found["status"], found["type"]) == (200, "application/grpc-web+proto")
    assert json.loads(found["message"])["said"] == "hi"
    assert "grpc-status:0" in found["trailers"].replace(" ", "")


def test_grpc_and_grpc_web_through_the_gateway(world: Mesh) -> None:
    at = urlsplit(world.hands.ingress)
    assert at.hostname is not None
    assert at.port is not None
    for name, port in (("speaker.test", 50051), ("calls.test", 50052)):
        told = here("grpc", at.hostname, at.port, f"{name}/hi")
        assert (told["port"], told["said"]) == (port, "hi")
    found = here("web", at.hostname, at.port, "speaker.test/hi")
    assert json.loads(found["message"])["port"] == 50051
    assert "grpc-status:0" in found["trailers"].replace(" ", "")


def here(form: str, host: str, port: int, what: str) -> Any:
    """Ask from the host."""
    done = meshes.run(
        [sys.executable, str(APPS / "listener.py"), form, host, str(port), what], dict(os.environ)
    )
    return json.loads(done.good())


# Servers that speak first.


@pytest.mark.parametrize("port", [7000, 7002, 3306])
def test_a_server_may_speak_first_where_the_port_says_so(world: Mesh, port: int) -> None:
    found = ask(world, "greeting", port, "login")
    assert (found["first"], found["then"]) == (f"{port} welcome", f"{port} login")
    assert found["seconds"] < WAIT


def test_a_server_that_speaks_first_unsaid_is_heard_after_the_wait(world: Mesh) -> None:
    found = ask(world, "greeting", 7001, "login")
    assert (found["first"], found["then"]) == ("7001 welcome", "7001 login")
    assert WAIT <= found["seconds"] < WAIT + 2


# Bytes, TLS.


@pytest.mark.parametrize("port", [9000, 9001])
@pytest.mark.parametrize("by", ["client", "outsider"])
def test_bytes(world: Mesh, port: int, by: str) -> None:
    assert ask(world, "line", port, by=by) == f"{port} hello"


@pytest.mark.parametrize("port", [8443, 8444, 8445])
@pytest.mark.parametrize("by", ["client", "outsider"])
def test_tls_of_the_apps_own(world: Mesh, port: int, by: str) -> None:
    assert ask(world, "tls", port, by=by) == f"{port} hello"


def test_tls_passes_the_gateway_by_its_name(world: Mesh) -> None:
    ports = json.loads(Path(world.layout.ports).read_text())
    for name, port in (("one.test", 8443), ("two.test", 8444)):
        assert here("tls", "127.0.0.1", ports["ingress"]["443"], f"{name}/hi") == f"{port} hi"


# Databases.


def test_queries_of_mongo_are_counted_on_both_sides(world: Mesh) -> None:
    """Istio's task: `envoy_mongo_..._collection_ratings_query_total` after one query."""
    outbound = r"^mongo\..*27017.*\.collection\.ratings\.query\.total$"
    assert ask(world, "mongo", 27017, "ratings") == {"answered": 7, "code": 1, "documents": 1}
    assert stat(world, outbound) == 1
    assert stat(world, r"^mongo\..*\.collection\.ratings\.query\.total$", "speaker") == 1


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
@pytest.mark.parametrize("name", ["redis", "tcp-redis", "cache"])
def test_redis(world: Mesh, name: str) -> None:
    """Declared as redis or tcp, or not at all: redis is carried as bytes, and its client speaks first."""
    if world.meltemi("get", "pod", "redis").code != 0:
        world.put(pod("redis", "redis-server", "--port", "6379", "--save", "", "--protected-mode", "no"))
    world.put(service("redis", {"name": name, "port": 6379}))
    world.ready("redis")

    def set_and_get() -> bool:
        for words, said in ((("set", "name", name), "OK"), (("get", "name"), name)):
            done = world.meltemi("exec", "client", "--", "redis-cli", "-h", "redis", *words)
            if done.out.strip() != said:
                return False
        return True

    meshes.until(set_and_get, 15, "redis keeps a value")


def test_with_strict_mutual_tls_what_is_found_out_stays_so(world: Mesh) -> None:
    meta = {"name": "default", "namespace": "default"}
    strict = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta}
    world.apply({**strict, "spec": {"mtls": {"mode": "STRICT"}}})
    try:
        world.meltemi("wait", "peerauthentication/default").good()
        assert "By=spiffe" in ask(world, "http", 8081)["headers"]["x-forwarded-client-cert"]
        assert "By=spiffe" in ask(world, "grpc", 50052)["metadata"]["x-forwarded-client-cert"]
        assert ask(world, "line", 9001) == "9001 hello"
        assert ask(world, "tls", 8445) == "8445 hello"
        assert ask(world, "greeting", 3306)["first"] == "3306 welcome"
        command = (sys.executable, str(APPS / "listener.py"), "line", "speaker", "9001")
        refused = json.loads(world.meltemi("exec", "outsider", "--", *command).good())
        assert refused == "" or "error" in refused
    finally:
        world.kubectl("delete", "peerauthentication", "default").good()
