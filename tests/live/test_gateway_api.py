"""Istio's tasks with the Gateway API: requests through Gateways and within the mesh, and what their statuses say."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from tests.live.fields import asking
from tests.live.fields.asking import Ask
from tests.live.fields.world import World, world
from tests.live.meshes import until
from tests.pilot.core.certificates import Authority

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

API = "gateway.networking.k8s.io"
Document = dict[str, Any]
Answer = dict[str, Any]
Conditions = dict[str, tuple[str, str]]
OURS = Authority("front")


def of(kind: str, name: str, spec: Document, namespace: str = "default", version: str = "v1") -> Document:
    """An object of the Gateway API."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{API}/{version}", "kind": kind, "metadata": meta, "spec": spec}


def gateway(name: str, *listeners: Document, **more: Any) -> Document:
    """A Gateway of Istio's class."""
    return of("Gateway", name, {"gatewayClassName": "istio", "listeners": list(listeners), **more})


def http(name: str = "http", port: int = 80, **more: Any) -> Document:
    """A listener for HTTP."""
    return {"name": name, "port": port, "protocol": "HTTP", **more}


def route(name: str, parent: str, *rules: Document, hosts: tuple[str, ...] = (), **more: Any) -> Document:
    """An HTTPRoute of a Gateway."""
    spec: Document = {"parentRefs": [{"name": parent}], "rules": list(rules), **more}
    return of("HTTPRoute", name, {**spec, **({"hostnames": list(hosts)} if hosts else {})})


def to(service: str = "echo", port: int = 8080, **more: Any) -> Document:
    """A backend."""
    return {"name": service, "port": port, **more}


def path(value: str, kind: str = "PathPrefix") -> list[Document]:
    """Matches of one path."""
    return [{"path": {"type": kind, "value": value}}]


class Front:
    """The ledger's mesh, and ways to ask."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.mesh = made.mesh

    def apply(self, *documents: Document) -> None:
        """Apply objects, and wait until all proxies have them."""
        assert not self.world._apply(list(documents))
        self.world._settle([one for one in documents if one["kind"] != "Secret"])

    def ready(self, name: str) -> None:
        """Wait until a Gateway is programmed."""
        self.mesh.kubectl(
            "wait", f"gateway.{API}/{name}", "--for=condition=Programmed", "--timeout=30s"
        ).good()

    def status(self, kind: str, name: str, namespace: str = "default") -> Document:
        """The status of an object."""
        shown = self.mesh.kubectl("get", f"{kind}.{API}", name, "-n", namespace, "-o", "json").good()
        found: Document = json.loads(shown).get("status", {})
        return found

    def told(self, name: str, kind: str = "httproutes", namespace: str = "default") -> Conditions:
        """The conditions of a route at its only parent."""
        found = self.status(kind, name, namespace).get("parents", [])
        return conditions(found[0]) if found else {}

    def tells(self, name: str, condition: str, reason: str, kind: str = "httproutes") -> None:
        """Wait until a route is said so of: the writer is a moment behind."""
        until(lambda: self.told(name, kind).get(condition, ("", ""))[1] == reason, 5, f"{name}: {reason}")

    def port(self, service: str, port: int) -> int:
        """The loopback port that leads to the port of a LoadBalancer."""
        found = self.mesh.object("service", service)
        rows = found["status"]["loadBalancer"]["ingress"][0]["ports"]
        pairs = zip(found["spec"]["ports"], rows, strict=True)
        return int(next(row["port"] for wanted, row in pairs if wanted["port"] == port))

    def ask(
        self, host: str, at: str = "/", *, service: str = "gw-istio", port: int = 80, **more: Any
    ) -> Answer:
        """Ask a gateway from the host, by the loopback port of its Service."""
        made = Ask("host", host, at, address="127.0.0.1", port=self.port(service, port), **more)
        [answers] = asyncio.run(asking.all_of([{"asks": [asdict(made)]}]))
        return answers[0]

    def pods(self, host: str, at: str = "/", times: int = 40) -> Counter[str]:
        """Which pods answer so many requests through the gateway."""
        made = Ask("host", host, at, address="127.0.0.1", port=self.port("gw-istio", 80), times=times)
        [answers] = asyncio.run(asking.all_of([{"asks": [asdict(made)]}]))
        return Counter(
            one["told"].get("pod", str(one["status"])) if one["told"] else str(one["status"])
            for one in answers
        )

    def inside(self, host: str, at: str = "/", *, via: str = "client", **more: Any) -> Answer:
        """Ask a service from a pod in the mesh."""
        made = Ask(via, host, at, **{"address": host, "port": 8080, **more})
        [answers] = asyncio.run(self.world._calls(via, [{"asks": [asdict(made)]}]))
        found: Answer = answers[0]
        return found


def conditions(status: Document) -> Conditions:
    """Status and reason of conditions, by type."""
    return {row["type"]: (row["status"], row["reason"]) for row in status["conditions"]}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """The ledger's mesh, with a Gateway `gw` on port 80."""
    with world() as made:
        found = Front(made)
        everyone = {"namespaces": {"from": "All"}}
        found.mesh.apply(gateway("gw", http(allowedRoutes=everyone)))
        for version in ("v1", "v2"):
            found.mesh.put(service(f"echo-{version}", {"app": "echo", "version": version}))
        found.ready("gw")
        yield found


