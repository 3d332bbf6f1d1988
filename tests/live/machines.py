"""Another machine: a network namespace with a link to this one's, and nothing of the mesh in it. Needs root."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from meltemi.agent.core import netlink
from meltemi.agent.shell.net_kernel import NETLINK_ROUTE, Netlink, in_netns

_NUMBERS = count()


@dataclass
class Machine:
    """`address` is its own, `host` the one at which this machine is from there."""

    pid: int
    address: str
    host: str
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, argv: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[str]:
        """Start a program there, in a process group of its own."""
        with log.open("a") as out:
            made = subprocess.Popen(
                ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                text=True,
                start_new_session=True,
            )
        self.children.append(made)
        return made

    def run(self, argv: list[str], env: dict[str, str]) -> str:
        """Run a program there to its end."""
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def machine() -> Iterator[Machine]:
    """Make one; afterwards nothing of it is left."""
    number = (os.getpid() * 4 + next(_NUMBERS) % 4) % 16_000
    host, address = (f"10.{192 + number // 256}.{number % 256}.{last}" for last in (1, 2))
    link = f"vm{number}"
    holder = subprocess.Popen(["unshare", "--net", sys.executable, "-c", "import signal; signal.pause()"])
    made = Machine(holder.pid, address, host)
    try:
        _wait_for_namespace(holder.pid)
        path = f"/proc/{holder.pid}/ns/net"
        fd = os.open(path, os.O_RDONLY)
        try:
            with Netlink(NETLINK_ROUTE) as route:
                route.ask(netlink.veth(link, _mac(1, number), "eth0", _mac(2, number), fd))
        finally:
            os.close(fd)
        _furnish(link, host, address)
        in_netns(path, lambda: _furnish("eth0", address, host))
        in_netns(path, lambda: _lead("eth0", address, host))
        in_netns(path, lambda: _up("lo"))
        yield made
    finally:
        for child in made.children:
            if child.poll() is None:
                child.terminate()
        for child in made.children:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(5)
        holder.kill()
        holder.wait(5)
        with Netlink(NETLINK_ROUTE) as route, suppress(OSError):
            route.ask(netlink.link_delete(link), errno.ENODEV)


def _wait_for_namespace(pid: int) -> None:
    own = Path("/proc/self/ns/net").readlink()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/ns/net").readlink() == own:
        assert time.monotonic() < deadline, "no network namespace is made"
        time.sleep(0.01)


def _mac(end: int, number: int) -> bytes:
    return bytes([2, 2, 0, end, number // 256, number % 256])


def _up(link: str) -> int:
    index = socket.if_nametoindex(link)
    with Netlink(NETLINK_ROUTE) as route:
        route.ask(netlink.link_up(index))
    return index


def _furnish(link: str, own: str, other: str) -> None:
    index = _up(link)
    with Netlink(NETLINK_ROUTE) as route:
        route.ask(netlink.address_add(index, own))
        route.ask(netlink.route(f"{other}/32", index, source=own))


def _lead(link: str, own: str, gateway: str) -> None:
    """Lead everything else to the other end, as any machine has a way out."""
    index = socket.if_nametoindex(link)
    with Netlink(NETLINK_ROUTE) as route:
        route.ask(netlink.route("0.0.0.0/0", index, gateway=gateway, source=own))
