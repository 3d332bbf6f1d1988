"""Gateways by Istio's tasks: ingress control, TCP, SNI passthrough; servers that share a port, sockets, OCSP staples.

Source: istio.io, Tasks, Traffic Management, Ingress and "TCP Traffic Shifting".
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import meshes
from tests.live.fields.certificates import pem
from tests.live.meshes import Mesh, until
from tests.pilot.core.certificates import Authority

from meltemi.agent.shell.edges import read_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

ECHO = Path(__file__).parent / "fields" / "echo.py"
SELECTOR = {"istio": "ingressgateway"}
TCP = 31400
"""The port for TCP of Istio's own ingress gateway."""
Document = dict[str, Any]


def pod(version: str) -> Document:
    """A pod that echoes by HTTP on 8080, by TCP on 9000, by TLS on 8443."""
    container = {
        "name": "echo",
        "image": "local",
        "command": [sys.executable, str(ECHO), f"echo-{version}"],
        "env": [{"name": "ECHO_TLS", "value": pem()}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    labels = {"app": "echo", "version": version}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"echo-{version}", "namespace": "default", "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A mesh with two versions of echo, and a port for TCP on its ingress gateway."""
    with meshes.mesh("gateways") as made:
        ports = [
            {"name": "http", "port": 8080},
            {"name": "tcp", "port": 9000},
            {"name": "tls", "port": 8443},
        ]
        service: Document = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "echo", "namespace": "default"},
            "spec": {"selector": {"app": "echo"}, "ports": ports},
        }
        for one in (service, pod("v1"), pod("v2")):
            made.put(one)
        made.ready("echo-v1", "echo-v2")
        patch = [
            {"op": "add", "path": "/spec/ports/-", "value": {"name": "tcp", "port": TCP, "targetPort": TCP}}
        ]
        where = ("-n", "istio-system", "patch", "service", "istio-ingressgateway")
        made.kubectl(*where, "--type=json", "-p", json.dumps(patch)).good()
        subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
        applied(made, of("DestinationRule", "echo", {"host": "echo", "subsets": subsets}))
        yield made


@pytest.fixture
def clean(mesh: Mesh) -> Iterator[Mesh]:
    """The mesh, without Gateways and VirtualServices afterwards."""
    yield mesh
    mesh.kubectl("delete", "gateways.networking.istio.io,virtualservices", "--all").good()


def of(kind: str, name: str, spec: Document) -> Document:
    """An object of Istio's."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def gateway(name: str, *servers: Document) -> Document:
    """A Gateway of the ingress gateway."""
    return of("Gateway", name, {"selector": SELECTOR, "servers": list(servers)})


def server(protocol: str, number: int, *hosts: str, **more: Any) -> Document:
    """A server of a Gateway."""
    port = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(hosts) or ["*"], **more}


def to(port: int, version: str = "", weight: int = 0) -> Document:
    """A destination: echo."""
    subset = {"subset": version} if version else {}
    share = {"weight": weight} if weight else {}
    return {"destination": {"host": "echo", "port": {"number": port}, **subset}, **share}


def applied(mesh: Mesh, *documents: Document) -> None:
    """Apply objects and wait until every proxy has them."""
    mesh.apply(*documents)
    mesh.meltemi("wait", *(f"{one['kind'].lower()}/{one['metadata']['name']}" for one in documents)).good()


def door(mesh: Mesh, port: int) -> int:
    """The port of the host that leads to a port of the ingress gateway."""

    until(lambda: port in read_ports(mesh.layout).ingress, 10, f"port {port} is held")
    return read_ports(mesh.layout).ingress[port]


def ask(port: int, path: str, host: str) -> tuple[int, str]:
    """Ask by HTTP: the status, and who says to be the server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("server", "")
    finally:
        connection.close()


def say(sock: socket.socket) -> str:
    """Say hello over a connection of bytes, and hear which pod is there; "" where nobody is."""
    with sock:
        sock.sendall(b"hello\n")
        return sock.recv(100).decode().strip()


def hello(port: int) -> str:
    """Say hello by TCP."""
    try:
        return say(socket.create_connection(("127.0.0.1", port), timeout=5))
    except OSError:
        return ""


def test_hosts_and_paths_are_let_in_as_the_routes_say(clean: Mesh) -> None:
    paths = [{"uri": {"prefix": "/status"}}, {"uri": {"prefix": "/delay"}}]
    routes = {"hosts": ["echo.test"], "gateways": ["echo"], "http": [{"match": paths, "route": [to(8080)]}]}
    applied(clean, gateway("echo", server("HTTP", 80, "echo.test")), of("VirtualService", "echo", routes))
    port = door(clean, 80)
    assert ask(port, "/status/200", "echo.test") == (200, "istio-envoy")
    assert ask(port, "/headers", "echo.test")[0] == 404
    assert ask(port, "/status/200", "other.test")[0] == 404
    wide = {
        "hosts": ["*"],
        "gateways": ["echo"],
        "http": [{"match": [{"uri": {"prefix": "/headers"}}], "route": [to(8080)]}],
    }
    applied(clean, gateway("echo", server("HTTP", 80, "*")), of("VirtualService", "echo", wide))
    assert ask(port, "/headers", "whatever.test")[0] == 200


