"""Istio's other samples, networking files unchanged, the Gateway API's too, on apps of the same names and ports."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml
from tests.live import meshes
from tests.live.books import Shop, bookinfo
from tests.live.egress import authority
from tests.live.fields.asking import Ask
from tests.live.meshes import until

from meltemi.ctl import helloworld
from meltemi.ctl.tour import within
from meltemi.samples.http import Answer, fetch

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(200)]

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
APP = Path(__file__).parent / "apps" / "sample_app.py"
SSH = 22
API = "gateway.networking.k8s.io"
LINES = """
import json, socket, sys
from collections import Counter
found = Counter()
for _ in range(int(sys.argv[3])):
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as sock:
        sock.sendall(b"hello\\n")
        found[sock.makefile().readline().strip()] += 1
print(json.dumps(found))
"""
Document = dict[str, Any]


def sample(path: str) -> str:
    """A file of the corpus as it is."""
    return (CORPUS / path).read_text(encoding="utf-8")


def pod(name: str, app: str, version: str, *command: str) -> Document:
    ports = [int(word) for word in command[2:]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app, "version": version}},
        "spec": {
            "containers": [
                {
                    "name": app,
                    "command": [sys.executable, str(APP), *command],
                    "ports": [{"containerPort": port} for port in ports],
                    "readinessProbe": {"tcpSocket": {"port": ports[0]}},
                }
            ]
        },
    }


def services(path: str) -> list[Document]:
    """The Services of a sample's file; a local mesh runs no images, so its pods are ours."""
    return [one for one in yaml.safe_load_all(sample(path)) if one and one["kind"] == "Service"]


class Samples:
    """The mesh with all apps."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh

    def apply(self, path: str) -> None:
        """Apply a file as it is, and wait until every proxy has what it says."""
        self.mesh.kubectl("apply", "-f", str(CORPUS / path)).good()
        for one in filter(None, yaml.safe_load_all(sample(path))):
            kind, name = one["kind"], one["metadata"]["name"]
            if one["apiVersion"].startswith(API) and kind == "Gateway":
                wanted = ("--for=condition=Programmed", "--timeout=30s")
                self.mesh.kubectl("wait", f"gateway.{API}/{name}", *wanted).good()
            elif one["apiVersion"].startswith(API):
                self.mesh.meltemi("wait", f"{kind.lower()}.{API}/{name}").good()
            else:
                self.mesh.meltemi("wait", f"{kind.lower()}/{name}").good()

    def delete(self, path: str) -> None:
        """Take back what a file said."""
        self.mesh.kubectl("delete", "--ignore-not-found", "-f", str(CORPUS / path)).good()

    def ask(self, pod: str, host: str, **more: Any) -> list[Document]:
        """Ask from an app: the answers."""
        asked = asdict(Ask(**{"via": pod, "host": host, **more}))
        command = ("exec", pod, "--", sys.executable, str(APP.with_name("ask.py")), json.dumps([asked]))
        found: list[Document] = json.loads(self.mesh.meltemi(*command).good().splitlines()[-1])
        return found

    def gateway(self, name: str, port: int = 80) -> str:
        """The URL of a Gateway that was deployed of its own, on the host's loopback."""
        found = self.mesh.object("service", f"{name}-istio")
        rows = found["status"]["loadBalancer"]["ingress"][0]["ports"]
        ports = {one["port"]: row["port"] for one, row in zip(found["spec"]["ports"], rows, strict=False)}
        return f"http://127.0.0.1:{ports[port]}"

    def lines(self, host: str, port: int, count: int = 1) -> Counter[str]:
        """Who answers a line, from a pod without a proxy."""
        argv = ("exec", "outsider", "--", sys.executable, "-c", LINES, host, str(port), str(count))
        return Counter(json.loads(self.mesh.kubectl(*argv).good()))


