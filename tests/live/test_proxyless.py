"""gRPC without a proxy: `grpcio`'s own client with an `xds:///` target, and its own server, in pods without Envoy."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
NATIVE = "xds:///native:7070"
PROXYLESS = {"inject.istio.io/templates": "grpc-agent"}
SPIFFE = "spiffe://cluster.local/ns/default/sa"


def pod(name: str, *command: str, **metadata: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": "app",
        "command": [sys.executable, str(APP), *command],
        # What gRPC says of itself is no answer; it is found where the tests find it.
        "env": [
            {"name": "GRPC_VERBOSITY", "value": "NONE"},
            {"name": "PYTHONPATH", "value": os.environ.get("PYTHONPATH", "")},
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": [container]},
    }


def serving(made: dict[str, Any]) -> dict[str, Any]:
    made["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 7070}],
        "readinessProbe": {"tcpSocket": {"port": 7070}},
    }
    return made


def server(version: str) -> dict[str, Any]:
    labels = {"app": "echo", "version": version, "istio-locality": {"v1": "r1.z1", "v2": "r2.z1"}[version]}
    return serving(pod(f"echo-{version}", "serve", version, "7070", labels=labels))


def native() -> dict[str, Any]:
    """A server that ends mutual TLS itself, and says so."""
    labels = {"app": "native", "security.istio.io/tlsMode": "istio"}
    return serving(pod("native", "xds-serve", "native", "7070", labels=labels, annotations=PROXYLESS))


def service(name: str, app: str = "echo", **spec: Any) -> dict[str, Any]:
    port = {"name": "grpc", "port": 7070, "targetPort": 7070}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": app}, "ports": [port], **spec},
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
    """A gRPC service with sidecars, one without, and clients of both kinds; one without watches who answers."""
    with meshes.mesh() as made:
        made.put(service("echo"))
        made.put(service("native", "native"))
        made.put(native())
        made.put(service("headless", clusterIP="None"))
        for version in ("v1", "v2"):
            made.put(server(version))
        where = {"istio-locality": "r1.z1"}
        made.put(pod("client", "watch", TARGET, annotations=PROXYLESS, labels=where))
        made.put(pod("with-sidecar", "watch", "echo:7070"))
        made.ready("echo-v1", "echo-v2", "native", "client", "with-sidecar")
        made.apply(subsets())
        yield made


def call(
    mesh: meshes.Mesh, count: int = 1, target: str = TARGET, *more: str, who: str = "client"
) -> dict[str, int]:
    done = mesh.kubectl("exec", who, "--", sys.executable, str(APP), "call", target, str(count), *more)
    found: dict[str, int] = json.loads(done.good())
    return found


def said(mesh: meshes.Mesh, who: str = "client") -> list[str]:
    """Who answered a client that never stops, each time that it was another one."""
    done = mesh.kubectl("logs", who, "-c", "app")
    return done.out.splitlines() if done.code == 0 else []


def answered_by_both(mesh: meshes.Mesh, target: str) -> None:
    """Wait until a client shares its calls out; until the second server is connected the first has all."""
    until(
        lambda: {name for name, times in call(mesh, 300, target).items() if times >= 30} == {"v1", "v2"},
        20,
        f"both answer at {target}",
    )


def failed(found: dict[str, int]) -> bool:
    """Nobody answered; gRPC waits for fifteen seconds before it believes that there is nothing."""
    return found.keys() <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


def routed(mesh: meshes.Mesh, *http: dict[str, Any]) -> None:
    mesh.apply(routes(*http))
    mesh.meltemi("wait", "virtualservice/echo").good()


@contextmanager
def mutual(mesh: meshes.Mesh, mode: str = "STRICT") -> Iterator[None]:
    """Ask for mutual TLS everywhere: servers by PeerAuthentication, clients without a proxy by DestinationRules."""
    meta = {"name": "default", "namespace": "default"}
    peers = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta}
    tls = {"tls": {"mode": "ISTIO_MUTUAL"}}
    other = networking("DestinationRule", host="native", trafficPolicy=tls)
    other["metadata"]["name"] = "native"
    mesh.apply({**peers, "spec": {"mtls": {"mode": mode}}}, subsets(trafficPolicy=tls), other)
    try:
        mesh.meltemi(
            "wait", "peerauthentication/default", "destinationrule/echo", "destinationrule/native"
        ).good()
        yield
    finally:
        mesh.kubectl("delete", "peerauthentication/default", "destinationrule/native").good()
        mesh.apply(subsets())
        mesh.meltemi("wait", "destinationrule/echo").good()


def test_mutual_tls_between_all_who_have_a_proxy_and_who_have_none(mesh: meshes.Mesh) -> None:
    with mutual(mesh):
        # Of a server with a sidecar the sidecar says who came; one without knows it itself.
        assert call(mesh, 4, TARGET, "Peer").keys() <= {f"v{n} {SPIFFE}/default" for n in (1, 2)}
        assert call(mesh, 2, NATIVE, "Peer") == {f"native {SPIFFE}/default": 2}
        assert call(mesh, 2, "native:7070", "Peer", who="with-sidecar") == {f"native {SPIFFE}/default": 2}
        # Without TLS nobody comes in.
        assert failed(call(mesh, 1, "native:7070"))


@pytest.mark.long
def test_a_server_without_a_proxy_takes_plain_text_where_mutual_tls_is_off(mesh: meshes.Mesh) -> None:
    meta = {"name": "default", "namespace": "default"}
    peers = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta}
    assert failed(call(mesh, 1, "native:7070")), "its label says that it does mutual TLS"
    mesh.apply({**peers, "spec": {"mtls": {"mode": "DISABLE"}}})
    try:
        mesh.meltemi("wait", "peerauthentication/default").good()
        for target, who in (("native:7070", "client"), (NATIVE, "client"), ("native:7070", "with-sidecar")):
            until(
                lambda target=target, who=who: call(mesh, 2, target, "Peer", who=who) == {"native nobody": 2},  # type: ignore[misc]
                10,
                f"{who} reaches {target} in plain text",
            )
    finally:
        mesh.kubectl("delete", "peerauthentication/default").good()


@pytest.mark.long
def test_a_server_that_is_not_of_the_services_accounts_is_refused(mesh: meshes.Mesh) -> None:
    with mutual(mesh):
        other = {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [f"{SPIFFE}/other"]}}
        rule = networking("DestinationRule", host="native", trafficPolicy=other)
        rule["metadata"]["name"] = "native"
        mesh.apply(rule)
        mesh.meltemi("wait", "destinationrule/native").good()
        assert failed(call(mesh, 1, NATIVE))


@pytest.mark.long
def test_a_permissive_sidecar_does_not_know_a_clients_mutual_tls_and_that_is_told(mesh: meshes.Mesh) -> None:
    with mutual(mesh, "PERMISSIVE"):
        assert call(mesh, 1, NATIVE, "Peer") == {f"native {SPIFFE}/default": 1}
        assert failed(call(mesh, 1))
        assert "MEL0234" in mesh.meltemi("status").out


def certificate_of(mesh: meshes.Mesh) -> str:
    """What the server without a proxy is shown by a client without one that comes anew."""
    (found,) = call(mesh, 1, NATIVE, "Certificate")
    return found


@pytest.mark.long
def test_certificates_are_renewed_on_disk_and_no_call_fails(mesh: meshes.Mesh) -> None:
    with mutual(mesh):
        mesh.put(pod("rotating", "watch", NATIVE, "Certificate", annotations=PROXYLESS))
        mesh.ready("rotating")
        until(lambda: bool(said(mesh, "rotating")), 20, "the first call")
        before, seen = certificate_of(mesh), said(mesh, "rotating")
        for name in ("client", "rotating", "native"):
            folder = Path(mesh.layout.pod_folder("default", name))
            (folder / "identity.json").unlink()
        # Whoever lost what it had kept asks for a new one when it begins again.
        InitClient(mesh.layout).ask(Hold("agent", 1.0))
        time.sleep(2.0)
        until(lambda: bool(said(mesh, "rotating")), 20, "the agent is back")
        until(lambda: certificate_of(mesh) not in ("UNAVAILABLE", before), 40, "a new one is shown")
        after = said(mesh, "rotating")
        assert after[: len(seen)] == seen
        assert not set(after) & {"UNAVAILABLE", "DEADLINE_EXCEEDED"}, after
        mesh.kubectl("delete", "pod/rotating").good()


@pytest.mark.long
@pytest.mark.parametrize("who", ["daemon", "agent"])
def test_calls_in_mutual_tls_go_on_while_somebody_is_away(mesh: meshes.Mesh, who: str) -> None:
    """Killed is the control plane, or the node's agent; no call may fail, of old connections or new ones."""
    with mutual(mesh):
        calling = (f"calling-{who}", f"anew-{who}")
        for name, how in zip(calling, ("watch", "anew"), strict=True):
            mesh.put(pod(name, how, NATIVE, "Peer", annotations=PROXYLESS))
        mesh.ready(*calling)
        expected = [f"native {SPIFFE}/default"]
        for name in calling:
            until(lambda name=name: said(mesh, name) == expected, 20, f"{name} calls")  # type: ignore[misc]
        InitClient(mesh.layout).ask(Hold(who, 5.0))
        time.sleep(6.0)
        until(lambda: mesh.kubectl("get", "pods").code == 0, 20, "the API is back")
        for name in calling:
            until(lambda name=name: bool(said(mesh, name)), 20, "the agent is back")  # type: ignore[misc]
            assert said(mesh, name) == expected
        mesh.kubectl("delete", *(f"pod/{name}" for name in calling)).good()