def service(name: str, selector: Document) -> Document:
    """A Service of some pods of the ledger's mesh."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 8080}]},
    }


def test_a_gateway_is_deployed_and_told(front: Front) -> None:
    status = front.status("gateways", "gw")
    assert conditions(status) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
    assert status["addresses"] == [{"type": "IPAddress", "value": "127.0.0.1"}]
    [listener] = status["listeners"]
    assert [one["kind"] for one in listener["supportedKinds"]] == ["HTTPRoute", "GRPCRoute"]
    assert conditions(listener) == {
        "Accepted": ("True", "Accepted"),
        "Conflicted": ("False", "NoConflicts"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
        "Programmed": ("True", "Programmed"),
    }
    shown = conditions(front.status("gatewayclasses", "istio"))
    assert shown["Accepted"][0] == shown["SupportedVersion"][0] == "True"


def test_requests_are_routed(front: Front) -> None:
    front.apply(
        route(
            "routing",
            "gw",
            {"matches": path("/a"), "backendRefs": [to()]},
            {"matches": path("/exact", "Exact"), "backendRefs": [to("client")]},
            hosts=("routing.test",),
        )
    )
    assert front.ask("routing.test", "/a/b")["told"]["path"] == "/a/b"
    assert front.ask("routing.test", "/exact")["told"]["pod"] == "client"
    assert front.ask("routing.test", "/ab")["status"] == 404
    assert front.ask("other.test", "/a")["status"] == 404
    [parent] = front.status("httproutes", "routing")["parents"]
    assert parent["controllerName"] == "istio.io/gateway-controller"
    assert conditions(parent) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    until(lambda: front.status("gateways", "gw")["listeners"][0]["attachedRoutes"] == 1, 5, "attachedRoutes")


def test_of_a_route_that_is_made_anew_it_is_said_anew(front: Front) -> None:
    made = route("anew", "gw", {"backendRefs": [to()]}, hosts=("anew.test",))
    front.apply(made)
    every = f"/apis/{API}/v1/namespaces/default/httproutes"
    for _ in range(3):
        front.mesh.client.json("DELETE", f"{every}/anew")
        front.mesh.client.json("POST", every, None, made)
        front.tells("anew", "Accepted", "Accepted")


def test_traffic_is_shifted(front: Front) -> None:
    def shifted(first: int, second: int) -> Document:
        backends = [to("echo-v1", weight=first), to("echo-v2", weight=second)]
        return route("shifting", "gw", {"backendRefs": backends}, hosts=("shifting.test",))

    front.apply(shifted(1, 0))
    assert front.pods("shifting.test") == {"echo-v1": 40}
    front.apply(shifted(50, 50))
    both = front.pods("shifting.test", times=100)
    assert set(both) == {"echo-v1", "echo-v2"}
    assert all(25 <= count <= 75 for count in both.values())
    front.apply(shifted(0, 1))
    assert front.pods("shifting.test") == {"echo-v2": 40}


def test_a_share_that_leads_nowhere_fails_and_is_told(front: Front) -> None:
    backends = [to("echo-v1", weight=1), to("nobody", weight=1)]
    front.apply(route("half", "gw", {"backendRefs": backends}, hosts=("half.test",)))
    found = front.pods("half.test", times=60)
    assert set(found) == {"echo-v1", "500"}
    assert all(12 <= count <= 48 for count in found.values())
    front.tells("half", "ResolvedRefs", "BackendNotFound")
    front.mesh.put(service("nobody", {"app": "echo", "version": "v2"}))
    until(
        lambda: set(front.pods("half.test", times=20)) == {"echo-v1", "echo-v2"}, 10, "the backend is there"
    )
    front.tells("half", "ResolvedRefs", "ResolvedRefs")


def test_backends_of_other_namespaces_need_a_grant(front: Front) -> None:
    front.apply(route("far", "gw", {"backendRefs": [to("stranger", namespace="other")]}, hosts=("far.test",)))
    assert front.ask("far.test")["status"] == 500
    front.tells("far", "ResolvedRefs", "RefNotPermitted")
    spec = {
        "from": [{"group": API, "kind": "HTTPRoute", "namespace": "default"}],
        "to": [{"group": "", "kind": "Service", "name": "stranger"}],
    }
    front.apply(of("ReferenceGrant", "far", spec, "other", "v1beta1"))
    assert front.ask("far.test")["told"]["pod"] == "stranger"
    front.tells("far", "ResolvedRefs", "ResolvedRefs")
    front.mesh.kubectl("delete", f"referencegrant.{API}", "far", "-n", "other").good()
    until(lambda: front.ask("far.test")["status"] == 500, 10, "the grant is gone")


def test_redirects_and_rewrites(front: Front) -> None:
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
    there = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    front.apply(
        route(
            "changes",
            "gw",
            {"matches": path("/secure"), "filters": [redirect]},
            {"matches": path("/moved"), "filters": [{"type": "RequestRedirect", "requestRedirect": there}]},
            {
                "matches": path("/in"),
                "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "inner.test", **there}}],
                "backendRefs": [to()],
            },
            hosts=("changes.test",),
        )
    )
    secure = front.ask("changes.test", "/secure/a")
    assert secure["status"] == 301
    assert secure["headers"]["location"].startswith("https://changes.test")
    moved = front.ask("changes.test", "/moved/a/b?q=1")
    assert moved["status"] == 302
    assert moved["headers"]["location"] == "http://changes.test/a/b?q=1"
    arrived = [front.ask("changes.test", at)["told"] for at in ("/in/a?q=1", "/in", "/in/")]
    assert [one["path"] for one in arrived] == ["/a?q=1", "/", "/"]
    assert arrived[0]["headers"]["host"] == "inner.test"


def test_requests_are_mirrored(front: Front) -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("echo-v2")}}
    front.apply(
        route("mirror", "gw", {"filters": [mirror], "backendRefs": [to("echo-v1")]}, hosts=("mirror.test",))
    )
    for _ in range(5):
        assert front.ask("mirror.test", headers={"x-count": "mirror"})["told"]["pod"] == "echo-v1"

    def copies() -> int:
        found = front.inside("echo-v2", "/_count?key=mirror")["told"]
        return int(found["count"])

    until(lambda: copies() == 5, 5, "copies")


def test_the_ingress_task_with_tls(front: Front) -> None:
    tls = {"certificateRefs": [{"name": "front"}]}
    secure = {"name": "s", "port": 443, "protocol": "HTTPS", "hostname": "secure.test", "tls": tls}
    front.apply(gateway("secure", secure))
    front.apply(route("secure", "secure", {"backendRefs": [to()]}))
    until(
        lambda: (
            conditions(front.status("gateways", "secure")["listeners"][0])["ResolvedRefs"]
            == ("False", "InvalidCertificateRef")
        ),
        5,
        "no certificate yet",
    )
    front.apply(OURS.pair("secure.test").secret("front", "default"))
    front.ready("secure")
    until(
        lambda: front.ask("secure.test", service="secure-istio", port=443, form="https")["status"] == 200,
        10,
        "it is opened",
    )
    assert front.ask("else.test", service="secure-istio", port=443, form="https")["status"] == 0


def test_the_tcp_task_on_the_ingress_gateway(front: Front) -> None:
    listener = {"name": "bytes", "port": 31400, "protocol": "TCP"}
    address = {"type": "Hostname", "value": "istio-ingressgateway.istio-system.svc.cluster.local"}
    front.apply(gateway("manual", listener, addresses=[address]))
    spec = {"parentRefs": [{"name": "manual"}], "rules": [{"backendRefs": [to(port=9000)]}]}
    front.apply(of("TCPRoute", "bytes", spec, version="v1alpha2"))
    pod = front.world.pods["gateway"]
    answer = front.inside("any", via="outsider", form="tcp", address=pod, port=31400)
    assert answer["body"].startswith("echo-")
    front.tells("bytes", "Accepted", "Accepted", "tcproutes")
    # Nothing was made for it, and its Service has no such port.
    assert front.mesh.kubectl("get", "pod", "manual-istio").code != 0
    programmed = conditions(front.status("gateways", "manual"))["Programmed"]
    assert programmed == ("False", "AddressNotUsable")


def test_routes_within_the_mesh(front: Front) -> None:
    front.mesh.put(service("reviews", {"app": "echo"}))
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 8080}
    by_user = {
        "matches": [{"headers": [{"name": "end-user", "value": "jason"}]}],
        "backendRefs": [to("echo-v2")],
    }

    def inside(user: str = "", via: str = "client", host: str = "reviews") -> str:
        answer = front.inside(host, via=via, headers={"end-user": user} if user else {})
        return str(answer["told"].get("pod", answer["status"]) if answer.get("told") else answer["status"])

    front.apply(route("reviews", "", by_user, {"backendRefs": [to("echo-v1")]}, parentRefs=[parent]))
    assert [inside() for _ in range(8)] == ["echo-v1"] * 8
    assert [inside("jason") for _ in range(8)] == ["echo-v2"] * 8
    front.tells("reviews", "Accepted", "Accepted")
    far = "reviews.default.svc.cluster.local"
    assert inside(via="stranger", host=far) == "echo-v1"
    # A consumer's own route goes before the producer's, and only for itself.
    own = route(
        "mine", "", {"backendRefs": [to("stranger")]}, parentRefs=[{**parent, "namespace": "default"}]
    )
    own["metadata"]["namespace"] = "other"
    front.apply(own)
    assert inside(via="stranger", host=far) == "stranger"
    assert inside() == "echo-v1"
    front.mesh.kubectl("delete", f"httproute.{API}", "reviews").good()
    until(lambda: {inside() for _ in range(8)} == {"echo-v1", "echo-v2"}, 10, "the route is gone")


@pytest.mark.long
def test_nothing_passes_while_nobody_says_that_it_may(front: Front) -> None:
    front.mesh.put(service("guard", {"app": "nobody"}))
    front.mesh.put(service("guarded", {"app": "echo"}))
    asked = {
        "protocol": "HTTP",
        "http": {"allowedHeaders": ["x-status", "x-only"]},
        "backendRef": to("guard"),
    }
    rule = {"filters": [{"type": "ExternalAuth", "externalAuth": asked}], "backendRefs": [to("guarded")]}
    parent = {"group": "", "kind": "Service", "name": "guarded", "port": 8080}
    front.apply(
        route("guarded", "gw", rule, hosts=("guarded.test",)),
        route("guarded-inside", "", rule, parentRefs=[parent]),
    )
    assert front.ask("guarded.test")["status"] == 403
    assert front.inside("guarded")["status"] == 403
    front.mesh.put(service("guard", {"app": "client"}))
    until(lambda: front.ask("guarded.test")["status"] == 200, 10, "somebody is asked")
    until(lambda: front.inside("guarded")["status"] == 200, 10, "somebody is asked in the mesh")
    no = {"x-status": "401", "x-only": "client"}
    assert front.ask("guarded.test", headers=no)["status"] == 401
    assert front.inside("guarded", headers=no)["status"] == 401
    front.mesh.kubectl("delete", "service", "guard").good()
    until(lambda: front.ask("guarded.test")["status"] == 500, 10, "there is nobody to ask")
    front.tells("guarded", "ResolvedRefs", "BackendNotFound")


@pytest.mark.long
@pytest.mark.parametrize("place", ["gateway", "mesh"])
def test_a_session_stays_with_its_endpoint(front: Front, place: str) -> None:
    front.mesh.put(service("kept", {"app": "echo"}))
    rule = {"sessionPersistence": {"sessionName": "kept"}, "backendRefs": [to("kept")]}
    parent = {"group": "", "kind": "Service", "name": "kept", "port": 8080}
    front.apply(
        route("kept", "gw", rule, hosts=("kept.test",)), route("kept-inside", "", rule, parentRefs=[parent])
    )

    def ask(cookie: str = "") -> Answer:
        headers = {"cookie": cookie} if cookie else {}
        if place == "mesh":
            return front.inside("kept", headers=headers)
        return front.ask("kept.test", headers=headers)

    first = ask()
    given = first["headers"]["set-cookie"]
    assert given.startswith("kept=")
    assert "Max-Age" not in given
    again = [ask(given.partition(";")[0]) for _ in range(12)]
    assert {one["told"]["pod"] for one in again} == {first["told"]["pod"]}
    # What no endpoint has given is no session: another one is begun.
    other = ask("kept=bm9ib2R5")
    assert other["status"] == 200
    assert other["headers"]["set-cookie"].startswith("kept=")


def test_what_was_made_goes_with_its_gateway(front: Front) -> None:
    front.apply(gateway("short", http()))
    front.ready("short")
    front.mesh.kubectl("delete", "pod", "short-istio", "--wait=true").good()
    front.mesh.kubectl("wait", "pod/short-istio", "--for=create", "--timeout=20s").good()
    front.mesh.kubectl("delete", f"gateway.{API}", "short").good()
    left = ["service/short-istio", "pod/short-istio", "serviceaccount/short-istio"]
    until(lambda: not front.mesh.kubectl("get", *left, "--ignore-not-found").good(), 20, "all of it is gone")