@pytest.fixture(scope="module")
def samples() -> Iterator[Samples]:
    """The mesh of this file."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    with meshes.mesh("samples") as mesh:
        for path in ("httpbin/httpbin.yaml", "tcp-echo/tcp-echo-services.yaml", "websockets/app.yaml"):
            mesh.apply(*services(f"istio-1.30/samples/{path}"))
        mesh.put(pod("httpbin", "httpbin", "v1", "httpbin", "httpbin", "8080"))
        mesh.put(pod("tornado", "tornado", "v1", "tornado", "tornado", "8888"))
        for version, word in (("v1", "one"), ("v2", "two")):
            mesh.put(
                pod(f"tcp-echo-{version}", "tcp-echo", version, "tcp-echo", word, "9000", "9001", "9002")
            )
        for document in helloworld.documents():
            mesh.put(document)
        mesh.ready("httpbin", "tornado", "tcp-echo-v1", "tcp-echo-v2", *helloworld.PODS)
        yield Samples(mesh)


@pytest.fixture
def applied(samples: Samples) -> Iterator[Callable[[str], None]]:
    """Applies files, and takes them back after the test."""
    done: list[str] = []

    def apply(path: str) -> None:
        done.append(path)
        samples.apply(path)

    yield apply
    for path in reversed(done):
        samples.delete(path)


def ask(url: str, count: int = 1, **headers: str) -> list[Answer]:
    async def every() -> list[Answer]:
        return [await fetch(url, headers=headers, limit=10) for _ in range(count)]

    return asyncio.run(every())


def chat(url: str, *texts: str) -> list[str]:
    """What a WebSocket says to texts."""

    async def talk() -> list[str]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            said = []
            for text in texts:
                await socket.send_str(text)
                said.append(str((await socket.receive(timeout=5)).data))
            return said

    return asyncio.run(talk())


Apply = Callable[[str], None]


def test_httpbin_behind_the_gateway(samples: Samples, applied: Apply) -> None:
    applied("istio-1.30/samples/httpbin/httpbin-gateway.yaml")
    ingress = samples.mesh.hands.ingress
    assert [ask(f"{ingress}/status/{code}")[0].status for code in (200, 418, 503)] == [200, 418, 503]
    assert json.loads(ask(f"{ingress}/headers")[0].body)["who"] == "httpbin"


def test_httpbin_behind_a_gateway_of_its_own(samples: Samples, applied: Apply) -> None:
    applied("istio-1.30/samples/httpbin/gateway-api/httpbin-gateway.yaml")
    url = samples.gateway("httpbin-gateway")
    assert [ask(f"{url}/status/{code}")[0].status for code in (200, 418)] == [200, 418]


@pytest.mark.parametrize("generation", ["istio-1.0", "istio-1.30"])
def test_websockets_pass_the_gateway(samples: Samples, applied: Apply, generation: str) -> None:
    applied(f"{generation}/samples/websockets/route.yaml")
    ingress = samples.mesh.hands.ingress
    assert ask(f"{ingress}/")[0].body == b"tornado"
    assert chat(f"ws://{urlsplit(ingress).netloc}/ws", "a", "b") == ["tornado a", "tornado b"]


def test_tcp_is_shifted_at_the_gateway(samples: Samples, applied: Apply) -> None:
    address = samples.mesh.kubectl(
        *("get", "pods", "-n", "istio-system", "-l", "istio=ingressgateway", "-o"),
        "jsonpath={.items[0].status.podIP}",
    ).good()
    applied("istio-1.30/samples/tcp-echo/tcp-echo-all-v1.yaml")
    assert samples.lines(address, 31400, 20) == {"one hello": 20}
    applied("istio-1.30/samples/tcp-echo/tcp-echo-20-v2.yaml")
    found = samples.lines(address, 31400, 200)
    assert set(found) == {"one hello", "two hello"}
    assert within(found["two hello"], 200, 0.2)


def test_tcp_is_shifted_at_a_gateway_of_its_own(samples: Samples, applied: Apply) -> None:
    host = "tcp-echo-gateway-istio.default.svc.cluster.local"
    applied("istio-1.30/samples/tcp-echo/gateway-api/tcp-echo-all-v1.yaml")
    samples.mesh.meltemi("wait", "service/tcp-echo-gateway-istio").good()
    assert samples.lines(host, 31400, 20) == {"one hello": 20}
    applied("istio-1.30/samples/tcp-echo/gateway-api/tcp-echo-20-v2.yaml")
    found = samples.lines(host, 31400, 200)
    assert set(found) == {"one hello", "two hello"}
    assert within(found["two hello"], 200, 0.2)


def test_bytes_reach_ports_that_no_service_names(samples: Samples) -> None:
    """Istio's sample leaves 9002 out on purpose: the inbound proxy passes on what it has no chain for."""
    address = samples.mesh.object("pod", "tcp-echo-v1")["status"]["podIP"]
    assert samples.lines(address, 9002) == {"one hello": 1}
    assert samples.lines("tcp-echo.default.svc.cluster.local", 9001, 10).total() == 10


