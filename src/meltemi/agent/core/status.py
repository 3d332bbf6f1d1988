"""A Pod's status from what is known of its containers: phase, conditions, container statuses (Kubernetes' rules)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.agent.core.pod import Pod
from meltemi.agent.core.settings import PROXY_CONTAINER

VOLUMES_MOUNTED = "meltemi.internal/VolumesMounted"
"""A condition that Pods with volume mounts have: it is False on a local node, and says which."""

NOT_MOUNTED = "FailedMount"
"""Kubernetes' word for it, here and in the event."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not started yet, or between two starts."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """It runs since (seconds since the epoch)."""

    started: float


@dataclass(frozen=True, slots=True)
class Terminated:
    """It ended: by exit `code`, or by `signal` if that is not 0. Times are seconds since the epoch, 0.0 unknown."""

    code: int
    signal: int = 0
    message: str = ""
    started: float = 0.0
    finished: float = 0.0

    @property
    def exit_code(self) -> int:
        """As a shell tells it: 128 and the signal's number."""
        return 128 + self.signal if self.signal else self.code

    @property
    def reason(self) -> str:
        """Kubernetes' word for it."""
        if self.code == 127 and not self.signal:
            return "StartError"
        return "Completed" if self.exit_code == 0 else "Error"


State = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What is known of one container. `ready`: its readiness probe says so; `begun`: its startup probe does."""

    name: str
    state: State
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False
    begun: bool = False
    pid: int = 0
    image: str = ""


def phase(pod: Pod, containers: Iterable[ContainerState]) -> str:
    """Kubernetes' phase. The proxy counts for `Pending` and not for the end: a job ends when its apps do."""
    rows = tuple(containers)
    apps = tuple(row for row in rows if row.name != PROXY_CONTAINER) or rows
    if not rows:
        return "Pending"
    if apps and all(isinstance(row.state, Terminated) for row in apps) and pod.restart_policy != "Always":
        good = all(isinstance(row.state, Terminated) and row.state.exit_code == 0 for row in apps)
        return "Succeeded" if good else "Failed"
    if all(_has_started(row) for row in rows):
        return "Running"
    return "Pending"


def status(
    pod: Pod,
    address: str,
    containers: Iterable[ContainerState],
    previous: Mapping[str, Any],
    *,
    host: str,
    now: float,
    started: float,
) -> dict[str, Any]:
    """Build the status document. `previous` is the one before: conditions that stay keep their transition times.

    `host` is the node's address; `now` and `started` (when the agent first saw the pod) are seconds since the epoch.
    """
    rows = tuple(containers)
    which = phase(pod, rows)
    done = which in ("Succeeded", "Failed")
    unready = tuple(row.name for row in rows if not row.ready)
    reason = (
        ("PodCompleted", "")
        if done
        else ("ContainersNotReady", f"containers with unready status: {list(unready)}")
    )
    ready = not unready and bool(rows) and not done
    wanted = [
        _condition("PodScheduled", True),
        _condition("Initialized", True),
        _condition("ContainersReady", ready, *reason),
        _condition("Ready", ready, *reason),
    ]
    if pod.not_mounted:
        wanted.append(_condition(VOLUMES_MOUNTED, False, NOT_MOUNTED, pod.not_mounted))
    made: dict[str, Any] = {
        "phase": which,
        "conditions": _with_times(wanted, previous.get("conditions") or (), now),
        "containerStatuses": [_container(row) for row in rows],
        "startTime": previous.get("startTime") or timestamp(started),
        "qosClass": previous.get("qosClass") or "BestEffort",
    }
    if address:
        made |= {
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": host,
            "hostIPs": [{"ip": host}],
        }
    return made


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    days, rest = divmod(int(seconds), 86400)
    year, month, day = _civil(days)
    return f"{year:04d}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"


def identity(pid: int) -> str:
    """`containerID` of a process: its pid in the mesh's PID namespace."""
    return f"meltemi://{pid}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day count since 1970-01-01 (the Gregorian calendar, eras of 400 years)."""
    shifted = days + 719468
    era, day_of_era = divmod(shifted, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def _has_started(row: ContainerState) -> bool:
    return not isinstance(row.state, Waiting) or row.last is not None


def _condition(kind: str, good: bool, reason: str = "", message: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind, "status": "True" if good else "False"}
    if not good and reason:
        made["reason"] = reason
    if not good and message:
        made["message"] = message
    return made


def _with_times(
    wanted: Iterable[dict[str, Any]], previous: Iterable[Mapping[str, Any]], now: float
) -> list[dict[str, Any]]:
    before = {str(row.get("type")): row for row in previous}
    made = []
    for row in wanted:
        old = before.pop(row["type"], {})
        same = old.get("status") == row["status"]
        made.append({**row, "lastTransitionTime": (same and old.get("lastTransitionTime")) or timestamp(now)})
    return [*(dict(row) for row in before.values()), *made]


def _container(row: ContainerState) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": row.name,
        "image": row.image,
        "imageID": "",
        "ready": row.ready,
        "started": row.begun,
        "restartCount": row.restarts,
        "state": _state(row.state),
        "lastState": _state(row.last) if row.last is not None else {},
    }
    if row.pid:
        made["containerID"] = identity(row.pid)
    return made


def _state(state: State) -> dict[str, Any]:
    match state:
        case Waiting():
            waiting = {"reason": state.reason}
            return {"waiting": {**waiting, "message": state.message} if state.message else waiting}
        case Running():
            return {"running": {"startedAt": timestamp(state.started)}}
        case Terminated():
            ended: dict[str, Any] = {"exitCode": state.exit_code, "reason": state.reason}
            if state.signal:
                ended["signal"] = state.signal
            if state.message:
                ended["message"] = state.message
            if state.started:
                ended["startedAt"] = timestamp(state.started)
            if state.finished:
                ended["finishedAt"] = timestamp(state.finished)
            return {"terminated": ended}
