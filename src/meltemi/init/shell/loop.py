"""Init's loop: the table's actions performed, ends reaped, requests answered, logs kept short."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from dataclasses import dataclass, replace

from meltemi.init.shell import logs
from meltemi.init.shell.server import Server
from meltemi.init.shell.spawn import STOP_THE_APP, House, spawn
from meltemi.init.shell.table import Kill, Spawn, Table
from meltemi.init.wire import Exited, Process, Spec, Started

LAST_BREATH = 15.0
"""Seconds that `down` may take; what still runs then dies with PID 1."""


@dataclass(slots=True)
class _Running:
    """A child: where its words begin in its log, the pipe that tells of its exec, and why that failed."""

    name: str
    log: str
    offset: int
    news: int = -1
    started: Started | None = None
    error: str = ""


class Loop:
    """The whole of PID 1 after its start."""

    def __init__(self, house: House, listener: socket.socket, owner: int) -> None:
        self._house = house
        self._owner = owner
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, _Running] = {}
        self._past: dict[str, Process] = {}
        self._end = 0.0
        self.table = Table()
        self.server = Server(listener, self._selector, self)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain)
        if owner >= 0:
            os.set_inheritable(owner, False)
            self._selector.register(owner, selectors.EVENT_READ, self._owner_gone)

    def run(self) -> None:
        """Until everything has ended after `down`."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.down())
        shorten = time.monotonic()
        while not (self.table.closing and not self._running):
            now = time.monotonic()
            if self.table.closing and now > self._end:
                break
            if now >= shorten:
                shorten = now + 5.0
                logs.shorten(row.spec.stdio for row in self.table.rows.values())
            self._act(now)
            wake = self.table.wake(now)
            timeout = min(shorten - now, 5.0 if wake is None else wake, 0.5 if self.table.closing else 5.0)
            for key, _ in self._selector.select(max(0.0, timeout)):
                key.data()
            self._reap()
        self.server.close()

    def down(self) -> None:
        """End everything in reverse order."""
        if not self.table.closing:
            self._end = time.monotonic() + LAST_BREATH
            self.table.down()

    def detach(self) -> None:
        """Outlive the owner."""
        if self._owner >= 0:
            self._selector.unregister(self._owner)
            os.close(self._owner)
            self._owner = -1

    def hold(self, name: str, seconds: float) -> None:
        """Kill a process and keep it down."""
        kill = self.table.hold(name, time.monotonic() + seconds)
        if kill is not None:
            self._kill(kill)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a program, if it runs."""
        row = self.table.rows[name]
        if row.pid:
            if row.spec.user == "app" and number == signal.SIGSTOP:
                number = STOP_THE_APP
            self._kill(Kill(name, row.pid, number))

    def processes(self, lines: int) -> tuple[Process, ...]:
        """The table for `Status`."""
        now = time.monotonic()
        found = []
        for name, row in sorted(self.table.rows.items()):
            past = self._past.get(name, Process(name, row.group, "waiting"))
            state = self.table.state(row, now)
            last = logs.tail(row.spec.stdio.log, 0, lines) if lines else ""
            found.append(
                replace(
                    past,
                    group=row.group,
                    state=state,
                    pid=row.pid,
                    restarts=max(0, row.starts - 1),
                    last=last,
                )
            )
        return tuple(found)

    def _act(self, now: float) -> None:
        for _ in range(1 + len(self.table.rows)):
            actions = self.table.act(now)
            for action in actions:
                if isinstance(action, Kill):
                    self._kill(action)
                else:
                    self._spawn(action, now)
            if not any(isinstance(action, Spawn) for action in actions):
                return

    @staticmethod
    def _kill(kill: Kill) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(kill.pid, kill.signal)
            if kill.signal in (signal.SIGTERM, signal.SIGKILL):
                os.kill(kill.pid, signal.SIGCONT)

    def _spawn(self, action: Spawn, now: float) -> None:
        spec = action.spec
        opened: list[int] = []
        try:
            stdio, offset = self._stdio(spec, opened)
            child = spawn(spec, self._house, stdio)
        except OSError as error:
            self.table.started(spec.name, -1, now)
            self._ended(_Running(spec.name, "", 0, error=str(error)), 127, 0)
            return
        finally:
            for fd in opened:
                os.close(fd)
        self.table.started(spec.name, child.pid, now)
        row = self.table.rows[spec.name]
        started = Started(spec.name, row.group, child.pid, row.starts - 1)
        running = _Running(spec.name, spec.stdio.log, offset, child.news, started)
        self._running[child.pid] = running
        past = self._past.get(spec.name, Process(spec.name, row.group, "running"))
        self._past[spec.name] = replace(past, started=time.time())
        self._selector.register(child.news, selectors.EVENT_READ, lambda: self._news(running))

    def _stdio(self, spec: Spec, opened: list[int]) -> tuple[tuple[int, int, int], int]:
        attached = self.server.take(spec.stdio.attach) if spec.stdio.attach else None
        if attached is not None:
            opened.extend(attached)
            return (attached[0], attached[1], attached[2]), 0
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        opened.append(null)
        if spec.stdio.attach and not spec.stdio.log:
            raise FileNotFoundError(f"{spec.stdio.attach}: no descriptors were attached under this id")
        if not spec.stdio.log:
            return (null, null, null), 0
        log = logs.open_log(spec.stdio.log)
        opened.append(log)
        if spec.user == "app" and not self._house.rootless:
            os.fchown(log, *self._house.user)
        return (null, log, log), os.fstat(log).st_size

    def _news(self, running: _Running) -> None:
        """Exec succeeded (the pipe ended empty), or this is why not."""
        if running.news < 0:
            return
        text = os.read(running.news, 4096)
        self._selector.unregister(running.news)
        os.close(running.news)
        running.news = -1
        running.error = text.decode(errors="replace")
        if not text and running.started is not None:
            self.server.publish(running.started)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            running = self._running.pop(pid, None)
            if running is not None:
                code = os.waitstatus_to_exitcode(status)
                self._news(running)
                self._ended(running, max(code, -1), max(0, -code))

    def _ended(self, running: _Running, code: int, number: int) -> None:
        now = time.monotonic()
        row = self.table.rows[running.name]
        group = row.group
        again, wanted = self.table.ended(running.name, now, success=code == 0)
        if row.spec.user == "app" and code > 128 and code - 128 in signal.valid_signals():
            code, number = -1, code - 128
        last = logs.tail(running.log, running.offset)
        past = self._past.get(running.name, Process(running.name, group, "ended"))
        if running.name in self.table.rows:
            self._past[running.name] = replace(
                past, ended=time.time(), code=code, signal=number, error=running.error
            )
        else:
            self._past.pop(running.name, None)
        self.server.publish(Exited(running.name, group, code, number, running.error, last, again, wanted))

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass

    def _owner_gone(self) -> None:
        if not os.read(self._owner, 4096):
            self.detach()
            self.down()
