"""gRPC without a proxy: `grpcio`'s own client with an `xds:///` target, in a pod that has no Envoy."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import meshes
from tests.live.meshes import until

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.init.wire import Hold

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

APP = Path(__file__).parent / "apps" / "grpc_echo.py"
HOST = "echo.default.svc.cluster.local"
TARGET = f"xds:///{HOST}:7070"


def pod(name: str, *command: str, **metadata: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": "app",
        "command": [sys.executable, str(APP), *command],
        # What gRPC says of itself is no answer.
        "env": [{"name": "GRPC_VERBOSITY", "value": "NONE"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": [container]},
    }


def server(version: str) -> dict[str, Any]:
    made = pod(f"echo-{version}", "serve", version, "7070", labels={"app": "echo", "version": version})
    made["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 7070}],
        "readinessProbe": {"tcpSocket": {"port": 7070}},
    }
    return made


def service(name: str, **spec: Any) -> dict[str, Any]:
    port = {"name": "grpc", "port": 7070, "targetPort": 7070}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": "echo"}, "ports": [port], **spec},
    }


def networking(kind: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": "echo", "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def routes(*http: dict[str, Any]) -> dict[str, Any]:
    return networking("VirtualService", hosts=["echo"], http=list(http))


def to(version: str, **more: Any) -> dict[str, Any]:
    return {"destination": {"host": "echo", "subset": version}, **more}


def subsets(**policy: Any) -> dict[str, Any]:
    named = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    return networking("DestinationRule", host="echo", subsets=named, **policy)


@pytest.fixture(scope="module")
def mesh() -> Iterator[meshes.Mesh]:
    """Two versions of a gRPC service with sidecars, and a client without one that watches who answers."""
    with meshes.mesh() as made:
        made.put(service("echo"))
        made.put(service("headless", clusterIP="None"))
        for version in ("v1", "v2"):
            made.put(server(version))
        made.put(pod("client", "watch", TARGET, annotations={"inject.istio.io/templates": "grpc-agent"}))
        made.ready("echo-v1", "echo-v2", "client")
        made.apply(subsets())
        yield made


def call(mesh: meshes.Mesh, count: int = 1, target: str = TARGET, *metadata: str) -> dict[str, int]:
    done = mesh.kubectl(
        "exec", "client", "--", sys.executable, str(APP), "call", target, str(count), *metadata
    )
    found: dict[str, int] = json.loads(done.good())
    return found


def said(mesh: meshes.Mesh) -> list[str]:
    """Who answered the client that never stops, each time that it was another one."""
    done = mesh.kubectl("logs", "client", "-c", "app")
    return done.out.split() if done.code == 0 else []


def failed(found: dict[str, int]) -> bool:
    """Nobody answered; gRPC waits for fifteen seconds before it believes that there is nothing."""
    return found.keys() <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


def routed(mesh: meshes.Mesh, *http: dict[str, Any]) -> None:
    mesh.apply(routes(*http))
    mesh.meltemi("wait", "virtualservice/echo").good()


def test_the_pod_has_no_proxy(mesh: meshes.Mesh) -> None:
    found = mesh.object("pod", "client")
    assert [container["name"] for container in found["spec"]["containers"]] == ["app"]


@pytest.mark.parametrize("name", [HOST, "echo.default.svc", "echo.default", "echo"])
def test_a_service_answers_by_each_of_its_names(mesh: meshes.Mesh, name: str) -> None:
    found = call(mesh, 20, f"xds:///{name}:7070")
    assert set(found) == {"v1", "v2"}
    assert min(found.values()) >= 5


def test_a_headless_service_answers_too(mesh: meshes.Mesh) -> None:
    assert set(call(mesh, 20, "xds:///headless:7070")) == {"v1", "v2"}


@pytest.mark.long
def test_a_name_that_is_no_service_is_told(mesh: meshes.Mesh) -> None:
    assert failed(call(mesh, 1, "xds:///nobody:7070"))


def test_a_running_client_follows_the_routes(mesh: meshes.Mesh) -> None:
    routed(mesh, {"route": [to("v2")]})
    until(lambda: said(mesh)[-1:] == ["v2"], 10, "the client calls v2")
    assert call(mesh, 10) == {"v2": 10}
    before = said(mesh)
    routed(mesh, {"route": [to("v1")]})
    until(lambda: said(mesh) == [*before, "v1"], 10, "the client calls v1, and no call failed")


@pytest.mark.long
def test_weights_share_out_the_calls(mesh: meshes.Mesh) -> None:
    routed(mesh, {"route": [to("v1", weight=90), to("v2", weight=10)]})
    found = call(mesh, 400)
    assert set(found) == {"v1", "v2"}
    assert 10 <= found["v2"] <= 80


def test_headers_and_methods_choose_a_route(mesh: meshes.Mesh) -> None:
    routed(
        mesh,
        {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [to("v2")]},
        {"match": [{"uri": {"prefix": "/test.Echo"}}], "route": [to("v1")]},
    )
    assert call(mesh, 5, TARGET, "end-user=jason") == {"v2": 5}
    assert call(mesh, 5) == {"v1": 5}


def test_faults_fail_calls_and_what_it_does_not_know_of_a_route_does_no_harm(mesh: meshes.Mesh) -> None:
    fault = {"abort": {"percentage": {"value": 100}, "grpcStatus": "PERMISSION_DENIED"}}
    cors = {"allowOrigins": [{"exact": "https://a.test"}], "allowMethods": ["GET"]}
    routed(
        mesh,
        {
            "match": [{"headers": {"end-user": {"exact": "jason"}}}],
            "fault": fault,
            "route": [to("v1")],
        },
        {"corsPolicy": cors, "route": [to("v2")]},
    )
    assert call(mesh, 5, TARGET, "end-user=jason") == {"PERMISSION_DENIED": 5}
    assert call(mesh, 5) == {"v2": 5}


@pytest.mark.long
def test_where_tls_is_asked_for_nothing_goes_out_in_plain_text(mesh: meshes.Mesh) -> None:
    mesh.apply(subsets(trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}))
    try:
        mesh.meltemi("wait", "destinationrule/echo").good()
        assert failed(call(mesh, 1))
        assert "MEL0200" in mesh.meltemi("status").out
    finally:
        mesh.apply(subsets())
        mesh.meltemi("wait", "destinationrule/echo").good()


@pytest.mark.long
def test_a_running_client_calls_on_while_control_plane_or_agent_is_away(mesh: meshes.Mesh) -> None:
    routed(mesh, {"route": [to("v1")]})
    until(lambda: said(mesh)[-1:] == ["v1"], 10, "the client calls v1")
    before = said(mesh)
    for who in ("daemon", "agent"):
        InitClient(mesh.layout).ask(Hold(who, 3.0))
        time.sleep(4.0)
    until(lambda: mesh.kubectl("get", "pods").code == 0, 20, "the API is back")
    until(lambda: bool(said(mesh)), 20, "the agent is back")
    assert said(mesh) == before
    routed(mesh, {"route": [to("v2")]})
    until(lambda: said(mesh) == [*before, "v2"], 30, "the client calls v2")
