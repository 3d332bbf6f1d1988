"""Kubernetes Ingress by Istio's task of that name: which Ingresses are served, by which paths, over which certificate.

Source: istio.io, Tasks, Traffic Management, Ingress, "Kubernetes Ingress".
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.live import meshes
from tests.live.meshes import Mesh, until
from tests.pilot.core.certificates import Authority

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

OURS = Authority("ours")
HELLO = {"service": {"name": "helloworld", "port": {"number": 5000}}}
NAMED = {"service": {"name": "helloworld", "port": {"name": "http"}}}


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A mesh with the helloworld service, and nothing that leads to it from outside."""
    with meshes.mesh("ingress") as made:
        made.helloworld()
        made.kubectl("delete", "gateway.networking.istio.io,virtualservice", "--all").good()
        yield made


def ingress(
    name: str,
    *paths: tuple[str, str, dict[str, Any]],
    host: str = "hello.test",
    of: str = "istio",
    **more: Any,
) -> dict[str, Any]:
    """An Ingress of one host; its class by the annotation."""
    rules = [
        {
            "host": host,
            "http": {"paths": [{"path": path, "pathType": kind, "backend": to} for kind, path, to in paths]},
        }
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": "default",
            "annotations": {"kubernetes.io/ingress.class": of} if of else {},
        },
        "spec": {"rules": rules, **more},
    }


def door(mesh: Mesh, port: int) -> int:
    """The port of the host that leads to a port of the ingress gateway."""
    shown = json.loads(mesh.meltemi("status", "-o", "json").out)
    [url] = [row["url"] for row in shown["gateways"] if row["name"] == f"ingress {port}"]
    return int(urlsplit(url).port or 0)


def ask(mesh: Mesh, path: str, host: str = "hello.test") -> tuple[int, bool]:
    """Ask the ingress gateway by HTTP: the status, 0 where nothing is open, and whether a service was asked."""
    connection = http.client.HTTPConnection("127.0.0.1", door(mesh, 80), timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
    except (ConnectionResetError, http.client.RemoteDisconnected):
        return 0, False
    else:
        assert answer.headers["server"] == "istio-envoy"
        return answer.status, "x-envoy-upstream-service-time" in answer.headers
    finally:
        connection.close()


def closed(mesh: Mesh, path: str, host: str = "hello.test") -> bool:
    """Say whether nothing is open, or nothing of that host and path."""
    return ask(mesh, path, host) in ((0, False), (404, False))


def applied(mesh: Mesh, *documents: dict[str, Any]) -> None:
    """Apply objects and wait until the gateway has them."""
    mesh.apply(*documents)
    mesh.meltemi("wait", *(f"{one['kind'].lower()}/{one['metadata']['name']}" for one in documents)).good()


@pytest.fixture
def clean(mesh: Mesh) -> Iterator[Mesh]:
    """The mesh, without Ingresses afterwards."""
    yield mesh
    mesh.kubectl("delete", "ingress", "--all").good()
    mesh.kubectl("delete", "ingressclass", "--all").good()


def test_an_ingress_of_the_class_istio_lets_its_paths_in(clean: Mesh) -> None:
    applied(clean, ingress("hello", ("Prefix", "/hello", HELLO)))
    assert ask(clean, "/hello") == (200, True)
    assert closed(clean, "/other")
    assert closed(clean, "/hello", "elsewhere.test")


def test_the_gateways_address_stands_in_its_status(clean: Mesh) -> None:
    applied(
        clean,
        ingress("hello", ("Prefix", "/hello", HELLO)),
        ingress("no", ("Prefix", "/", HELLO), of="nginx"),
    )

    def rows() -> Any:
        return clean.object("ingress", "hello")["status"].get("loadBalancer", {}).get("ingress")

    until(lambda: bool(rows()), 10, "the status of an Ingress has an address")
    [row] = rows()
    assert row["ip"] == "127.0.0.1"
    assert door(clean, 80) in [port["port"] for port in row["ports"]]
    assert "ingress" not in clean.object("ingress", "no").get("status", {}).get("loadBalancer", {})
    assert "127.0.0.1" in clean.kubectl("get", "ingress", "hello").good()
    clean.kubectl("annotate", "--overwrite", "ingress", "hello", "kubernetes.io/ingress.class=nginx").good()
    until(lambda: not rows(), 10, "the address is gone with the class")


@pytest.mark.long
def test_paths_end_where_their_types_say(clean: Mesh) -> None:
    applied(
        clean,
        ingress(
            "hello",
            ("Exact", "/hello", HELLO),
            ("Prefix", "/hello/below", HELLO),
            ("ImplementationSpecific", "/old.*", HELLO),
            host="hello.test",
        ),
    )
    paths = ("/hello", "/hello/x", "/hello/below", "/hello/below/x", "/hello/belowx", "/old/x", "/oldx")
    # The service knows /hello alone: what else it is asked for it answers 404 itself.
    assert [ask(clean, path)[1] for path in paths] == [True, False, True, True, False, True, False]


def test_a_class_object_may_say_that_an_ingress_is_ours(clean: Mesh) -> None:
    applied(clean, ingress("hello", ("Prefix", "/", NAMED), of="", ingressClassName="mesh"))
    assert closed(clean, "/hello")
    applied(
        clean,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "mesh"},
            "spec": {"controller": "istio.io/ingress-controller"},
        },
    )
    assert ask(clean, "/hello")[0] == 200