@pytest.mark.parametrize(
    "path",
    ["istio-1.0/samples/helloworld/helloworld.yaml", "istio-1.30/samples/helloworld/helloworld-gateway.yaml"],
)
def test_helloworld_behind_the_gateway(samples: Samples, path: str) -> None:
    samples.mesh.kubectl("apply", "-f", str(CORPUS / path)).good()
    samples.mesh.meltemi("wait", "gateway/helloworld-gateway", "virtualservice/helloworld").good()
    try:
        found = Counter(answer.body.split()[2] for answer in ask(f"{samples.mesh.hands.ingress}/hello", 20))
        assert set(found) == {b"v1,", b"v2,"}
        assert ask(f"{samples.mesh.hands.ingress}/other")[0].status == 404
    finally:
        samples.mesh.kubectl("delete", "gateway.networking.istio.io/helloworld-gateway").good()
        samples.mesh.kubectl("delete", "virtualservice/helloworld").good()


def test_helloworld_behind_a_gateway_of_its_own(samples: Samples, applied: Apply) -> None:
    folder = "istio-1.30/samples/helloworld/gateway-api"
    applied(f"{folder}/helloworld-gateway.yaml")
    url = samples.gateway("helloworld-gateway")
    assert ask(f"{url}/hello")[0].status == 200
    applied(f"{folder}/helloworld-versions.yaml")
    applied(f"{folder}/helloworld-route.yaml")
    answers = ask(f"{url}/hello", 150)
    assert {one.status for one in answers} == {200}
    found = Counter(answer.body.split()[2] for answer in answers)
    assert within(found[b"v2,"], 150, 0.1)


@pytest.fixture(scope="module")
def outside(samples: Samples) -> Iterator[str]:
    """The address of a server outside of the mesh, for callers who may go to what is declared alone."""
    server = authority().pair("*.example.test")
    env = {"OUTSIDE_SERVER": server.key + server.certificate, "OUTSIDE_CLIENTS": authority().pem}
    made = pod("outside", "outside", "v1", "outside", "outside", "80")
    made["metadata"]["namespace"] = "beyond"
    made["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"
    (container,) = made["spec"]["containers"]
    container["command"] = [sys.executable, str(APP.with_name("outside.py"))]
    container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    samples.mesh.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "beyond"}})
    samples.mesh.put(made)
    samples.mesh.meltemi("wait", "pod/outside", "-n", "beyond", "--for=Ready", "--timeout", "60s").good()
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"},
    }
    samples.mesh.apply(settings)
    where = samples.mesh.client.json("GET", "/api/v1/namespaces/beyond/pods/outside")
    yield str(where["status"]["podIP"])
    samples.mesh.kubectl("delete", "configmap", "istio", "-n", "istio-system").good()


