"""Workloads outside of Pods, as Istio's pages on virtual machines have them: they register, are probed, serve and go.

The workload is a server of this test, on the host; pods reach it at `host.meltemi.internal`.
"""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.live.meshes import Mesh, until
from tests.live.outside import Outside, node, token_of

from meltemi.ctl.client import ApiError

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

HOST = "198.18.255.254"
"""`host.meltemi.internal`."""
PLAIN = {"security.istio.io/tlsMode": "disabled"}
NAME = f"fleet-{HOST}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "7")
        self.end_headers()
        self.wfile.write(b"outside")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made.server_port
    made.shutdown()
    made.server_close()
    thread.join(10)


def istio(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def mesh(world: Mesh, server: int) -> Iterator[Mesh]:
    """A group of workloads, and a ServiceEntry and a Service that select them."""
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    entry = {
        "hosts": ["fleet.test"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [port],
        "workloadSelector": {"labels": {"app": "fleet"}},
    }
    group = {
        "metadata": {"labels": {"app": "fleet"}, "annotations": {"owner": "us"}},
        "template": {"ports": {"http": server}, "serviceAccount": "fleet", "labels": PLAIN},
        "probe": {"httpGet": {"port": server}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "fleet", "namespace": "default"},
        "spec": {"selector": {"app": "fleet"}, "ports": [{"name": "http", "port": 80}]},
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "fleet", "namespace": "default"},
    }
    world.apply(
        account, service, istio("ServiceEntry", "fleet", entry), istio("WorkloadGroup", "fleet", group)
    )
    world.meltemi("wait", "serviceentry/fleet", "service/fleet", "workloadgroup/fleet").good()
    yield world
    world.kubectl("delete", "serviceentry/fleet", "workloadgroup/fleet", "service/fleet", "sa/fleet").good()


def found(mesh: Mesh, name: str = NAME) -> dict[str, Any] | None:
    where = f"/apis/networking.istio.io/v1/namespaces/default/workloadentries/{name}"
    with contextlib.suppress(ApiError):
        made: dict[str, Any] = mesh.client.json("GET", where)
        return made
    return None


def marked(mesh: Mesh, name: str) -> bool:
    """Whether the entry has an annotation of Istio's."""
    notes = ((found(mesh) or {}).get("metadata") or {}).get("annotations") or {}
    return f"istio.io/{name}" in notes


def condition(mesh: Mesh) -> tuple[str, str]:
    """Status and message of the condition Healthy."""
    rows = ((found(mesh) or {}).get("status") or {}).get("conditions") or ()
    return next(
        ((row["status"], row.get("message", "")) for row in rows if row["type"] == "Healthy"), ("", "")
    )


def answers(mesh: Mesh, url: str = "http://fleet.test/") -> tuple[int, str]:
    (one,) = mesh.hands.call("sleep", url)
    return one["status"], one["body"]


def test_a_workload_that_connects_is_registered_found_healthy_serves_and_is_removed_when_it_goes(
    mesh: Mesh,
) -> None:
    said = node(HOST, "fleet", LABELS={"version": "v1"}, locality={"region": "r", "zone": "z"})
    with Outside(mesh, token_of(mesh, "fleet"), said) as vm:
        assert vm.answered.wait(20)
        assert not vm.status, vm.details
        made = found(mesh)
        assert made is not None
        assert made["spec"]["address"] == HOST
        assert made["spec"]["locality"] == "r/z"
        assert made["metadata"]["labels"] == {"app": "fleet", "version": "v1", **PLAIN}
        notes = made["metadata"]["annotations"]
        assert (notes["owner"], notes["istio.io/autoRegistrationGroup"]) == ("us", "fleet")
        assert "istio.io/connectedAt" in notes
        # It is served as what it is: a proxy of the mesh, by its own account.
        assert "outbound|80||fleet.test" in vm.clusters
        assert f"{NAME}.default" in mesh.meltemi("proxy-status").good()
        # Not before it has proved itself.
        assert answers(mesh)[0] == 503
        vm.health()
        until(lambda: condition(mesh)[0] == "True", 10, "healthy")
        until(lambda: answers(mesh) == (200, "outside"), 10, "an answer from outside")
        assert answers(mesh, "http://fleet.default.svc.cluster.local/") == (200, "outside")
        vm.health("connection refused")
        until(lambda: condition(mesh) == ("False", "connection refused"), 10, "unhealthy")
        until(lambda: answers(mesh)[0] == 503, 10, "nothing from outside")
    until(
        lambda: (
            "istio.io/disconnectedAt" in ((found(mesh) or {}).get("metadata") or {}).get("annotations", {})
        ),
        10,
        "gone",
    )
    # The grace period is ten seconds: a workload may be back by then.
    assert found(mesh) is not None
    until(lambda: found(mesh) is None, 20, "removed")


def test_a_workload_that_comes_back_within_the_grace_period_keeps_its_entry(mesh: Mesh) -> None:
    token = token_of(mesh, "fleet")
    with Outside(mesh, token, node(HOST, "fleet")) as vm:
        assert vm.answered.wait(20)
        first = found(mesh)
    until(
        lambda: (
            "istio.io/disconnectedAt" in ((found(mesh) or {}).get("metadata") or {}).get("annotations", {})
        ),
        10,
        "gone",
    )
    with Outside(mesh, token, node(HOST, "fleet")) as vm:
        assert vm.answered.wait(20)
        again = found(mesh)
        assert first is not None
        assert again is not None
        assert again["metadata"]["uid"] == first["metadata"]["uid"]
        assert "istio.io/disconnectedAt" not in again["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("account", "said", "status", "words"),
    [
        ("default", node(HOST, "fleet"), "PERMISSION_DENIED", "run as fleet, not as default"),
        ("fleet", node(HOST, "fleet", "istio-system"), "PERMISSION_DENIED", "no workloads in istio-system"),
        ("fleet", node(HOST, "nobody"), "FAILED_PRECONDITION", "cannot find WorkloadGroup default/nobody"),
        ("fleet", node("nowhere", "fleet"), "FAILED_PRECONDITION", "no address"),
        ("fleet", node(HOST, ""), "PERMISSION_DENIED", "not bound to a Pod"),
    ],
)
def test_who_is_no_workload_of_the_group_gets_nothing(
    mesh: Mesh, account: str, said: dict[str, Any], status: str, words: str
) -> None:
    with Outside(mesh, token_of(mesh, account), said) as vm:
        assert vm.answered.wait(20)
        assert vm.status == status
        assert words in vm.details
        assert vm.clusters == set()
