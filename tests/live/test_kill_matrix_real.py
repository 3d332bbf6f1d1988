"""The kill matrix on a whole mesh: one after another is killed under one open load; only its own flow may notice.

The rows are prints and asserts of one run: who was killed, after how long it was back, how many requests of each flow
failed in that row and for how long, and whether all others are the same processes as before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.harness.leaks import Footprint, descendants
from tests.live import meshes
from tests.live.meshes import Mesh, until

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.agent.shell.net_init import InitError
from meltemi.ctl import helloworld
from meltemi.init.wire import Detach, Hold, Process, Signal, Status, Table

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.timeout(240)]

LOAD = str(Path(__file__).parent.parent / "harness" / "load.py")
RPS = 25
FIRST, STEP = 3.0, 4.5
FLOWS = ("mesh", "other", "out", "dns", "in")
"""In the mesh to the app whose processes are killed, to another app, to the host, uncached names, by the ingress."""


@dataclass(frozen=True)
class Row:
    """Who is killed (the end of its name in the process table), what may fail and for how many seconds after."""

    name: str
    who: str
    may_fail: Mapping[str, float] = field(default_factory=dict)
    held: float = 0.0
    back_within: float = 2.0


ROWS = (
    Row("daemon", "daemon"),
    Row("agent", "agent"),
    Row("names", "names"),
    Row("edge-host", "edge-host", {"out": 1.5, "in": 1.5}),
    Row("edge-mesh", "edge-mesh", {"out": 1.5, "in": 1.5}),
    Row("one Envoy", "/istio-proxy", {"mesh": 2.5, "in": 2.5}),
    Row("one app", "/helloworld", {"mesh": 3.0, "in": 3.0}),
    Row("the ingress's Envoy", "", {"in": 3.0}),
)

HELD = (
    Row("daemon, for 8 s", "daemon", held=8.0),
    Row("agent, for 1.5 s", "agent", held=1.5, back_within=4.0),
    Row("names, for 3 s", "names", held=3.0),
)
"""Names of the mesh are asked for five times, a second each; a name that nobody kept waits for the agent so long."""


@pytest.fixture(scope="module")
def world() -> Iterator[Mesh]:
    """A mesh of its own: what is killed here would spoil others' process table."""
    with meshes.mesh("kill") as made:
        made.helloworld()
        spare = next(d for d in helloworld.documents() if d["metadata"]["name"] == "helloworld-v1")
        service = next(d for d in helloworld.documents() if d["kind"] == "Service")
        labels = {"app": "other", "version": "v1"}
        made.put(
            {**service, "metadata": {"name": "other", "namespace": "default"}, "spec": _selecting(service)}
        )
        made.put({**spare, "metadata": {"name": "other", "namespace": "default", "labels": labels}})
        made.ready("other")
        yield made


def _selecting(service: dict[str, Any]) -> dict[str, Any]:
    return {**service["spec"], "selector": {"app": "other"}}


class Load:
    """One load for all rows: in a pod behind a sidecar, and at the ingress from the host."""

    def __init__(self, mesh: Mesh, outside: int, seconds: float) -> None:
        self._mesh = mesh
        self._seconds = seconds
        flows = (
            "mesh=http://helloworld:5000/hello",
            "other=http://other:5000/hello",
            f"out=http://host.meltemi.internal:{outside}/",
            "dns=dns:helloworld.default.svc.cluster.local",
        )
        command = [sys.executable, LOAD, "-", str(RPS), str(seconds)]
        client = next(
            d for d in helloworld.documents() if d["kind"] == "Pod" and d["metadata"]["name"] == "sleep"
        )
        container = {**client["spec"]["containers"][0], "command": [*command, *flows]}
        spec = {**client["spec"], "containers": [container], "restartPolicy": "Never"}
        mesh.put(
            {
                **client,
                "metadata": {"name": "load", "namespace": "default", "labels": {"app": "load"}},
                "spec": spec,
            }
        )
        mesh.meltemi("wait", "pod/load", "--for=Ready", "--timeout", "30s").good()
        self._door = subprocess.Popen(
            [*command, f"in={mesh.hands.ingress}/hello"], stdout=subprocess.PIPE, text=True
        )

    def results(self) -> dict[str, dict[str, Any]]:
        """Wait for the end: what each flow sent, and which of it failed when (seconds since the epoch)."""
        out, _ = self._door.communicate(timeout=self._seconds + 60)
        until(lambda: "RESULT" in self._told(), 30, "the load in the mesh has ended")
        found: dict[str, dict[str, Any]] = {}
        for text in (self._told(), out):
            line = next(line for line in text.splitlines() if "RESULT " in line)
            found.update(json.loads(line.partition("RESULT ")[2]))
        for numbers in found.values():
            numbers["errors"] = [(numbers["began"] + after, what) for after, what in numbers["errors"]]
        self._mesh.kubectl("delete", "pod", "load", "--wait=false").good()
        self._mesh.meltemi("wait", "pod/load", "--for=delete").good()
        return found

    def close(self) -> None:
        """Be sure that it has ended."""
        self._door.kill()
        self._door.wait()

    def _told(self) -> str:
        return self._mesh.meltemi("logs", "load", "-c", "sleep").out


@dataclass
class Played:
    """What became of a row. Times are seconds since the epoch."""

    row: Row
    at: float
    back: float
    anew: list[str]
    """Other processes that were started anew meanwhile."""


def table(mesh: Mesh) -> dict[str, Process]:
    found = InitClient(mesh.layout).ask(Status())
    assert isinstance(found, Table)
    return {row.name: row for row in found.processes}


