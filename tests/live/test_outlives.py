"""The data plane outlives the control plane: who is killed under load, and that nobody notices."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from tests.live.meshes import Mesh, until

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.ctl import helloworld
from meltemi.init.wire import Hold, Process, Signal, Status, Table

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(200)]
"""Long: every run kills the same processes in `test_kill_matrix_real`, under one load."""

RATE = 200


class Load:
    """The tour's load: in the mesh, to the outside, uncached lookups, and through the ingress.

    The mesh's part is a pod of its own, not an `exec`: that would end with the agent.
    """

    def __init__(self, mesh: Mesh, outside: int, seconds: float) -> None:
        urls = (
            "http://helloworld:5000/hello",
            f"http://host.meltemi.internal:{outside}/",
            "dns:helloworld.default.svc.cluster.local",
        )
        module = [sys.executable, "-m", "meltemi.samples.load", "--seconds", str(seconds), "--rate"]
        self._mesh = mesh
        self._seconds = seconds
        client = next(d for d in helloworld.documents() if d["metadata"]["name"] == "outsider")
        container = client["spec"]["containers"][0]
        container["command"] = [*module, str(RATE * 3 // 4), *urls]
        labels = {"app": "load"}
        spec = {**client["spec"], "restartPolicy": "Never"}
        mesh.put(
            {**client, "metadata": {"name": "load", "namespace": "default", "labels": labels}, "spec": spec}
        )
        mesh.meltemi("wait", "pod/load", "--for=Ready", "--timeout", "30s").good()
        self._door = subprocess.Popen(
            [*module, str(RATE // 4), f"{mesh.hands.ingress}/hello"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def reports(self) -> list[dict[str, Any]]:
        """Wait for the end, and give what each part counted: the mesh's, the ingress's."""
        out, err = self._door.communicate(timeout=self._seconds + 60)
        assert out.strip(), err
        until(lambda: "sent" in self._told(), 30, "the load in the mesh has ended")
        found = [json.loads(text.strip().splitlines()[-1]) for text in (self._told(), out)]
        self._mesh.kubectl("delete", "pod", "load", "--wait=false").good()
        self._mesh.meltemi("wait", "pod/load", "--for=delete").good()
        return found

    def _told(self) -> str:
        return self._mesh.meltemi("logs", "load", "-c", "outsider").out


def table(mesh: Mesh) -> dict[str, Process]:
    found = InitClient(mesh.layout).ask(Status())
    assert isinstance(found, Table)
    return {row.name: row for row in found.processes}


def calls(mesh: Mesh, pod: str) -> bool:
    """Whether a pod reaches helloworld now."""
    try:
        (answer,) = mesh.hands.call(pod, "http://helloworld:5000/hello")
    except Exception:  # noqa: BLE001 - anything that goes wrong means: not yet
        return False
    return bool(answer.get("status") == 200)


@pytest.mark.parametrize("who", ["daemon", "agent", "names"])
def test_a_killed_process_is_back_and_no_request_failed(world: Mesh, who: str) -> None:
    before = table(world)
    with helloworld.outside_server() as port:
        load = Load(world, port, 8)
        time.sleep(2)
        InitClient(world.layout).ask(Signal(who, signal.SIGKILL))
        until(
            lambda: table(world)[who].state == "running" and table(world)[who].pid != before[who].pid,
            2,
            f"{who} is back",
        )
        reports = load.reports()
    assert [report["errors"] for report in reports] == [{}, {}]
    assert sum(report["sent"] for report in reports) == 8 * RATE
    after = table(world)
    # A load of an earlier row may still stand in the table for a moment.
    untouched = [name for name in before if name != who and "/load/" not in name]
    assert {name: after[name].pid for name in untouched} == {name: before[name].pid for name in untouched}


def test_a_minute_with_the_daemon_away_and_a_second_client_killed(world: Mesh) -> None:
    second = next(
        d for d in helloworld.documents() if d["metadata"]["name"] == "sleep" and d["kind"] == "Pod"
    )
    world.put({**second, "metadata": {**second["metadata"], "name": "second"}})
    world.ready("second")
    assert calls(world, "second")
    own = [name for name in table(world) if name.startswith("pod/default/second/")]
    assert len(own) >= 2, own
    with helloworld.outside_server() as port:
        load = Load(world, port, 60)
        began = time.monotonic()
        time.sleep(20)
        InitClient(world.layout).ask(Hold("daemon", 20))
        time.sleep(max(0.0, began + 30 - time.monotonic()))
        for name in own:
            InitClient(world.layout).ask(Signal(name, signal.SIGKILL))
        until(lambda: calls(world, "second"), 3, "the second client calls on, from what the agent kept")
        assert table(world)["daemon"].state == "held"
        reports = load.reports()
    assert [report["errors"] for report in reports] == [{}, {}]
    assert sum(report["sent"] for report in reports) == 60 * RATE
    world.kubectl("delete", "pod", "second", "--wait=false").good()