@pytest.mark.parametrize("name", ["aptget", "github", "pypi"])
def test_hosts_outside_are_reached_once_they_are_declared(
    samples: Samples, applied: Apply, outside: str, name: str
) -> None:
    """The names are resolved by the test: each to the server outside."""
    path = f"istio-1.30/samples/external/{name}.yaml"
    entries = list(yaml.safe_load_all(sample(path)))
    ports = {host: one["spec"]["ports"][0]["number"] for one in entries for host in one["spec"]["hosts"]}
    hosts = [host for host, port in ports.items() if port != SSH]

    def reached(host: str) -> Document:
        form = "http" if ports[host] == 80 else "https"
        return samples.ask("httpbin", host, address=outside, port=ports[host], form=form)[0]

    until(lambda: not any(reached(host)["status"] == 200 for host in hosts), 20, "nobody is reached")
    applied(path)
    for host in hosts:
        found = reached(host)
        assert found["status"] == 200, found
        # HTTP goes by its header, TLS as it is: the server itself ends it.
        told = found["told"]
        assert (told["sni"] if "sni" in told else told["headers"]["host"]) == host
    if SSH in ports.values():
        samples.ask("httpbin", "", address="140.82.112.5", port=SSH, form="tcp")
        shown = samples.mesh.hands.envoy("default", "httpbin", "clusters")
        assert f"outbound|{SSH}||dummy.github.com::140.82.112.5:{SSH}::cx_total::1" in shown


def test_requests_of_a_path_are_limited_where_the_app_is(samples: Samples) -> None:
    """The sample is for an app on port 8000: ten of one path in a minute, a hundred of all."""
    mesh = samples.mesh
    port = {"name": "http", "port": 8000}
    spec = {"selector": {"app": "productpage"}, "ports": [port]}
    meta = {"name": "productpage", "namespace": "default"}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    mesh.put(pod("productpage", "productpage", "v1", "httpbin", "productpage", "8000"))
    mesh.ready("productpage")
    path = "istio-1.30/samples/ratelimit/local-rate-limit-service.yaml"
    mesh.kubectl("apply", "-f", str(CORPUS / path)).good()
    try:
        mesh.meltemi("wait", "envoyfilter/filter-local-ratelimit-svc", "-n", "istio-system").good()
        where: Document = {
            "address": mesh.object("service", "productpage")["spec"]["clusterIP"],
            "port": 8000,
        }
        found = samples.ask("httpbin", "productpage:8000", path="/productpage", times=12, **where)
        assert [one["status"] for one in found] == [200] * 10 + [429] * 2
        assert found[-1]["headers"]["x-local-rate-limit"] == "true"
        found = samples.ask("httpbin", "productpage:8000", path="/headers", times=12, **where)
        assert {one["status"] for one in found} == {200}
    finally:
        mesh.kubectl("delete", "-f", str(CORPUS / path)).good()