def test_bytes_go_to_versions_by_weight(clean: Mesh) -> None:
    def shares(first: int) -> Document:
        route = [to(9000, "v1", first), to(9000, "v2", 100 - first)] if first < 100 else [to(9000, "v1")]
        rule = {"match": [{"port": TCP}], "route": route}
        return of("VirtualService", "echo", {"hosts": ["*"], "gateways": ["echo"], "tcp": [rule]})

    applied(clean, gateway("echo", server("TCP", TCP)), shares(100))
    port = door(clean, TCP)
    assert f"tcp://127.0.0.1:{port}" in clean.meltemi("status").out
    assert Counter(hello(port) for _ in range(10)) == {"echo-v1": 10}
    applied(clean, shares(80))
    seen = Counter(hello(port) for _ in range(100))
    assert set(seen) == {"echo-v1", "echo-v2"}
    assert 65 <= seen["echo-v1"] <= 93


def test_tls_is_passed_on_by_the_name_that_clients_ask_for(clean: Mesh) -> None:
    tls = {"mode": "PASSTHROUGH"}
    rules = [{"match": [{"port": 443, "sniHosts": ["echo.test"]}], "route": [to(8443)]}]
    routes = {"hosts": ["echo.test"], "gateways": ["echo"], "tls": rules}
    applied(
        clean,
        gateway("echo", server("HTTPS", 443, "echo.test", tls=tls)),
        of("VirtualService", "echo", routes),
    )
    port = door(clean, 443)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="echo.test") as made,
    ):
        # It is the service's own certificate: nobody in between has ended TLS.
        shown = ssl.DER_cert_to_PEM_cert(made.getpeercert(binary_form=True) or b"")
        assert shown.strip() in pem()
        made.sendall(b"hello\n")
        assert made.recv(100).decode().strip() in ("echo-v1", "echo-v2")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        pytest.raises(OSError, match=r".*"),
    ):
        context.wrap_socket(raw, server_hostname="other.test")


def test_gateways_share_a_port_and_the_older_decides_what_is_spoken(clean: Mesh) -> None:
    def routes(name: str, *gateways: str) -> Document:
        http = [{"directResponse": {"status": 200 if name == "one" else 204}}]
        return of(
            "VirtualService", name, {"hosts": [f"{name}.test"], "gateways": list(gateways), "http": http}
        )

    applied(clean, gateway("one", server("HTTP", 80, "one.test")))
    applied(clean, gateway("two", server("HTTP", 80, "two.test")), routes("one", "one"), routes("two", "two"))
    port = door(clean, 80)
    assert [ask(port, "/", f"{name}.test")[0] for name in ("one", "two", "three")] == [200, 204, 404]
    # What is behind one Gateway is not behind the other, though both are open on that port.
    applied(clean, routes("one", "two"))
    until(lambda: ask(port, "/", "one.test")[0] == 404, 5, "one.test is behind its own Gateway only")
    applied(clean, routes("one", "one"))
    rule = {"hosts": ["*"], "gateways": ["late"], "tcp": [{"route": [to(9000)]}]}
    applied(clean, gateway("late", server("TCP", 80)), of("VirtualService", "late", rule))
    assert [ask(port, "/", f"{name}.test")[0] for name in ("one", "two")] == [200, 204]


def test_a_server_may_listen_on_a_unix_socket(clean: Mesh) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        # The proxy is another user where the mesh is root's.
        Path(folder).chmod(0o777)
        path = f"{folder}/edge.sock"
        http = [{"directResponse": {"status": 200}}]
        applied(
            clean,
            gateway("socket", server("HTTP", 0, "socket.test", bind=f"unix://{path}")),
            of("VirtualService", "socket", {"hosts": ["socket.test"], "gateways": ["socket"], "http": http}),
        )
        with socket.socket(socket.AF_UNIX) as made:
            made.settimeout(5)
            made.connect(path)
            made.sendall(b"GET / HTTP/1.1\r\nHost: socket.test\r\nConnection: close\r\n\r\n")
            assert made.recv(100).startswith(b"HTTP/1.1 200")


def test_an_ocsp_answer_is_stapled_to_its_certificate(clean: Mesh) -> None:
    ours = Authority("ours")
    pair = ours.pair("staple.test")
    secret = pair.secret("staple")
    secret["data"]["tls.ocsp-staple"] = base64.b64encode(ours.staple(pair)).decode()
    clean.apply(secret)
    tls = {"mode": "SIMPLE", "credentialName": "staple"}
    http = [{"directResponse": {"status": 200}}]
    applied(
        clean,
        gateway("staple", server("HTTPS", 443, "staple.test", tls=tls)),
        of("VirtualService", "staple", {"hosts": ["staple.test"], "gateways": ["staple"], "http": http}),
    )
    argv = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{door(clean, 443)}",
        "-servername",
        "staple.test",
        "-status",
    ]
    done = subprocess.run(argv, input="", capture_output=True, text=True, timeout=20, check=False)
    assert "OCSP Response Status: successful" in done.stdout
    assert "Cert Status: good" in done.stdout
