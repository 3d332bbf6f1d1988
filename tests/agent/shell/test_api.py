"""Who may ask the agent: the owner's processes; one that has ended cannot be told from an app's."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from meltemi.agent.shell.api import AgentApi


class Asking(http.client.HTTPConnection):
    """A request over a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("agent")
        self.sock = connected


def ask(connected: socket.socket) -> int:
    connected.settimeout(10)
    asking = Asking(connected)
    try:
        asking.request("GET", "/v1/pods")
        return asking.getresponse().status
    finally:
        asking.close()


def connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def connected_by_one_that_ended(path: str) -> socket.socket:
    mine, its = socket.socketpair()
    with mine, its:
        child = os.fork()
        if child == 0:
            try:
                made = connected(path)
                socket.send_fds(its, [b"x"], [made.fileno()])
            finally:
                os._exit(0)
        _, (fd, *_), _, _ = socket.recv_fds(mine, 1, 1)
        os.waitpid(child, 0)
    return socket.socket(fileno=fd)


@pytest_asyncio.fixture
async def serving(tmp_path: Path) -> AsyncIterator[tuple[str, set[int]]]:
    """The agent's socket, and the pids that are in pods."""
    path, in_pods = str(tmp_path / "agent.sock"), set[int]()
    network = SimpleNamespace(peer_pod=lambda pid: "pod" if pid in in_pods else None)
    site: Any = SimpleNamespace(
        node=SimpleNamespace(layout=SimpleNamespace(agent_socket=path)), network=network
    )
    kubelet: Any = SimpleNamespace(lives=())
    task = asyncio.create_task(AgentApi(site, kubelet).run())
    while not Path(path).exists():
        await asyncio.sleep(0.01)
    yield path, in_pods
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_living_processes_outside_of_pods_may_ask(serving: tuple[str, set[int]]) -> None:
    path, in_pods = serving
    assert await asyncio.to_thread(lambda: ask(connected(path))) == 200
    assert await asyncio.to_thread(lambda: ask(connected_by_one_that_ended(path))) == 403
    in_pods.add(os.getpid())
    assert await asyncio.to_thread(lambda: ask(connected(path))) == 403
