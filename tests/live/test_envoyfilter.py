"""EnvoyFilters on running proxies: the examples of Istio's reference, its rate limiting tasks, what Envoy refuses."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.live import meshes
from tests.live.meshes import Mesh, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "istio-1.30" / "samples"
MANAGER = "envoy.filters.network.http_connection_manager"
TYPES = "type.googleapis.com/envoy"
GATEWAY = ("istio-system", "istio-ingressgateway")

Document = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> Iterator[Mesh]:
    """A mesh of its own: what proxies refused before is counted, and how many there are decides what is tried first."""
    with meshes.mesh("filters") as made:
        made.helloworld()
        yield made


def lua(code: str, name: str = "envoy.filters.http.lua") -> Document:
    """An HTTP filter that runs this."""
    config = {
        "@type": f"{TYPES}.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": code},
    }
    return {"name": name, "typed_config": config}


def answering(text: str) -> str:
    """Lua that adds this to every answer."""
    return f"function envoy_on_response(handle) handle:headers():add('x-lua', '{text}') end"


def inbound(value: Document, operation: str = "INSERT_FIRST") -> Document:
    """A patch of the HTTP filters before helloworld."""
    match = {"context": "SIDECAR_INBOUND", "listener": {"portNumber": 5000}}
    return {"applyTo": "HTTP_FILTER", "match": match, "patch": {"operation": operation, "value": value}}


def of(name: str, *patches: Document, namespace: str = "default", **spec: Any) -> Document:
    """An EnvoyFilter."""
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"configPatches": list(patches), **spec},
    }


@contextmanager
def applied(mesh: Mesh, *documents: Document) -> Iterator[None]:
    """Have objects in force at every proxy, and then no more."""
    try:
        mesh.apply(*documents)
        for one in documents:
            meta = one["metadata"]
            mesh.meltemi("wait", f"envoyfilter/{meta['name']}", "-n", meta["namespace"]).good()
        yield
    finally:
        for one in documents:
            meta = one["metadata"]
            mesh.kubectl("delete", "envoyfilter", meta["name"], "-n", meta["namespace"]).good()


def ask(mesh: Mesh, path: str = "/hello") -> tuple[int, dict[str, str]]:
    """Ask through the gateway: the status and the headers of the answer."""
    where = urllib.parse.urlsplit(mesh.hands.ingress)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def status(mesh: Mesh, name: str) -> dict[str, Document]:
    """The conditions of an EnvoyFilter."""
    rows = (mesh.object("envoyfilter", name).get("status") or {}).get("conditions") or []
    return {row["type"]: row for row in rows}


def marked(mesh: Mesh, text: str) -> None:
    """Wait for answers with this mark: a connection that is open keeps the filters that it began with for a while."""
    until(lambda: ask(mesh)[1].get("x-lua") == text, 20, f"answers are marked {text}")


def refusals(mesh: Mesh) -> int:
    """How often proxies have refused anything."""
    found = 0
    for pod in (("default", "helloworld-v1"), ("default", "helloworld-v2"), ("default", "sleep"), GATEWAY):
        text = mesh.hands.envoy(*pod, "stats?filter=update_rejected")
        found += sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if " " in line)
    return found


# The examples of Istio's reference.


def test_a_lua_filter_before_one_workload(world: Mesh) -> None:
    selector = {"labels": {"app": "helloworld"}}
    one = of("lua", inbound(lua(answering("inbound"))), workloadSelector=selector)
    with applied(world, one):
        marked(world, "inbound")
    until(lambda: "x-lua" not in ask(world)[1], 10, "the filter is gone")


def test_a_filter_reads_nothing_of_the_mesh(world: Mesh) -> None:
    """It is of whoever may write in one namespace: keys of the mesh, tokens and other pods are not theirs to read."""
    state, token = world.layout.state, f"{world.layout.tokens_folder}/admin"
    look = f"cat {token} 2>/dev/null; umount {state} 2>/dev/null; cat {token} 2>/dev/null"
    code = f"""
function envoy_on_request(handle)
  local out = io.popen([[{look}; ls {state} {state}/pods {world.layout.run} | tr '\\n' ' ']])
  handle:respond({{[":status"] = "200", ["x-read"] = out:read("*a")}}, "")
end"""
    one = of("reads", inbound(lua(code)), workloadSelector={"labels": {"app": "helloworld"}})
    answers: list[str] = []

    def answered() -> bool:
        answers.extend(text for name, text in ask(world)[1].items() if name == "x-read")
        return bool(answers)

    with applied(world, one):
        until(answered, 20, "the filter answers")
    read = answers[0]
    assert Path(token).read_text(encoding="utf-8").strip() not in read
    assert sum(word.startswith("default.helloworld-") for word in read.split()) == 1, read
    for other in ("tokens", "ca", "default.sleep", "xds.sock", "api.sock"):
        assert other not in read.split()


@pytest.mark.long
def test_a_lua_filter_that_calls_a_cluster_of_its_own(world: Mesh) -> None:
    code = """
