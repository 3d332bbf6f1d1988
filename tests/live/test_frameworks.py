"""A user's own Flask, FastAPI or Node app joins with one `meltemi run` line, bound to 127.0.0.1 as they all are."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.harness.outside import Outside
from tests.live import meshes
from tests.live.meshes import Mesh, until

from meltemi.ctl.tour import cli

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

APPS = Path(__file__).with_name("apps")
BESIDE = Path(sys.executable).parent
NODE = shutil.which("node")


@dataclass(frozen=True)
class Framework:
    """An app: its name, its port, and how its user starts it."""

    name: str
    port: int
    argv: tuple[str, ...]


FRAMEWORKS = {
    "flask": Framework("flask", 5000, (f"{BESIDE}/flask", "--app", "flask_app", "run")),
    "fastapi": Framework("fastapi", 8000, (f"{BESIDE}/uvicorn", "fastapi_app:app")),
    "node": Framework("node", 3000, (NODE or "node", "node_app.js")),
}


@dataclass
class Running:
    """An app and its `meltemi run`."""

    framework: Framework
    process: subprocess.Popen[str]
    mesh: Mesh

    @property
    def name(self) -> str:
        return self.framework.name

    @property
    def url(self) -> str:
        return f"http://{self.name}:{self.framework.port}"

    def call(self, path: str) -> dict[str, Any]:
        """Ask it from another pod."""
        (answer,) = self.mesh.hands.call("sleep", f"{self.url}{path}")
        assert answer.get("status") == 200, answer
        found: dict[str, Any] = json.loads(answer["body"])
        return found


@contextmanager
def started(
    mesh: Mesh, name: str, port: int, argv: tuple[str, ...], *options: str, cwd: Path = APPS
) -> Iterator[subprocess.Popen[str]]:
    """`meltemi run` in the foreground of a terminal that nobody watches; killed at the end if it still runs."""
    line = cli(mesh.name, "run", "--name", name, "--port", str(port), *options, "--", *argv)
    process = subprocess.Popen(
        line, env=mesh.env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def pods(mesh: Mesh) -> set[str]:
    found = mesh.client.json("GET", "/api/v1/namespaces/default/pods")["items"]
    return {row["metadata"]["name"] for row in found}


def ready(mesh: Mesh, *names: str) -> None:
    for name in names:
        until(lambda name=name: name in pods(mesh), 20, f"pod {name}")  # type: ignore[misc]
    mesh.ready(*names)


@pytest.fixture(scope="module")
def running(world: Mesh) -> Iterator[Mapping[str, Running]]:
    """All three, each by one line, and a database on the loopback of the host."""
    with ExitStack() as stack:
        database = stack.enter_context(Outside())
        made = {}
        for each in FRAMEWORKS.values():
            if each.name == "node" and NODE is None:
                continue
            options = ("--host-port", str(database.port), "-e", f"DATABASE_PORT={database.port}")
            process = stack.enter_context(started(world, each.name, each.port, each.argv, *options))
            made[each.name] = Running(each, process, world)
        ready(world, *made)
        world.apply(*(route(name, app.framework.port) for name, app in made.items()))
        world.meltemi("wait", *(f"virtualservice/{name}" for name in made)).good()
        yield made
    leftovers = [f"{kind}/{name}" for name in made for kind in ("service", "virtualservice")]
    world.kubectl("delete", "--ignore-not-found", *leftovers).good()


def route(name: str, port: int) -> dict[str, Any]:
    """A path of the ingress gateway, `/NAME`, that leads to an app."""
    rule: dict[str, Any] = {
        "match": [{"uri": {"exact": f"/{name}"}}],
        "route": [{"destination": {"host": name, "port": {"number": port}}}],
    }
    if name != "productpage":
        rule["rewrite"] = {"uri": "/"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hosts": ["*"], "gateways": ["helloworld-gateway"], "http": [rule]},
    }


@pytest.fixture(params=FRAMEWORKS)
def app(request: pytest.FixtureRequest, running: Mapping[str, Running]) -> Running:
    if request.param not in running:
        pytest.skip("no node in PATH")
    return running[request.param]


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read()


def test_another_pod_calls_it_with_mutual_tls(app: Running) -> None:
    told = app.call("/")
    assert told["framework"] == app.name
    assert "By=spiffe://cluster.local/ns/default/sa/default;" in told["caller"]
    assert "URI=spiffe://cluster.local/ns/default/sa/sleep" in told["caller"]


def test_it_is_reached_through_the_ingress_and_open_says_where(app: Running) -> None:
    url = app.mesh.meltemi("open", app.name).good().strip()
    assert url == f"{app.mesh.hands.ingress}/{app.name}"
    status, body = get(url)
    told = json.loads(body)
    assert (status, told["framework"]) == (200, app.name)
    assert "sa/istio-ingressgateway" in told["caller"]


@pytest.mark.parametrize("host", ["host.meltemi.internal", "127.0.0.1"])
def test_it_reaches_a_database_of_the_host(app: Running, host: str) -> None:
    assert app.call(f"/database/{host}") == {"said": "host:ping"}


def test_status_shows_it_well(running: Mapping[str, Running], world: Mesh) -> None:
    shown = json.loads(world.meltemi("status", "-o", "json").out)
    rows = {row["name"]: row for row in shown["workloads"]}
    for name in running:
        assert (rows[name]["ready"], rows[name]["proxy"]) == ("2/2", "in step")
        assert re.fullmatch(r"\d+[sm]", rows[name]["certificate"])
    assert shown["certificates"]["total"] == shown["proxies"]["total"]


def test_ctrl_c_ends_the_app_and_leaves_no_pod(running: Mapping[str, Running], world: Mesh) -> None:
    """The last of the three: what it ends is started anew by none."""
    for each in running.values():
        each.process.send_signal(signal.SIGINT)
    for each in running.values():
        said, _ = each.process.communicate(timeout=20)
        assert each.process.returncode in (0, 130), said
        assert "Traceback" not in said
    assert not pods(world) & {*running}


def test_a_killed_run_leaves_no_pod(world: Mesh) -> None:
    argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "7001")
    with started(world, "orphan", 7001, argv, "--no-service") as process:
        ready(world, "orphan")
        process.kill()
        until(lambda: "orphan" not in pods(world), 20, "the pod of a killed run is gone")


def test_open_productpage(world: Mesh) -> None:
    """By a port of its own while no route leads there, by the ingress afterwards."""
    argv = (sys.executable, "-m", "meltemi.samples.bookinfo.productpage")
    with ExitStack() as stack:
        stack.enter_context(started(world, "productpage", 9080, argv))
        ready(world, "productpage")
        asked = stack.enter_context(
            subprocess.Popen(
                cli(world.name, "open", "productpage"), env=world.env, stdout=subprocess.PIPE, text=True
            )
        )
        try:
            assert asked.stdout is not None
            url = asked.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
            assert url != f"{world.hands.ingress}/"
            status, body = get(f"{url}productpage")
            assert (status, b"The Comedy of Errors" in body) == (200, True)
        finally:
            asked.send_signal(signal.SIGINT)
            asked.wait(10)
        world.apply(route("productpage", 9080))
        world.meltemi("wait", "virtualservice/productpage").good()
        url = world.meltemi("open", "productpage").good().strip()
        assert url == f"{world.hands.ingress}/productpage"
        status, body = get(url)
        assert (status, b"The Comedy of Errors" in body) == (200, True)
    world.kubectl("delete", "service/productpage", "virtualservice/productpage").good()


@pytest.mark.long
def test_pods_of_runs_that_died_with_the_mesh_are_gone_at_its_next_start() -> None:
    with meshes.mesh("again") as mesh:
        argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "7002")
        with started(mesh, "stale", 7002, argv) as process:
            ready(mesh, "stale")
            mesh.meltemi("run", "-d", "--name", "kept", "--", "sleep", "1000").good()
            # Stopped, it can neither take its pod away nor let go of it: the pod outlives it in the mesh's state.
            process.send_signal(signal.SIGSTOP)
            mesh.meltemi("down").good()
            process.kill()
            process.communicate(timeout=20)
        mesh.meltemi("up", "--detach").good()
        until(lambda: pods(mesh) == {"kept"}, 20, "only the pod in the background is back")
        mesh.ready("kept")
