"""Who shall run, who runs, and what is to be done next: pure decisions, time is a value.

The caller performs what `act` returns and tells what happened by `started` and `ended`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from meltemi.init.wire import Process, Spec


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start this spec now, then say `started` or `ended`."""

    spec: Spec


@dataclass(frozen=True, slots=True)
class Kill:
    """Send a signal to a running process."""

    name: str
    pid: int
    signal: int


Action: TypeAlias = Spawn | Kill


@dataclass(slots=True)
class Row:
    """One process: what is wanted of it, and what is so."""

    spec: Spec
    group: str
    wanted: bool = True
    removed: bool = False
    replacement: Spec | None = None
    pid: int = 0
    not_before: float = 0.0
    held: bool = False
    told: bool = False
    kill_at: float = 0.0
    delay: float = 0.0
    began: float = 0.0
    starts: int = 0
    last: Process = field(default_factory=lambda: Process("", "", "waiting"))


class Table:
    """The processes of all groups, by name."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.closing = False

    def set(self, group: str, specs: Iterable[Spec]) -> str:
        """Take a group's desired state; return what is wrong with it, or nothing."""
        wanted = {spec.name: spec for spec in specs}
        if self.closing:
            return "the mesh is going down"
        for name in wanted:
            row = self.rows.get(name)
            if row is not None and row.group != group:
                return f"{name}: belongs to group {row.group}"
        for name, row in self.rows.items():
            if row.group == group and name not in wanted:
                row.wanted, row.removed, row.replacement = False, True, None
        for spec in wanted.values():
            self._want(group, spec)
        return ""

    def _want(self, group: str, spec: Spec) -> None:
        row = self.rows.get(spec.name)
        if row is None:
            self.rows[spec.name] = Row(spec, group)
        elif row.removed or row.spec != spec or row.replacement not in (None, spec):
            row.removed = False
            if row.pid and (row.told or row.spec != spec):
                row.replacement, row.wanted = spec, False
            else:
                fresh = Row(spec, group, pid=row.pid, began=row.began, starts=row.starts)
                self.rows[spec.name] = fresh

    def stop(self, name: str, *, again: bool) -> None:
        """End one process; `again`: and start it anew."""
        row = self.rows[name]
        row.wanted, row.replacement = False, (row.spec if again else None)
        if again and not row.pid:
            self.start(name)

    def start(self, name: str) -> None:
        """Start one process that is down, at once."""
        row = self.rows[name]
        if row.pid and not row.wanted:
            row.replacement = row.replacement or row.spec
        row.wanted, row.not_before, row.delay, row.held = row.wanted or not row.pid, 0.0, 0.0, False

    def hold(self, name: str, until: float) -> Kill | None:
        """Keep one process down until then."""
        row = self.rows[name]
        row.not_before, row.held = until, True
        return Kill(name, row.pid, signal.SIGKILL) if row.pid else None

    def down(self) -> None:
        """Everything shall end."""
        self.closing = True
        for row in self.rows.values():
            row.wanted, row.replacement, row.removed = False, None, True

    def started(self, name: str, pid: int, now: float) -> None:
        """A spawn succeeded in making a process."""
        row = self.rows[name]
        row.pid, row.began, row.told, row.held = pid, now, False, False
        row.starts += 1

    def ended(self, name: str, now: float, *, success: bool) -> tuple[float, bool]:
        """A process ended: seconds until it is started again (-1.0: never), and whether that was wanted."""
        row = self.rows[name]
        asked = row.told
        row.pid, row.told = 0, False
        if row.removed:
            del self.rows[name]
            return -1.0, asked
        if row.replacement is not None:
            restarts = row.starts if row.replacement == row.spec else 0
            self.rows[name] = Row(row.replacement, row.group, starts=restarts, last=row.last)
            return 0.0, asked
        policy = row.spec.restart
        if not row.held and (policy.policy == "never" or (policy.policy == "on-failure" and success)):
            row.wanted = False
        if not row.wanted:
            return -1.0, asked
        if row.held:
            return max(0.0, row.not_before - now), True
        settled = row.began and now - row.began >= policy.settled
        row.delay = policy.first if settled or not row.delay else min(policy.most, row.delay * 2)
        row.not_before = now + row.delay
        return row.delay, asked

    def act(self, now: float) -> list[Action]:
        """What is to be done at this instant."""
        actions: list[Action] = []
        for name, row in list(self.rows.items()):
            if row.pid and not row.wanted:
                actions.extend(self._end(name, row, now))
            elif not row.pid and row.removed:
                del self.rows[name]
            elif not row.pid and row.wanted and row.not_before <= now and self._may_start(row):
                actions.append(Spawn(row.spec))
        return actions

    def _may_start(self, row: Row) -> bool:
        first = (self.rows.get(name) for name in row.spec.after)
        return all(other is None or other.pid or not other.wanted for other in first)

    def _end(self, name: str, row: Row, now: float) -> Iterable[Action]:
        if not row.told:
            if any(
                other.pid and not other.wanted and name in other.spec.after for other in self.rows.values()
            ):
                return
            row.told, row.kill_at = True, now + row.spec.grace
            yield Kill(name, row.pid, signal.SIGTERM)
        elif row.kill_at <= now:
            row.kill_at = now + 1.0
            yield Kill(name, row.pid, signal.SIGKILL)

    def wake(self, now: float) -> float | None:
        """Seconds until `act` may have something to do by itself."""
        due = [row.kill_at for row in self.rows.values() if row.pid and row.told]
        due += [
            row.not_before
            for row in self.rows.values()
            if not row.pid and row.wanted and row.not_before > now
        ]
        return max(0.0, min(due) - now) if due else None

    @staticmethod
    def state(row: Row, now: float) -> Literal["running", "waiting", "held", "stopping", "ended"]:
        """The word that `Process.state` has for a row."""
        if row.pid:
            return "running" if row.wanted else "stopping"
        if not row.wanted:
            return "ended"
        return "held" if row.held and row.not_before > now else "waiting"