def test_the_pod_has_no_proxy(mesh: meshes.Mesh) -> None:
    found = mesh.object("pod", "client")
    assert [container["name"] for container in found["spec"]["containers"]] == ["app"]


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        *(pytest.param(name, marks=pytest.mark.long) for name in (HOST, "echo.default.svc", "echo.default")),
    ],
)
def test_a_service_answers_by_each_of_its_names(mesh: meshes.Mesh, name: str) -> None:
    answered_by_both(mesh, f"xds:///{name}:7070")


def test_a_headless_service_answers_too(mesh: meshes.Mesh) -> None:
    answered_by_both(mesh, "xds:///headless:7070")


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


@pytest.mark.long
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
def test_that_a_header_is_not_so_holds_where_it_is_not_there(mesh: meshes.Mesh) -> None:
    routed(
        mesh,
        {"match": [{"withoutHeaders": {"end-user": {"exact": "jason"}}}], "route": [to("v2")]},
        {"route": [to("v1")]},
    )
    assert call(mesh, 5) == call(mesh, 5, TARGET, "end-user=mary") == {"v2": 5}
    assert call(mesh, 5, TARGET, "end-user=jason") == {"v1": 5}


@pytest.mark.long
def test_timeouts_end_calls(mesh: meshes.Mesh) -> None:
    routed(mesh, {"timeout": "0.5s", "route": [to("v1")]})
    assert call(mesh, 1, TARGET, "Slow") == {"DEADLINE_EXCEEDED": 1}
    routed(mesh, {"route": [to("v1")]})
    assert call(mesh, 1, TARGET, "Slow") == {"v1": 1}


