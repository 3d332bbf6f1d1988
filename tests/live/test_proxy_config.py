"""How proxies are told to be: the mesh's `defaultConfig`, ProxyConfig objects, a Pod's annotation."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.live import meshes

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

ECHO = Path(__file__).parent / "fields" / "echo.py"
ASK = """
import json, sys, urllib.request
url, headers = sys.argv[1], json.loads(sys.argv[2])
with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as got:
    print(json.dumps({"told": json.load(got), "headers": {k.lower(): v for k, v in got.headers.items()}}))
"""
MESH = """
defaultConfig:
  drainDuration: 7s
  proxyMetadata: {ISTIO_META_WHO: mesh, COLOUR: grey}
  runtimeValues: {meltemi.test: "1"}
  proxyStatsMatcher: {inclusionRegexps: [".*upstream_rq_completed"]}
"""
CASED = """
import socket
with socket.create_connection(("raw", 80), 5) as sock:
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: raw\\r\\nX-CaSeD: 1\\r\\nConnection: close\\r\\n\\r\\n")
    data = b""
    while part := sock.recv(65536):
        data += part
print(data.decode())
"""
RAW = """
import socket
listening = socket.create_server(("0.0.0.0", 8080))
while True:
    with listening.accept()[0] as sock:
        asked = sock.recv(65536)
        head = b"HTTP/1.1 200 OK\\r\\nX-AnSwEr: 1\\r\\nConnection: close\\r\\n"
        sock.sendall(head + b"Content-Length: %d\\r\\n\\r\\n" % len(asked) + asked)
"""
Document = dict[str, Any]


def pod(name: str, labels: dict[str, str] | None = None, **config: Any) -> Document:
    noted = {"annotations": {"proxy.istio.io/config": yaml.safe_dump(config)}} if config else {}
    container = {
        "name": "app",
        "command": [sys.executable, "-c", RAW] if name == "raw" else [sys.executable, str(ECHO), name],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": name, **(labels or {})},
            **noted,
        },
        "spec": {"containers": [container]},
    }


def service(name: str) -> Document:
    port = {"name": "http", "port": 80, "targetPort": 8080}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [port]},
    }


def proxy_config(name: str, namespace: str = "default", **spec: Any) -> Document:
    meta = {"name": name, "namespace": namespace}
    kind = "ProxyConfig"
    return {"apiVersion": "networking.istio.io/v1beta1", "kind": kind, "metadata": meta, "spec": spec}


def starts(name: str, *values: Document, namespace: str = "default", **spec: Any) -> Document:
    """An EnvoyFilter of what proxies start from."""
    patches = [{"applyTo": "BOOTSTRAP", "patch": {"operation": "MERGE", "value": one}} for one in values]
    meta = {"name": name, "namespace": namespace}
    made = {**spec, "configPatches": patches}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": meta,
        "spec": made,
    }


def noting(**metadata: str) -> Document:
    """A bootstrap whose node says so."""
    return {"node": {"metadata": metadata}}


def gateway(name: str, **config: Any) -> Document:
    """A gateway's Pod beside the mesh's own, so that what it is told concerns nobody else."""
    noted = {"proxy.istio.io/config": yaml.safe_dump(config)} if config else {}
    port = {"containerPort": 8080}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": name, "gateway": "ours"},
            "annotations": {"inject.istio.io/templates": "gateway", **noted},
        },
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto", "ports": [port]}]},
    }


def networking(kind: str, **spec: Any) -> Document:
    meta = {"name": "front", "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


OPEN = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}


HEADERS = {
    "requestId": {"disabled": True},
    "attemptCount": {"disabled": True},
    "envoyDebugHeaders": {"disabled": True},
    "server": {"value": "nobody"},
    "xForwardedPort": {"enabled": True},
    "forwardedClientCert": "SANITIZE",
}


@pytest.fixture(scope="module")
def mesh() -> Iterator[meshes.Mesh]:
    """Pods that are told something in each way, and one that is told what all are."""
    with meshes.mesh() as made:
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": MESH},
        }
        root = proxy_config("all", "istio-system", environmentVariables={"ISTIO_META_ROOT": "1"})
        own = proxy_config("here", environmentVariables={"ISTIO_META_WHO": "namespace"})
        one = proxy_config(
            "chosen",
            selector={"matchLabels": {"who": "chosen"}},
            concurrency=2,
            environmentVariables={"ISTIO_META_WHO": "workload", "COLOUR": "red"},
        )
        made.apply(config_map, root, own, one)
        # Envoy takes no two clusters of one name.
        again = {"static_resources": {"clusters": [{"name": "agent"}]}}
        made.apply(
            starts("early", noting(START="namespace", FIRST="namespace")),
            starts("all", noting(START="root", ALL="root"), namespace="istio-system"),
            starts("last", noting(FIRST="last"), priority=1),
            starts("one", noting(ONE="1"), workloadSelector={"labels": {"app": "chosen"}}),
            starts("bad", noting(BESIDE="1"), again, noting(BEHIND="1")),
        )
        names = ("plain", "chosen", "noted", "quiet", "keeper")
        for name in names:
            made.put(service(name))
        made.put(pod("plain"))
        made.put(pod("chosen", {"who": "chosen"}))
        made.put(pod("noted", {"who": "chosen"}, concurrency=3, drainDuration="9s"))
        made.put(pod("quiet", proxyHeaders=HEADERS))
        made.put(pod("keeper", proxyHeaders={"preserveHttp1HeaderCase": True}))
        made.put(pod("raw", proxyHeaders={"preserveHttp1HeaderCase": True}))
        for name in ("raw", "front", "back"):
            made.put(service(name))
        made.put(gateway("front", gatewayTopology={"numTrustedProxies": 1}))
        made.put(gateway("back"))
        made.apply(
            networking("Gateway", selector={"gateway": "ours"}, servers=[OPEN]),
            networking(
                "VirtualService",
                hosts=["*"],
                gateways=["front"],
                http=[{"route": [{"destination": {"host": "plain"}}]}],
            ),
        )
        made.ready(*names, "raw", "front", "back")
        made.meltemi("wait", "gateway/front", "virtualservice/front").good()
        yield made


def told(mesh: meshes.Mesh, name: str) -> Document:
    found: Document = json.loads(mesh.meltemi("proxy-config", "bootstrap", name, "-o", "json").good())
    made: Document = found["bootstrap"]
    return made


def metadata(mesh: meshes.Mesh, name: str) -> Document:
    found: Document = told(mesh, name)["node"]["metadata"]
    return found


def options(mesh: meshes.Mesh, name: str) -> Document:
    """The command line of a pod's Envoy, by itself."""
    found: Document = ask(mesh, name, "127.0.0.1:15000/server_info")["told"]["command_line_options"]
    return found


