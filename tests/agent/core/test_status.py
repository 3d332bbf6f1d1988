from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.agent.core.pod import read
from meltemi.agent.core.status import (
    ContainerState,
    Running,
    State,
    Terminated,
    Waiting,
    phase,
    status,
    timestamp,
)

NOW = 1_800_000_000.0


def state(name: str, what: State, *, ready: bool = False, last: Terminated | None = None) -> ContainerState:
    return ContainerState(
        name, what, last, ready=ready, begun=ready, pid=7 if isinstance(what, Running) else 0
    )


def pod(policy: str = "Always") -> Any:
    spec = {"restartPolicy": policy, "containers": [{"name": "app"}, {"name": "istio-proxy"}]}
    return read({"metadata": {"name": "a", "namespace": "b"}, "spec": spec})


GOING = Running(NOW)
DONE = Terminated(0, finished=NOW)
BROKEN = Terminated(3, finished=NOW)


@pytest.mark.parametrize(
    ("policy", "app", "proxy", "wanted"),
    [
        ("Always", Waiting("ContainerCreating"), GOING, "Pending"),
        ("Always", GOING, GOING, "Running"),
        ("Never", DONE, GOING, "Succeeded"),
        ("Never", BROKEN, GOING, "Failed"),
        ("OnFailure", DONE, GOING, "Succeeded"),
        ("Always", DONE, GOING, "Running"),
    ],
)
def test_the_phase_follows_the_apps(policy: str, app: State, proxy: State, wanted: str) -> None:
    assert phase(pod(policy), (state("app", app), state("istio-proxy", proxy))) == wanted


def test_a_crashing_app_is_running_with_its_last_words() -> None:
    last = Terminated(1, message="Traceback: no port", finished=NOW)
    rows = (state("app", Waiting("CrashLoopBackOff"), last=last), state("istio-proxy", GOING, ready=True))
    made = status(pod(), "198.18.0.7", rows, {}, host="1.1.1.1", now=NOW, started=NOW)
    assert made["phase"] == "Running"
    app = made["containerStatuses"][0]
    assert app["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert app["lastState"]["terminated"]["message"] == "Traceback: no port"
    assert app["lastState"]["terminated"]["exitCode"] == 1


def test_ready_needs_every_container() -> None:
    for proxy_ready in (False, True):
        rows = (state("app", GOING, ready=True), state("istio-proxy", GOING, ready=proxy_ready))
        made = status(pod(), "198.18.0.7", rows, {}, host="1.1.1.1", now=NOW, started=NOW)
        conditions = {row["type"]: row for row in made["conditions"]}
        assert conditions["Ready"]["status"] == ("True" if proxy_ready else "False")
        assert conditions["Ready"].get("message", "") == (
            "" if proxy_ready else "containers with unready status: ['istio-proxy']"
        )


def test_a_condition_that_stays_keeps_its_time() -> None:
    rows = (state("app", GOING, ready=True), state("istio-proxy", GOING, ready=True))
    first = status(pod(), "198.18.0.7", rows, {}, host="1.1.1.1", now=NOW, started=NOW)
    assert status(pod(), "198.18.0.7", rows, first, host="1.1.1.1", now=NOW + 60, started=NOW + 60) == first
    worse = (state("app", GOING), state("istio-proxy", GOING, ready=True))
    second = status(pod(), "198.18.0.7", worse, first, host="1.1.1.1", now=NOW + 60, started=NOW)
    times = {row["type"]: row["lastTransitionTime"] for row in second["conditions"]}
    assert times["Ready"] == timestamp(NOW + 60)
    assert times["PodScheduled"] == timestamp(NOW)


def test_conditions_of_others_stay() -> None:
    gate = {"type": "example.com/gate", "status": "True", "lastTransitionTime": timestamp(1)}
    made = status(pod(), "", (), {"conditions": [gate]}, host="1.1.1.1", now=NOW, started=NOW)
    assert gate in made["conditions"]


def test_a_killed_process_has_the_shells_exit_code() -> None:
    assert Terminated(0, signal=9).exit_code == 137


@given(st.integers(0, 4_000_000_000))
def test_times_are_rfc_3339(seconds: int) -> None:
    wanted = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert timestamp(float(seconds)) == wanted