def victim(row: Row, names: Mapping[str, Process]) -> str:
    """The process that a row kills."""
    if row.name == "the ingress's Envoy":
        return next(name for name in names if "ingressgateway" in name and name.endswith("/istio-proxy"))
    if row.who.startswith("/"):
        pod = "helloworld-v1" if row.name == "one Envoy" else "helloworld-v2"
        return next(name for name in names if f"/{pod}/" in name and name.endswith(row.who))
    return row.who


def play(mesh: Mesh, row: Row, at: float) -> Played:
    """Kill when it is time, and wait until it is back."""
    time.sleep(max(0.0, at - time.time()))
    before = table(mesh)
    who = victim(row, before)
    killed = time.time()
    InitClient(mesh.layout).ask(Hold(who, row.held) if row.held else Signal(who, signal.SIGKILL))
    until(
        lambda: table(mesh)[who].state == "running" and table(mesh)[who].pid not in (0, before[who].pid),
        row.held + row.back_within,
        f"{row.name} is back",
    )
    back = time.time()
    after = table(mesh)
    kept = [name for name in before if name != who and before[name].pid and not name.startswith("exec/")]
    anew = [name for name in kept if name not in after or after[name].pid != before[name].pid]
    return Played(row, killed, back, anew)


def told(played: list[Played], results: Mapping[str, dict[str, Any]], end: float) -> tuple[str, list[str]]:
    """The table, and what is wrong in it."""
    head = f"{'killed':22} {'back':>6} " + " ".join(f"{flow:>14}" for flow in FLOWS) + "  others"
    lines, wrong = [head, "-" * len(head)], list[str]()
    for number, one in enumerate(played):
        until_then = played[number + 1].at if number + 1 < len(played) else end
        cells = []
        for flow in FLOWS:
            errors = [e for e in results[flow]["errors"] if one.at - 0.2 <= e[0] < until_then - 0.2]
            lasted = max((at for at, _ in errors), default=one.at) - one.at
            sent = round((until_then - one.at) * RPS)
            cells.append(f"{len(errors)}/{sent} {lasted:.1f} s" if errors else f"0/{sent}")
            if errors and lasted > one.row.may_fail.get(flow, -1.0):
                wrong.append(
                    f"{one.row.name}: {flow}: {len(errors)} failed, for {lasted:.1f} s: {errors[:4]}"
                )
        others = "the same" if not one.anew else f"anew: {one.anew}"
        if one.anew:
            wrong.append(f"{one.row.name}: started anew, too: {one.anew}")
        took = one.back - one.at
        lines.append(
            f"{one.row.name:22} {took:4.1f} s " + " ".join(f"{cell:>14}" for cell in cells) + f"  {others}"
        )
    return "\n".join(lines), wrong


def run(mesh: Mesh, rows: tuple[Row, ...]) -> None:
    """Play rows under one load, print the table, and fail for what is wrong in it."""
    seconds = FIRST + sum(STEP + row.held for row in rows) + 1
    with helloworld.outside_server() as port:
        load = Load(mesh, port, seconds)
        try:
            at = time.time() + FIRST
            played = []
            for row in rows:
                played.append(play(mesh, row, at))
                at += STEP + row.held
            results = load.results()
        finally:
            load.close()
    shown, wrong = told(played, results, at)
    early = [(flow, e) for flow in FLOWS for e in results[flow]["errors"] if e[0] < played[0].at - 0.2]
    print(f"\n{shown}")
    assert not wrong, "\n".join([shown, *wrong])
    assert not early, f"before anybody was killed: {early}"
    assert all(results[flow]["sent"] == int(RPS * seconds) for flow in FLOWS)


def test_only_its_own_flow_notices_who_is_killed(world: Mesh) -> None:
    run(world, ROWS)


@pytest.mark.long
def test_who_stays_away_for_a_while(world: Mesh) -> None:
    run(world, HELD)


def test_init_is_killed_and_nothing_is_left_and_down_of_nothing_says_so(world: Mesh) -> None:
    """Last of this file: it ends the mesh."""
    pid = init_pid(world)
    footprint = Footprint(pid, world.layout.run)
    footprint.watch()
    assert len(footprint.processes) > 20
    ports = [port for port in _ports(json.loads(Path(world.layout.ports).read_text())) if port]
    assert ports
    os.kill(pid, signal.SIGKILL)
    took = footprint.assert_gone(1.0, ports)
    print(f"\ninit killed: {len(footprint.processes)} processes gone after {took:.2f} s; nothing is left")
    with pytest.raises(InitError):
        InitClient(world.layout).ask(Detach())
    down = world.meltemi("down")
    print(f"down of nothing: exit {down.code}: {(down.out + down.err).strip()}")
    assert (down.code, "no mesh is up" in down.err) == (3, True)


def init_pid(mesh: Mesh) -> int:
    """PID 1 of this mesh, as the host sees it: its apps' first processes are forks of it, by the same command line."""
    found = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and _is_init(entry, mesh.layout.run)
    ]
    (first,) = [pid for pid in found if not any(pid in descendants(other)[1:] for other in found)]
    return first


def _is_init(entry: Path, run_folder: str) -> bool:
    try:
        line = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"meltemi.init" in line and run_folder.encode() in line


def _ports(found: Any) -> list[int]:
    if isinstance(found, dict):
        return [port for value in found.values() for port in _ports(value)]
    return [found] if isinstance(found, int) else []
