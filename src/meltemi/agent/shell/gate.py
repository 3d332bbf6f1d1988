"""A pod's own socket: only processes of that pod's network namespace pass, and reach its relay behind.

Everything local runs as one host user, so a file's mode protects nothing: the kernel says which process connected
(SO_PEERCRED), and its network namespace says which pod it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

PeerPod = Callable[[int], str | None]
_CREDENTIALS = struct.Struct("3i")
_CHUNK = 256 * 1024
MOST_CONNECTIONS = 64
"""An Envoy needs three or four; more is a flood."""


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """The pid and uid of the process that connected."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return pid, uid


def listen(path: str) -> socket.socket:
    """Make a listening Unix socket at `path` (0600), in place of what an earlier life left there."""
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.bind(path)
        Path(path).chmod(0o600)
        made.listen(64)
    except OSError:
        made.close()
        raise
    return made


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


class Gate:
    """Lets one pod's processes through from its socket to an abstract one. `run()` works until cancelled."""

    def __init__(self, pod: str, path: str, inner: str, peer_pod: PeerPod) -> None:
        self._pod = pod
        self._path = path
        self._inner = inner
        self._peer_pod = peer_pod
        self._open = 0

    async def run(self) -> None:
        """Accept for ever. The socket is there once this has begun."""
        loop = asyncio.get_running_loop()
        with listen(self._path) as outer:
            try:
                async with asyncio.TaskGroup() as group:
                    while True:
                        connection, _ = await loop.sock_accept(outer)
                        if self._may_pass(connection):
                            group.create_task(self._carry(connection))
                        else:
                            connection.close()
            finally:
                _remove(self._path)

    def _may_pass(self, connection: socket.socket) -> bool:
        pid, _ = peer_of(connection)
        found = self._peer_pod(pid)
        if found != self._pod:
            where = f"pod {found}" if found is not None else "no pod"
            log.warning("refused process %d of %s at the socket of pod %s", pid, where, self._pod)
            return False
        if self._open >= MOST_CONNECTIONS:
            log.warning("refused process %d: pod %s has %d connections open", pid, self._pod, self._open)
            return False
        return True

    async def _carry(self, outer: socket.socket) -> None:
        self._open += 1
        try:
            await carry(outer, self._inner)
        except OSError as error:
            log.debug("pod %s: a connection broke: %s", self._pod, error)
        finally:
            self._open -= 1


async def carry(outer: socket.socket, inner_address: str) -> None:
    """Carry a connection of gRPC's to an abstract socket, until one of them ends, and close it. Raises OSError."""
    loop = asyncio.get_running_loop()
    inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await loop.sock_connect(inner, f"\0{inner_address}")
        async with asyncio.TaskGroup() as group:
            ways = [group.create_task(_copy(outer, inner)), group.create_task(_copy(inner, outer))]
            # gRPC knows no half-open streams: when one way ends, both do.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
    finally:
        inner.close()
        outer.close()


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(target, data)