def ask(mesh: meshes.Mesh, caller: str, host: str, **headers: str) -> Document:
    found: Document = mesh.python(caller, ASK, f"http://{host}", json.dumps(headers))
    return found


def test_what_is_nearer_wins(mesh: meshes.Mesh) -> None:
    assert {name: metadata(mesh, name)["WHO"] for name in ("plain", "chosen")} == {
        "plain": "namespace",
        "chosen": "workload",
    }
    assert metadata(mesh, "plain")["ROOT"] == "1"


def test_the_mesh_s_defaults_hold_where_nobody_says_otherwise(mesh: meshes.Mesh) -> None:
    made = told(mesh, "plain")
    layers = [layer.get("static_layer", {}) for layer in made["layered_runtime"]["layers"]]
    assert any(layer.get("meltemi.test") == "1" for layer in layers)
    patterns = made["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert {"safe_regex": {"regex": ".*upstream_rq_completed"}} in patterns


def test_envoy_is_started_as_told(mesh: meshes.Mesh) -> None:
    plain, chosen, noted = (options(mesh, name) for name in ("plain", "chosen", "noted"))
    assert (plain["concurrency"], chosen["concurrency"], noted["concurrency"]) == (1, 2, 3)
    assert (plain["drain_time"], noted["drain_time"]) == ("7s", "9s")


def test_proxies_start_from_what_envoy_filters_merge(mesh: meshes.Mesh) -> None:
    for name in ("plain", "chosen", "back"):
        made = metadata(mesh, name)
        assert (made["START"], made["FIRST"], made["ALL"]) == ("namespace", "last", "root")
        assert ("ONE" in made) is (name == "chosen")
        assert (made["NAME"], made["NAMESPACE"]) == (name, "default")


def test_what_envoy_refuses_of_a_bootstrap_is_told_and_stops_no_pod(mesh: meshes.Mesh) -> None:
    made = metadata(mesh, "plain")
    assert (made["BESIDE"], made["BEHIND"]) == ("1", "1")
    clusters = told(mesh, "plain")["static_resources"]["clusters"]
    assert [one["name"] for one in clusters].count("agent") == 1
    problems = json.loads(mesh.meltemi("status", "-o", "json").out)["problems"]
    (found,) = [one for one in problems if "envoyfilter/bad" in json.dumps(one)]
    assert found["message"].startswith("refused by ")
    assert found["message"].endswith("cluster manager: duplicate cluster 'agent'")


def test_headers_are_as_told(mesh: meshes.Mesh) -> None:
    usual, quiet = ask(mesh, "plain", "chosen/"), ask(mesh, "plain", "quiet/")
    for header in ("x-request-id", "x-forwarded-client-cert"):
        assert header in usual["told"]["headers"]
    assert "x-forwarded-client-cert" not in quiet["told"]["headers"]
    assert (usual["headers"]["server"], quiet["headers"]["server"]) == ("istio-envoy", "nobody")
    usual, quiet = ask(mesh, "plain", "noted/"), ask(mesh, "quiet", "noted/")
    assert "x-envoy-attempt-count" in usual["told"]["headers"]
    assert "x-envoy-attempt-count" not in quiet["told"]["headers"]
    assert "x-envoy-upstream-service-time" in usual["headers"]
    # Both proxies on the way write it.
    assert "x-envoy-upstream-service-time" not in ask(mesh, "quiet", "quiet.default/")["headers"]
    assert quiet["told"]["headers"]["x-forwarded-port"] == "80"
    assert "x-forwarded-port" not in usual["told"]["headers"]


def test_the_case_of_headers_is_kept_where_both_proxies_are_told(mesh: meshes.Mesh) -> None:
    def seen(caller: str) -> str:
        argv = ("exec", caller, "-c", "app", "--", sys.executable, "-c", CASED)
        return mesh.kubectl(*argv).good()

    kept, usual = seen("keeper"), seen("plain")
    assert "X-CaSeD: 1" in kept
    assert "X-AnSwEr: 1" in kept
    assert "x-cased: 1" in usual
    assert "x-answer: 1" in usual


def test_a_gateway_believes_the_proxies_before_it(mesh: meshes.Mesh) -> None:
    def client_address(pod: str) -> str:
        found = ask(mesh, "plain", f"{pod}/", **{"x-forwarded-for": "203.0.113.9"})
        return str(found["told"]["headers"]["x-envoy-external-address"])

    assert client_address("front") == "203.0.113.9"
    assert client_address("back") != "203.0.113.9"
