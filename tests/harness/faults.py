"""Who is killed or stopped, when, how, and what may fail: one row of a table, and what runs it.

A row is played while an open-loop load runs. `may_fail` says for each flow in which seconds after the fault its errors
are excused; a flow that is not named may not fail at all.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.harness.mesh import ThrowawayMesh, load_result, until


@dataclass(frozen=True)
class Fault:
    """`kill` (SIGKILL), `hold` (killed and kept down), `stop` (SIGSTOP, then SIGCONT), `term` (SIGTERM)."""

    who: str
    how: Literal["kill", "hold", "stop", "term"] = "kill"
    at: float = 2.0
    seconds: float = 0.0
    back_within: float = 1.0


@dataclass(frozen=True)
class Row:
    """Faults under load, and the seconds after the first of them in which a flow's errors are excused."""

    name: str
    faults: tuple[Fault, ...]
    may_fail: Mapping[str, float] = field(default_factory=dict)
    untouched: tuple[str, ...] = ()
    """Processes that must be the same ones afterwards."""


def play(mesh: ThrowawayMesh, row: Row, log: Path, started: float, seconds: float) -> dict[str, Any]:
    """Play a row's faults against a load that began at `started` (monotonic); return the load's result."""
    before = mesh.table()
    for fault in sorted(row.faults, key=lambda fault: fault.at):
        time.sleep(max(0.0, started + fault.at - time.monotonic()))
        _do(mesh, fault)
    result = load_result(log, seconds + 20)
    after = mesh.table()
    for name in row.untouched:
        assert after[name].pid == before[name].pid, f"{name} was started anew"
    for fault in row.faults:
        if fault.how != "stop":
            assert after[fault.who].pid != before[fault.who].pid, f"{fault.who} was not killed"
    first = min(fault.at for fault in row.faults)
    for flow, numbers in result.items():
        last = first + row.may_fail.get(flow, 0.0)
        bad = [
            error
            for error in numbers["errors"]
            if flow not in row.may_fail or not first - 0.2 <= error[0] <= last
        ]
        assert not bad, f"{row.name}: {flow}: {len(bad)} of {numbers['sent']} failed: {bad[:5]}"
        assert numbers["sent"] > 0
    return result


def _do(mesh: ThrowawayMesh, fault: Fault) -> None:
    pid = mesh.table()[fault.who].pid
    assert pid, f"{fault.who} does not run"
    match fault.how:
        case "hold":
            mesh.hold(fault.who, fault.seconds)
            time.sleep(fault.seconds)
        case "stop":
            mesh.signal(fault.who, signal.SIGSTOP)
            time.sleep(fault.seconds)
            mesh.signal(fault.who, signal.SIGCONT)
            return
        case "term":
            mesh.signal(fault.who, signal.SIGTERM)
        case "kill":
            mesh.signal(fault.who, signal.SIGKILL)
    until(lambda: mesh.table()[fault.who].pid not in (0, pid), f"{fault.who} is back", fault.back_within)