def test_the_rest_goes_to_the_default_backend(clean: Mesh) -> None:
    applied(clean, ingress("hello", ("Prefix", "/none", HELLO), defaultBackend=HELLO))
    assert ask(clean, "/hello")[0] == 200
    assert ask(clean, "/hello", "elsewhere.test")[0] == 200


def test_a_wildcard_host_holds_for_what_is_below_it(clean: Mesh) -> None:
    applied(clean, ingress("hello", ("Prefix", "/", HELLO), host="*.hello.test"))
    assert ask(clean, "/hello", "a.hello.test")[0] == 200
    assert closed(clean, "/hello", "hello.test")


def test_a_certificate_is_taken_from_its_secret(clean: Mesh) -> None:
    clean.apply(OURS.pair("hello.test").secret("hello-cert"))
    tls = [{"hosts": ["hello.test"], "secretName": "hello-cert"}]
    applied(clean, ingress("hello", ("Prefix", "/hello", HELLO), tls=tls))
    context = ssl.create_default_context(cadata=OURS.pem)

    def secure(name: str) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", door(clean, 443)), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=name) as tls,
        ):
            tls.sendall(f"GET /hello HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            return tls.recv(100)

    assert b" 200 " in secure("hello.test")
    with pytest.raises(OSError, match=r".*"):
        secure("other.test")


def test_a_backend_that_is_no_service_is_told_and_takes_nothing_else_down(clean: Mesh) -> None:
    lost = {"service": {"name": "nobody", "port": {"number": 80}}}
    bucket = {"resource": {"apiGroup": "x.test", "kind": "Bucket", "name": "b"}}
    documents = ingress(
        "hello", ("Prefix", "/hello", HELLO), ("Prefix", "/lost", lost), ("Exact", "/b", bucket)
    )
    said = clean.meltemi("apply", "-f", "-", text=json.dumps(documents))
    assert "MEL0501" in said.out + said.err
    applied(clean, documents)
    assert [ask(clean, path)[0] for path in ("/hello", "/lost", "/b")] == [200, 503, 503]


def test_settings_of_the_mesh_choose_the_class(clean: Mesh) -> None:
    applied(
        clean,
        ingress("hello", ("Prefix", "/hello", HELLO), of="edge"),
        ingress("bare", ("Prefix", "/bare", HELLO), of=""),
    )
    assert closed(clean, "/hello")

    def settings(text: str) -> None:
        clean.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "istio", "namespace": "istio-system"},
                "data": {"mesh": text},
            }
        )

    settings("ingressClass: edge\ningressControllerMode: DEFAULT\n")
    until(lambda: ask(clean, "/hello")[0] == 200, 10, "the class of MeshConfig is served")
    settings("ingressClass: edge\ningressControllerMode: 'OFF'\n")
    until(lambda: closed(clean, "/hello"), 10, "no Ingress is served")
    settings("ingressClass: edge\ningressSelector: nobody\n")
    until(lambda: closed(clean, "/hello"), 10, "another gateway serves")
    settings("")