function envoy_on_request(handle)
  local headers, body = handle:httpCall(
    "lua_cluster", {[":method"] = "GET", [":path"] = "/hello", [":authority"] = "internal.org.net"}, "", 5000)
  handle:headers():add("x-asked", headers[":status"])
  handle:respond({[":status"] = "299", ["x-asked"] = headers[":status"]}, "")
end"""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 5000}}}}
    cluster = {
        "name": "lua_cluster",
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": {"cluster_name": "lua_cluster", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    add = {
        "applyTo": "CLUSTER",
        "match": {"context": "SIDECAR_OUTBOUND"},
        "patch": {"operation": "ADD", "value": cluster},
    }
    add_filter = inbound(lua(code), "ADD")
    add_filter["patch"]["filterClass"] = "AUTHZ"
    one = of("reviews-lua", add_filter, add, workloadSelector={"labels": {"app": "helloworld"}})
    with applied(world, one):
        # Both pods answer, and each lets go of its open connections in its own time.
        until(lambda: ask(world)[1].get("x-asked") == "200", 20, "the filter has asked, and answers")


@pytest.mark.long
def test_idle_connections_of_a_gateway_end(world: Mesh) -> None:
    manager = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "common_http_protocol_options": {"idle_timeout": "1s"},
        "http2_protocol_options": {"max_concurrent_streams": 7},
    }
    patch = {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": MANAGER}}}},
        "patch": {"operation": "MERGE", "value": {"name": MANAGER, "typed_config": manager}},
    }
    labels = {"labels": {"istio": "ingressgateway"}}
    with applied(world, of("idle", patch, namespace="istio-system", workloadSelector=labels)):
        where = urllib.parse.urlsplit(world.hands.ingress)
        assert where.port is not None
        begun = time.monotonic()
        with socket.create_connection((where.hostname, where.port), 10) as connection:
            connection.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            while connection.recv(65536):
                pass
        assert 0.8 < time.monotonic() - begun < 8
        dump = world.hands.envoy(*GATEWAY, "config_dump")
        assert '"max_concurrent_streams": 7' in dump


def test_the_root_namespaces_come_first_and_priority_before_that(world: Mesh) -> None:
    def marks(name: str, namespace: str, **spec: Any) -> Document:
        header = {"key": "x-order", "value": name}
        match = {"context": "SIDECAR_INBOUND", "routeConfiguration": {"vhost": {"name": "inbound|http|5000"}}}
        value = {
            "response_headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
        }
        patch = {"applyTo": "HTTP_ROUTE", "match": match, "patch": {"operation": "MERGE", "value": value}}
        return of(name, patch, namespace=namespace, **spec)

    with applied(world, marks("own", "default"), marks("root", "istio-system")):
        until(lambda: ask(world)[1].get("x-order") == "own", 20, "its own is the last")
    with applied(world, marks("own", "default"), marks("root", "istio-system", priority=1)):
        until(lambda: ask(world)[1].get("x-order") == "root", 20, "the root's is the last")


# Rate limiting, as Istio's tasks do it.


def test_local_rate_limiting(world: Mesh) -> None:
    kind = f"{TYPES}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    limiter = inbound(
        {
            "name": "envoy.filters.http.local_ratelimit",
            "typed_config": {
                "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                "type_url": kind,
                "value": {"stat_prefix": "http_local_rate_limiter"},
            },
        },
        "INSERT_BEFORE",
    )
    always = {"runtime_key": "x", "default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    settings = {
        "@type": kind,
        "stat_prefix": "limited",
        "token_bucket": {"max_tokens": 4, "tokens_per_fill": 4, "fill_interval": "60s"},
        "filter_enabled": always,
        "filter_enforced": always,
        "response_headers_to_add": [
            {"append": False, "header": {"key": "x-local-rate-limit", "value": "true"}}
        ],
    }
    route = {
        "applyTo": "HTTP_ROUTE",
        "match": {
            "context": "SIDECAR_INBOUND",
            "routeConfiguration": {"vhost": {"name": "inbound|http|5000", "route": {"action": "ANY"}}},
        },
        "patch": {
            "operation": "MERGE",
            "value": {"typed_per_filter_config": {"envoy.filters.http.local_ratelimit": settings}},
        },
    }
    one = of("limit", limiter, route, workloadSelector={"labels": {"app": "helloworld"}})
    with applied(world, one):
        until(lambda: ask(world)[0] == 429, 15, "it is limited")
        found = [ask(world) for _ in range(24)]
        limited = [headers for status, headers in found if status == 429]
        # Two pods of four tokens each; their shares are not equal.
        assert len(limited) >= 12
        assert all(headers["x-local-rate-limit"] == "true" for headers in limited)
    # Each connection that the gateway has open is limited once more.
    until(lambda: all(ask(world)[0] == 200 for _ in range(12)), 20, "nothing is limited any more")


@pytest.mark.skipif(not CORPUS.exists(), reason="Istio's samples are not here")
def test_the_samples_of_istio_are_in_force(world: Mesh) -> None:
    files = ("ratelimit/local-rate-limit-service.yaml", "bookinfo/policy/productpage_envoy_ratelimit.yaml")
    documents = [one for file in files for one in yaml.safe_load_all((CORPUS / file).read_text()) if one]
    with applied(world, *documents):
        # The rate limit service is not there, and the filter fails closed.
        until(lambda: ask(world)[0] == 500, 15, "the gateway asks the rate limit service")
        assert "rate_limit_cluster" in world.hands.envoy(*GATEWAY, "config_dump")
        assert refusals(world) == 0
    until(lambda: ask(world)[0] == 200, 10, "the gateway asks nobody")


# What Envoy would refuse.


def broken() -> Document:
    """An EnvoyFilter that is right in form, and whose code only Envoy can judge."""
    return of("broken", inbound(lua("this is no Lua")), workloadSelector={"labels": {"app": "helloworld"}})


def test_what_envoy_would_refuse_is_told_and_sent_to_nobody(world: Mesh) -> None:
    before = refusals(world)
    world.apply(broken())
    try:
        until(lambda: status(world, "broken").get("Valid", {}).get("status") == "False", 20, "it is refused")
        told = status(world, "broken")["Valid"]
        assert told["reason"] == "SetAside"
        assert "MEL0152" in told["message"]
        assert "script load error" in told["message"]
        assert told["message"].endswith("nothing of it is in force")
        assert world.meltemi("wait", "envoyfilter/broken", "--timeout", "3s").code == 1
        assert ask(world)[0] == 200
        assert refusals(world) == before
        # Others go on meanwhile.
        with applied(world, of("lua", inbound(lua(answering("other"))))):
            marked(world, "other")
        mended = broken()
        mended["spec"]["configPatches"] = [inbound(lua(answering("mended")))]
        world.apply(mended)
        marked(world, "mended")
        until(lambda: status(world, "broken")["Valid"]["status"] == "True", 20, "it is in force")
        # Broken again, its last good form stays.
        world.apply(broken())
        until(lambda: status(world, "broken").get("Valid", {}).get("status") == "False", 20, "it is refused")
        assert status(world, "broken")["Valid"]["message"].endswith("the last good version stays in force")
        marked(world, "mended")
        assert refusals(world) == before
    finally:
        world.kubectl("delete", "envoyfilter", "broken").good()


def test_a_patch_that_breaks_the_whole_is_left_out_and_the_rest_in_force(world: Mesh) -> None:
    host = {"name": "again", "domains": ["*"], "routes": []}
    again = {
        "applyTo": "VIRTUAL_HOST",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "ADD", "value": host},
    }
    before = refusals(world)
    with applied(world, of("again", again, inbound(lua(answering("rest"))), namespace="istio-system")):
        marked(world, "rest")
        told = world.meltemi("status").out
        assert "MEL0237" in told
        assert "two virtual hosts have the domain *" in told
        assert refusals(world) == before


def test_only_the_one_at_fault_is_set_aside(world: Mesh) -> None:
    good = of("good", inbound(lua(answering("good"))), workloadSelector={"labels": {"app": "helloworld"}})
    both = "\n---\n".join(json.dumps(one) for one in (good, broken()))
    try:
        world.kubectl("apply", "-f", "-", text=both).good()
        world.meltemi("wait", "envoyfilter/good").good()
        until(lambda: status(world, "broken").get("Valid", {}).get("status") == "False", 20, "it is refused")
        marked(world, "good")
        assert status(world, "good")["Reconciled"]["status"] == "True"
    finally:
        world.kubectl("delete", "envoyfilter", "good", "broken").good()


def test_what_has_the_wrong_form_is_refused_at_once(world: Mesh) -> None:
    document = of("wrong", inbound({"name": "x", "typed_config": {"@type": f"{TYPES}.nothing.v3.Nothing"}}))
    done = world.kubectl("apply", "-f", "-", text=json.dumps(document))
    assert done.code == 1
    assert 'spec.configPatches[0].patch.value.typed_config["@type"]: referenced type unknown' in done.err