# Bookinfo by the Gateway API and by Ingress.


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """Bookinfo without the routes of its own gateway."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    with bookinfo("books") as made:
        mesh = made.mesh
        mesh.kubectl("delete", "gateway.networking.istio.io,virtualservices", "--all").good()
        mesh.kubectl(
            *("apply", "-f"), str(CORPUS / "istio-1.30/samples/bookinfo/platform/kube/bookinfo-versions.yaml")
        ).good()
        yield made


def versions(url: str, count: int) -> Counter[str]:
    """The version of reviews behind the product page."""
    found: Counter[str] = Counter()
    for answer in ask(f"{url}/api/v1/products/0/reviews", count):
        hops = [hop.split() for hop in answer.headers.get("x-bookinfo-served-by", "").split(",")]
        found[hops[1][1] if answer.status == 200 and len(hops) > 1 else str(answer.status)] += 1
    return found


def test_bookinfo_by_the_gateway_api(shop: Shop) -> None:
    made = Samples(shop.mesh)
    folder = "istio-1.30/samples/bookinfo/gateway-api"
    made.apply(f"{folder}/bookinfo-gateway.yaml")
    url = made.gateway("bookinfo-gateway")
    try:
        page = ask(f"{url}/productpage")[0]
        assert page.status == 200
        assert b"Book Details" in page.body
        assert ask(f"{url}/nowhere")[0].status == 404
        made.apply(f"{folder}/route-all-v1.yaml")
        assert versions(url, 15) == {"v1": 15}
        made.apply(f"{folder}/route-reviews-v3.yaml")
        assert versions(url, 15) == {"v3": 15}
        made.apply(f"{folder}/route-reviews-90-10.yaml")
        assert within(versions(url, 150)["v2"], 150, 0.1)
        made.apply(f"{folder}/route-reviews-50-v3.yaml")
        assert within(versions(url, 100)["v3"], 100, 0.5)
        made.apply(f"{folder}/route-reviews-v1.yaml")
        assert versions(url, 15) == {"v1": 15}
    finally:
        for name in ("route-all-v1", "bookinfo-gateway"):
            made.delete(f"{folder}/{name}.yaml")


@pytest.mark.parametrize("generation", ["istio-1.0", "istio-1.30"])
def test_bookinfo_by_ingress(shop: Shop, generation: str) -> None:
    made = Samples(shop.mesh)
    path = f"{generation}/samples/bookinfo/platform/kube/bookinfo-ingress.yaml"
    made.apply(path)
    try:
        ingress = shop.mesh.hands.ingress
        assert b"Book Details" in ask(f"{ingress}/productpage")[0].body
        assert ask(f"{ingress}/api/v1/products")[0].status == 200
        assert ask(f"{ingress}/nowhere")[0].status == 404
    finally:
        made.delete(path)


def test_local_rate_limits_of_the_sample_harm_nobody(shop: Shop) -> None:
    """Its route patch names another port than bookinfo's: the filter is there, and limits nothing."""
    path = "istio-1.30/samples/ratelimit/local-rate-limit-service.yaml"
    shop.mesh.kubectl("apply", "-f", str(CORPUS / path)).good()
    try:
        shop.wait("envoyfilter/filter-local-ratelimit-svc", namespace="istio-system")
        shop.apply("bookinfo-gateway")
        shown = shop.mesh.meltemi("proxy-config", "listener", "productpage-v1", "-o", "json").good()
        assert "envoy.filters.http.local_ratelimit" in shown
        assert {one.status for one in ask(f"{shop.mesh.hands.ingress}/productpage", 15)} == {200}
    finally:
        shop.mesh.kubectl("delete", "-f", str(CORPUS / path)).good()


LIMITS = {
    "domain": "productpage-ratelimit",
    "descriptors": [
        {"key": "PATH", "value": "/productpage", "rate_limit": {"unit": "minute", "requests_per_unit": 1}},
        {"key": "PATH", "rate_limit": {"unit": "minute", "requests_per_unit": 100}},
    ],
}
"""Those of Istio's task "Enabling Rate Limits using Envoy"."""


def test_a_rate_limit_service_limits_at_the_gateway(shop: Shop) -> None:
    """The sample's Deployments run images: the server behind its Service is ours, and needs no Redis."""
    mesh = shop.mesh
    server = "istio-1.30/samples/ratelimit/rate-limit-service.yaml"
    policy = "istio-1.30/samples/bookinfo/policy/productpage_envoy_ratelimit.yaml"
    mesh.kubectl("apply", "-f", str(CORPUS / server)).good()
    made = pod("ratelimit", "ratelimit", "v1", "rate_limits", json.dumps(LIMITS), "8081")
    (container,) = made["spec"]["containers"]
    container["command"] = [sys.executable, str(APP.with_name("rate_limits.py")), "8081", json.dumps(LIMITS)]
    mesh.put(made)
    mesh.meltemi("wait", "pod/ratelimit", "--for=Ready", "--timeout", "60s").good()
    shop.apply("bookinfo-gateway")
    mesh.kubectl("apply", "-f", str(CORPUS / policy)).good()
    try:
        shop.wait(
            "envoyfilter/filter-ratelimit", "envoyfilter/filter-ratelimit-svc", namespace="istio-system"
        )
        ingress = mesh.hands.ingress
        assert [one.status for one in ask(f"{ingress}/productpage", 3)] == [200, 429, 429]
        assert {one.status for one in ask(f"{ingress}/api/v1/products", 10)} == {200}
        # The filter is told to let nobody in unasked.
        mesh.kubectl("delete", "pod", "ratelimit").good()
        until(lambda: ask(f"{ingress}/api/v1/products")[0].status == 500, 20, "nobody is let in")
    finally:
        mesh.kubectl("delete", "-f", str(CORPUS / policy)).good()
        mesh.kubectl("delete", "--ignore-not-found", "-f", str(CORPUS / server)).good()
