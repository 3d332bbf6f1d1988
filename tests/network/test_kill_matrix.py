"""The kill matrix: who dies, what goes on. Each row is a test, under an open-loop load with half of it new connections.

Flows: `mesh` client to server through both Envoys, `out` client to a server on the host, `in` through the ingress port.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness.faults import Fault, Row, play
from tests.harness.leaks import descendants
from tests.harness.mesh import HERE, NOBODY, Pod, ThrowawayMesh, environment, owner_ended, python, until
from tests.harness.outside import Outside

from meltemi.agent.shell import net_init
from meltemi.agent.shell.net_init import Client, InitError
from meltemi.init.wire import Detach, Exited, Set, Spec, Stdio, Subscribe

pytestmark = [pytest.mark.live, pytest.mark.alone]

RPS = 60.0
SECONDS = 7.0
SERVICE = "server.default.svc.cluster.local"
DATA_PLANE = ("client/istio-proxy", "server/istio-proxy", "server/app", "edge-mesh", "edge-host")


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with Outside() as server:
        yield server


@pytest.fixture(scope="module")
def mesh(outside: Outside) -> Iterator[ThrowawayMesh]:
    pods = [
        Pod("client", "198.18.0.2", port=9000),
        Pod("server", "198.18.0.3", port=8080, address="127.0.0.1"),
        Pod("plain", "198.18.0.4", sidecar=False, port=9000),
    ]
    services = {(SERVICE, "198.19.0.10", 80): ("server",)}
    # A stand-in for the control plane's daemon: a process that nothing on the data path waits for.
    daemon = Spec("daemon", ("/bin/sleep", "1000"), netns="host")
    with ThrowawayMesh(pods, services, {"ingress/80": ("server",)}, (daemon,)) as running:
        yield running


class Load:
    """The generator in the client's pod, and a second one on the host for the ingress."""

    def __init__(self, mesh: ThrowawayMesh, outside: Outside) -> None:
        flows = {"mesh": "http://198.19.0.10/", "out": f"http://198.18.255.254:{outside.port}/"}
        self.log = mesh.start_load(mesh.pods[0], RPS, SECONDS, **flows)
        self.started = time.monotonic() - 1.0
        self.file = mesh.folder / "ingress.json"
        self.file.unlink(missing_ok=True)
        url = f"http://127.0.0.1:{mesh.ports['ingress/80']}/"
        command = [python(), str(HERE / "load.py"), str(self.file), str(RPS), str(SECONDS), f"in={url}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def ingress(self) -> dict[str, Any]:
        assert self.process.wait(30) == 0
        found: dict[str, Any] = json.loads(self.file.read_text())["in"]
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


ROWS = [
    Row(
        "the daemon is killed and held",
        (Fault("daemon", "hold", seconds=2.0, back_within=2.0),),
        {},
        DATA_PLANE,
    ),
    Row(
        "the agent is killed and held", (Fault("node", "hold", seconds=1.5, back_within=2.0),), {}, DATA_PLANE
    ),
    Row("the agent is stopped for a while", (Fault("node", "stop", seconds=2.0),), {}, (*DATA_PLANE, "node")),
    Row("names is killed", (Fault("names"),), {}, DATA_PLANE),
    Row(
        "the client's Envoy is killed",
        (Fault("client/istio-proxy"),),
        {"mesh": 1.0, "out": 1.0},
        ("client/app", "server/istio-proxy", "server/app", "edge-mesh", "edge-host", "node"),
    ),
    Row(
        "the server's Envoy is killed",
        (Fault("server/istio-proxy"),),
        {"mesh": 1.0, "in": 1.0},
        ("client/istio-proxy", "server/app", "edge-mesh", "edge-host", "node"),
    ),
    Row(
        "edge-host is killed",
        (Fault("edge-host"),),
        {"out": 1.0, "in": 1.0},
        ("client/istio-proxy", "server/istio-proxy", "edge-mesh", "node"),
    ),
    Row(
        "edge-mesh is killed",
        (Fault("edge-mesh"),),
        {"out": 1.0, "in": 1.0},
        ("client/istio-proxy", "server/istio-proxy", "edge-host", "node"),
    ),
    Row(
        "the server's app is killed",
        (Fault("server/app"),),
        {"mesh": 1.5, "in": 1.5},
        ("client/istio-proxy", "server/istio-proxy", "edge-mesh", "edge-host", "node"),
    ),
]


QUICK = {"the daemon is killed and held"}
"""What every run plays; the others are for the long one: `test_kill_matrix_real` kills the same of a real mesh."""


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=() if row.name in QUICK else pytest.mark.long) for row in ROWS],
)
def test_killed_under_load(mesh: ThrowawayMesh, outside: Outside, row: Row) -> None:
    load = Load(mesh, outside)
    try:
        play(mesh, row, load.log, load.started, SECONDS)
        ingress = load.ingress()
        first = min(fault.at for fault in row.faults)
        excused = first + row.may_fail.get("in", 0.0) + 1.2
        bad = [error for error in ingress["errors"] if "in" not in row.may_fail or error[0] > excused]
        assert not bad, f"{row.name}: in: {bad[:5]}"
        assert ingress["sent"] > 0
    finally:
        load.close()
        mesh.init.ask(Set("client/load", ()))


