"""What a mesh leaves behind, and must not: processes, namespaces, mounts, links, ports."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Footprint:
    """Everything of one mesh that the host can see; `watch` while it lives, `left` when it should be gone."""

    init: int
    run: str
    processes: dict[int, str] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)
    pinned: dict[str, int] = field(default_factory=dict)
    holders: set[int] = field(default_factory=set)
    """Who had one of these namespaces when it was watched."""
    watched: float = 0.0
    mounts: str = ""
    links: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.mounts, self.links = _mounts(), _links()

    def watch(self) -> None:
        """Remember all descendants of init, with their start times, and their namespaces where those may be read."""
        self.watched = time.clock_gettime(time.CLOCK_BOOTTIME)
        for pid in descendants(self.init):
            with contextlib.suppress(OSError):
                self.processes[pid] = _started(pid)
        own = set(_namespaces("self"))
        for pid, start in self.processes.items():
            if _alive(pid, start):
                self.namespaces |= set(_namespaces(str(pid))) - own
                self._pin(pid, own)
        self.holders = {pid for pid in _pids() if not self.namespaces.isdisjoint(_namespaces(str(pid)))}

    def _pin(self, pid: int, own: set[str]) -> None:
        """Hold a process's pid namespace open: as long as it is, no other can bear its number."""
        with contextlib.suppress(OSError):
            held = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            name = str(Path(f"/proc/self/fd/{held}").readlink())
            if name in own or name in self.pinned:
                os.close(held)
            else:
                self.pinned[name] = held

    def close(self) -> None:
        """Let the namespaces go."""
        while self.pinned:
            os.close(self.pinned.popitem()[1])

    def left(self, ports: Iterable[int] = ()) -> list[str]:
        """What is still there, in words; nothing if all is gone."""
        found = [
            f"process {pid} {_command(pid)}" for pid, start in self.processes.items() if _alive(pid, start)
        ]
        found += [f"process {pid} {_command(pid)}" for pid in _pids() if self.run in _command(pid)]
        held = {name: pid for pid in _pids() if not _zombie(pid) for name in self._namespaces_of(pid)}
        found += [f"namespace {name} of {held[name]}" for name in sorted(self.namespaces) if name in held]
        if _mounts() != self.mounts and self.run in _mounts():
            found.append("mounts on the host")
        found += [f"link {name}" for name in _links() if name not in self.links and name.startswith("v-")]
        found += [f"port {port}" for port in ports if _listens(port)]
        return found

    def _namespaces_of(self, pid: int) -> list[str]:
        """Name a process's namespaces that can be this mesh's.

        The kernel gives a namespace's number anew once it is gone: what a later process bears under a number that
        is not pinned may be another mesh's, and so may what an older one has made for itself since.
        """
        names = _namespaces(str(pid))
        if pid not in self.holders:
            return [name for name in names if name in self.pinned]
        with contextlib.suppress(OSError):
            if int(_started(pid)) / os.sysconf("SC_CLK_TCK") > self.watched:
                return [name for name in names if name in self.pinned]
        return names

    def assert_gone(self, within: float, ports: Iterable[int] = ()) -> float:
        """Wait until nothing is left; return how long that took. Fails with what is left."""
        begun = time.monotonic()
        ports = tuple(ports)
        try:
            while left := self.left(ports):
                if time.monotonic() - begun > within:
                    raise AssertionError(f"left after {within} s: {left}")
                time.sleep(0.01)
        finally:
            self.close()
        return time.monotonic() - begun


def descendants(root: int) -> list[int]:
    """A process and all below it, by the parents that /proc tells."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _alive(pid: int, started: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return state[19] == started and state[0] != "Z"


def _zombie(pid: int) -> bool:
    """Ended, and only its parent (the host's first process, for init) has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _command(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return "" if pid == os.getpid() else text


def _namespaces(pid: str) -> list[str]:
    found = []
    for kind in ("net", "pid", "mnt", "user"):
        with contextlib.suppress(OSError):
            found.append(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def _mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def _links() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in Path("/sys/class/net").iterdir()))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