@pytest.mark.long
def test_failed_calls_are_tried_again_as_often_as_the_route_says(mesh: meshes.Mesh) -> None:
    """`Flaky` fails all but every third call; the mesh's usual retries are two."""
    routed(mesh, {"route": [to("v1")]})
    assert call(mesh, 6, TARGET, "Flaky") == {"v1": 6}
    routed(mesh, {"retries": {"attempts": 0}, "route": [to("v1")]})
    assert call(mesh, 6, TARGET, "Flaky") == {"v1": 2, "UNAVAILABLE": 4}
    routed(mesh, {"retries": {"attempts": 2, "retryOn": "internal"}, "route": [to("v1")]})
    assert call(mesh, 6, TARGET, "Flaky") == {"v1": 2, "UNAVAILABLE": 4}
    routed(mesh, {"retries": {"attempts": 2, "retryOn": "unavailable"}, "route": [to("v1")]})
    assert call(mesh, 6, TARGET, "Flaky") == {"v1": 6}


@contextmanager
def ruled(mesh: meshes.Mesh, **policy: Any) -> Iterator[None]:
    """Have the service's rule say so for a while."""
    mesh.apply(subsets(trafficPolicy=policy))
    try:
        mesh.meltemi("wait", "destinationrule/echo").good()
        yield
    finally:
        mesh.apply(subsets())
        mesh.meltemi("wait", "destinationrule/echo").good()


@pytest.mark.long
def test_more_requests_than_the_limit_are_refused(mesh: meshes.Mesh) -> None:
    routed(mesh, {"route": [to("v1")]})
    assert call(mesh, 3, TARGET, "Slow", "together") == {"v1": 3}
    with ruled(mesh, connectionPool={"http": {"http2MaxRequests": 1}}):
        assert call(mesh, 3, TARGET, "Slow", "together") == {"v1": 1, "UNAVAILABLE": 2}


@pytest.mark.long
def test_a_header_is_hashed_to_one_server(mesh: meshes.Mesh) -> None:
    mesh.kubectl("delete", "--ignore-not-found", "virtualservice/echo").good()
    with ruled(mesh, loadBalancer={"consistentHash": {"httpHeaderName": "user"}}):
        found = [call(mesh, 5, TARGET, f"user={number}") for number in range(8)]
    assert all(len(one) == 1 for one in found), found
    assert {name for one in found for name in one} == {"v1", "v2"}


@pytest.mark.long
def test_localities_order_and_divide_what_is_called(mesh: meshes.Mesh) -> None:
    mesh.kubectl("delete", "--ignore-not-found", "virtualservice/echo").good()
    outliers = {"outlierDetection": {"consecutive5xxErrors": 5}}
    with ruled(mesh, **outliers):
        assert call(mesh, 20) == {"v1": 20}, "its own region goes first"
        assert "outlierDetection is not heeded by gRPC" in mesh.meltemi("status").out
    away = {"localityLbSetting": {"distribute": [{"from": "r1/*", "to": {"r2/*": 100}}]}}
    with ruled(mesh, loadBalancer=away):
        assert call(mesh, 20) == {"v2": 20}


@pytest.mark.long
def test_what_is_not_heeded_is_told_and_the_rest_works(mesh: meshes.Mesh) -> None:
    routed(mesh, {"rewrite": {"authority": "x"}, "route": [to("v2")]}, {"redirect": {"uri": "/x"}})
    assert call(mesh, 5) == {"v2": 5}
    out = mesh.meltemi("status").out
    assert "MEL0232" in out
    assert "MEL0233" in out


@pytest.mark.long
def test_where_other_tls_is_asked_for_nothing_goes_out_in_plain_text(mesh: meshes.Mesh) -> None:
    mesh.apply(subsets(trafficPolicy={"tls": {"mode": "SIMPLE"}}))
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
