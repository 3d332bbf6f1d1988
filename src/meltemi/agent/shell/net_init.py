"""Clients of init: starting it from the host side, a blocking one for commands, an asyncio one for the agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from meltemi.init import wire
from meltemi.init.core import Layout
from meltemi.init.wire import Event, Exited, Failed, Lines, Process, Reply, Request, Spec, Started

MAX_RUN = 60
"""Bytes that `Layout.run` may have, so that every socket below it has a path that Envoy takes."""

START_SECONDS = 15.0


class InitError(Exception):
    """Init refused, is not there, or could not start; `hint` is the exact line that would allow it, or empty."""

    def __init__(self, message: str, hint: str = "", code: int = 3) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True)
class Launched:
    """A started init: `pid` of PID 1 as the host sees it, and `owner`, the pipe whose close means down.

    `owner` also ends (reads empty, by poll: POLLERR) when init is gone.
    """

    pid: int
    owner: int


def launch(
    layout: Layout, *, python: str, user: tuple[int, int] | None = None, env: Mapping[str, str] | None = None
) -> Launched:
    """Start init for a mesh and wait until its socket answers; makes the two folders (0700) where they are missing.

    user: (uid, gid) that apps run as where the caller is root; ignored else. env: init's own environment, the
    caller's by default. Raises InitError.
    """
    _folders(layout)
    news, tell = os.pipe()
    held, owner = os.pipe()
    command = [python, "-m", "meltemi.init", "--run", layout.run, "--state", layout.state]
    command += ["--news", str(tell), "--owner", str(held)]
    if user is not None:
        command += ["--user", f"{user[0]}:{user[1]}"]
    process = subprocess.Popen(command, pass_fds=(tell, held), stdin=subprocess.DEVNULL, env=env)
    os.close(tell)
    os.close(held)
    try:
        told = _first_line(news)
    finally:
        os.close(news)
        if process.poll() is None and not told:
            process.kill()
        process.wait()
    document: dict[str, Any] = json.loads(told) if told else {"error": "init ended before it was ready"}
    if "error" in document:
        os.close(owner)
        raise InitError(document["error"], document.get("hint", ""), document.get("code", 3))
    return Launched(document["pid"], owner)


def _first_line(fd: int) -> bytes:
    text = b""
    while not text.endswith(b"\n") and select.select([fd], [], [], START_SECONDS)[0]:
        more = os.read(fd, 4096)
        if not more:
            break
        text += more
    return text


def _folders(layout: Layout) -> None:
    if len(layout.run.encode()) > MAX_RUN:
        raise InitError(f"{layout.run}: more than {MAX_RUN} bytes, too long for sockets", code=2)
    for folder in (layout.run, layout.state):
        try:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            found = os.lstat(folder)
        except OSError as error:
            raise InitError(str(error)) from None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise InitError(f"{folder}: is not a folder of this user's own")
        Path(folder).chmod(0o700)


class Client:
    """The blocking client: `with Client(layout) as init: init.ask(Status())`.

    Without `with`, each `ask` has a connection of its own.
    """

    def __init__(self, layout: Layout, timeout: float = 10.0) -> None:
        self._layout = layout
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._lines = Lines()
        self._read: list[bytes] = []
        self._number = 0
        self._events: list[Event] = []

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(self._timeout)
        try:
            self._socket.connect(self._layout.init_socket)
        except OSError as error:
            self._socket.close()
            self._socket = None
            raise InitError(f"the mesh is not up: {error}", "meltemi up") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, request: Request, fds: Iterable[int] = ()) -> Reply:
        """Send one request and wait for its reply. Raises InitError on `Failed` and when init is gone."""
        if self._socket is None:
            with Client(self._layout, self._timeout) as once:
                return once.ask(request, fds)
        connection = self._connected()
        self._number += 1
        try:
            _send(connection, wire.encode(request, self._number), tuple(fds))
            while True:
                number, message = self._receive()
                if isinstance(message, Started | Exited):
                    self._events.append(message)
                elif number in (self._number, 0):
                    return _reply(message)
        except OSError as error:
            raise InitError(f"init does not answer: {error}") from None

    def event(self) -> Event:
        """The next event after `ask(Subscribe())`. Raises InitError when none comes in time or init is gone."""
        while not self._events:
            try:
                _, message = self._receive()
            except OSError as error:
                raise InitError(f"init does not answer: {error}") from None
            if isinstance(message, Started | Exited):
                self._events.append(message)
        return self._events.pop(0)

    def wait_closed(self) -> None:
        """After `ask(Down())`: until init is gone. Raises InitError when it takes longer than the timeout."""
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    if not self._connected().recv(1 << 16):
                        return
                except TimeoutError:
                    raise InitError("init does not go down") from None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("Client is used outside of its with block")
        return self._socket

    def _receive(self) -> tuple[int, wire.Message]:
        while not self._read:
            data = self._connected().recv(1 << 16)
            if not data:
                raise ConnectionError("connection closed")
            self._read = self._lines.feed(data)
        return wire.decode(self._read.pop(0))


def _send(connection: socket.socket, line: bytes, fds: tuple[int, ...]) -> None:
    if fds:
        sent = socket.send_fds(connection, [line], fds)
        line = line[sent:]
    connection.sendall(line)


def _reply(message: wire.Message) -> Reply:
    if isinstance(message, Failed):
        raise InitError(message.message)
    if isinstance(message, wire.Done | wire.Table):
        return message
    raise InitError("init said something else than a reply")


class AsyncClient:
    """The asyncio client; one connection, replies matched by number, events to every `events()`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._socket: socket.socket | None = None
        self._number = 0
        self._waiting: dict[int, asyncio.Future[wire.Message]] = {}
        self._listeners: list[asyncio.Queue[Event | None]] = []
        self._lock = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Open the connection. Raises InitError."""
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(connection, self._layout.init_socket)
        except OSError as error:
            connection.close()
            raise InitError(f"init does not answer: {error}") from None
        self._socket = connection
        self._reader = loop.create_task(self._read(connection))

    async def close(self) -> None:
        """Close it; open `events()` end."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    async def ask(self, request: Request, fds: Iterable[int] = ()) -> Reply:
        """Send a request and wait for its reply. Raises InitError on `Failed` and when the connection ends."""
        loop = asyncio.get_running_loop()
        self._number += 1
        number = self._number
        answer: asyncio.Future[wire.Message] = loop.create_future()
        self._waiting[number] = answer
        try:
            async with self._lock:
                if self._socket is None:
                    raise InitError("init does not answer: not connected")
                line = wire.encode(request, number)
                given = tuple(fds)
                if given:
                    line = line[socket.send_fds(self._socket, [line], given) :]
                await loop.sock_sendall(self._socket, line)
            return _reply(await answer)
        except OSError as error:
            raise InitError(f"init does not answer: {error}") from None
        finally:
            self._waiting.pop(number, None)

    async def set(self, group: str, specs: Iterable[Spec]) -> None:
        """`Set`, the whole desired state of a group."""
        await self.ask(wire.Set(group, tuple(specs)))

    async def table(self, last_lines: int = 0) -> tuple[Process, ...]:
        """`Status`."""
        reply = await self.ask(wire.Status(last_lines))
        return reply.processes if isinstance(reply, wire.Table) else ()

    async def events(self) -> AsyncIterator[Event]:
        """Subscribe, and yield what starts and ends from now on, until the connection ends."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            await self.ask(wire.Subscribe())
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.remove(queue)

    async def _read(self, connection: socket.socket) -> None:
        lines = Lines()
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(connection, 1 << 16):
                for line in lines.feed(data):
                    self._heard(*wire.decode(line))
        except (OSError, wire.WireError):
            pass
        finally:
            self._socket = None
            connection.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(InitError("init does not answer: connection closed"))
            for queue in self._listeners:
                queue.put_nowait(None)

    def _heard(self, number: int, message: wire.Message) -> None:
        if isinstance(message, Started | Exited):
            for queue in self._listeners:
                queue.put_nowait(message)
            return
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_result(message)