def test_a_pod_without_sidecar_goes_on_without_the_agent(mesh: ThrowawayMesh, outside: Outside) -> None:
    """Its ClusterIPs are rules in the kernel: an agent that comes back adopts them before it knows any service."""
    flows = {"mesh": "http://198.19.0.10/", "out": f"http://198.18.255.254:{outside.port}/"}
    log = mesh.start_load(mesh.pods[2], RPS, 5.0, **flows)
    blind = mesh.folder / "plan.json"
    plan = blind.read_text()
    try:
        # It comes back and is told nothing, as while the API server is away.
        blind.write_text("null")
        row = Row("blind", (Fault("node", "hold", at=1.0, seconds=1.0, back_within=2.0),), {}, DATA_PLANE)
        play(mesh, row, log, time.monotonic(), 5.0)
    finally:
        blind.write_text(plan)
        mesh.init.ask(Set("plain/load", ()))


@pytest.fixture
def short() -> Iterator[ThrowawayMesh]:
    """A mesh of its own, for rows that end it."""
    pods = [
        Pod("one", "198.18.0.2", port=9000),
        Pod("two", "198.18.0.3", sidecar=False, port=9000, argv=("/bin/sh", "-c", FORKS)),
    ]
    with ThrowawayMesh(pods, {(SERVICE, "198.19.0.10", 80): ("one",)}, {"ingress/80": ("one",)}) as running:
        yield running


FORKS = "sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000' & exec python3 -m http.server 9000"


def test_init_is_killed_and_nothing_is_left(short: ThrowawayMesh) -> None:
    short.footprint.watch()
    assert len(short.footprint.processes) > 8
    assert short.launched is not None
    os.kill(short.launched.pid, signal.SIGKILL)
    took = short.footprint.assert_gone(1.0, short.ports.values())
    assert owner_ended(short.launched.owner, 1.0)
    print(f"gone after {took:.2f} s")


def test_the_owners_pipe_ends_and_nothing_is_left(short: ThrowawayMesh) -> None:
    short.footprint.watch()
    assert short.launched is not None
    os.close(short.launched.owner)
    short.launched = net_init.Launched(short.launched.pid, os.open(os.devnull, os.O_RDONLY))
    short.footprint.assert_gone(8.0, short.ports.values())


def test_down_ends_everything_in_order(short: ThrowawayMesh) -> None:
    short.footprint.watch()
    with Client(short.layout) as listener:
        listener.ask(Subscribe())
        short.down()
        ended = []
        while True:
            try:
                event = listener.event()
            except InitError:
                break
            if isinstance(event, Exited):
                ended.append(event.name)
    assert ended.index("one/app") < ended.index("one/istio-proxy")
    short.footprint.assert_gone(1.0, short.ports.values())


def test_detached_it_outlives_its_owner(short: ThrowawayMesh) -> None:
    short.init.ask(Detach())
    assert short.launched is not None
    os.close(short.launched.owner)
    short.launched = net_init.Launched(short.launched.pid, os.open(os.devnull, os.O_RDONLY))
    time.sleep(0.5)
    assert all(row.state == "running" for row in short.table().values())
    short.down()


def test_a_stopped_app_leaves_no_child_behind(short: ThrowawayMesh) -> None:
    def sleepers() -> list[int]:
        assert short.launched is not None
        return [
            pid
            for pid in descendants(short.launched.pid)
            if b"sleep\0001000" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    until(lambda: len(sleepers()) == 2, "its children run")
    before = short.table()["two/app"].pid
    short.signal("two/app", signal.SIGTERM)
    until(lambda: short.table()["two/app"].pid not in (0, before), "it is back")
    until(lambda: len(sleepers()) == 2, "only its new children run")


def test_a_second_mesh_in_the_same_folder_is_refused(short: ThrowawayMesh) -> None:
    with pytest.raises(InitError, match="up already"):
        net_init.launch(short.layout, python=python(), user=NOBODY, env=environment())
    assert all(row.state == "running" for row in short.table().values())


def test_an_app_that_dies_at_start_says_its_last_lines(short: ThrowawayMesh) -> None:
    log = f"{short.layout.log_folder}/bad.log"
    argv = (python(), "-c", "print('a word'); raise SystemExit('the last word')")
    with Client(short.layout) as listener:
        listener.ask(Subscribe())
        short.init.ask(
            Set(
                "bad", (Spec("bad", argv, env=environment(), netns="host", user="app", stdio=Stdio(log=log)),)
            )
        )
        event = listener.event()
        while not isinstance(event, Exited):
            event = listener.event()
    assert (event.name, event.code, event.again) == ("bad", 1, 0.1)
    assert event.last.splitlines() == ["a word", "the last word"] or event.last.splitlines() == [
        "the last word",
        "a word",
    ]


def test_the_harness_tells_what_is_left() -> None:
    """The leak check can fail: a process that goes on is named."""
    from tests.harness.leaks import Footprint

    process = subprocess.Popen(["/bin/sleep", "20"])
    try:
        footprint = Footprint(process.pid, "/nowhere/at/all")
        footprint.watch()
        with pytest.raises(AssertionError, match="sleep"):
            footprint.assert_gone(0.1)
    finally:
        process.kill()
        process.wait()
