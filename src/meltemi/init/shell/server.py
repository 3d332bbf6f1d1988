"""The control socket: who may speak, what they say, and who hears of starts and ends."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING

from meltemi.init import wire
from meltemi.init.wire import Done, Event, Failed, Lines, Message, Reply, Request

if TYPE_CHECKING:
    from meltemi.init.shell.loop import Loop

MAX_UNREAD = 16 * 1024 * 1024
"""A client that lets more than this wait is cut off: init never waits for anybody."""

KEEP_ATTACHED = 30.0


class Server:
    """All connections of the control socket."""

    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector, loop: Loop) -> None:
        self._listener = listener
        self._selector = selector
        self._loop = loop
        self._attached: dict[str, tuple[float, list[int]]] = {}
        self._clients: set[_Client] = set()
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        line = wire.encode(event)
        for client in list(self._clients):
            if client.subscribed:
                client.send(line)

    def take(self, attach: str) -> list[int] | None:
        """The descriptors handed over under this id; they are the caller's now."""
        found = self._attached.pop(attach, None)
        return found[1] if found else None

    def close(self) -> None:
        """End every connection."""
        for client in list(self._clients):
            client.close()
        self._listener.close()

    def forget(self, client: _Client) -> None:
        """A connection ended."""
        self._clients.discard(client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if _may_speak(connection):
                self._clients.add(_Client(connection, self._selector, self))
            else:
                connection.close()

    def answer(self, client: _Client, request: Message, fds: list[int]) -> Reply:
        """Do what is asked. Raises nothing: what cannot be done is a `Failed`."""
        try:
            return self._answer(client, request, fds)
        except KeyError as error:
            return Failed(f"no process {error}")
        except OSError as error:
            return Failed(str(error))

    def _answer(self, client: _Client, request: Message, fds: list[int]) -> Reply:
        table = self._loop.table
        match request:
            case wire.Set(group, specs):
                problem = table.set(group, specs)
                return Failed(problem) if problem else Done()
            case wire.Signal(name, number):
                if number not in signal.valid_signals():
                    return Failed(f"{number}: no such signal")
                self._loop.signal(name, number)
            case wire.Stop(name, again):
                table.stop(name, again=again)
            case wire.Start(name):
                table.start(name)
            case wire.Hold(name, seconds):
                self._loop.hold(name, seconds)
            case wire.Attach(name):
                return self._attach(name, fds)
            case wire.Status(lines):
                return wire.Table(self._loop.processes(lines))
            case wire.Subscribe():
                client.subscribed = True
                return wire.Table(self._loop.processes(0))
            case wire.Detach():
                self._loop.detach()
            case wire.Down():
                self._loop.down()
            case _:
                return Failed("not a request")
        return Done()

    def _attach(self, name: str, fds: list[int]) -> Reply:
        now = time.monotonic()
        for other, (since, held) in list(self._attached.items()):
            if other == name or now - since > KEEP_ATTACHED:
                del self._attached[other]
                for fd in held:
                    os.close(fd)
        if len(fds) != 3:
            return Failed(f"3 descriptors are wanted, {len(fds)} came")
        self._attached[name] = (now, list(fds))
        fds.clear()
        return Done()


def _may_speak(connection: socket.socket) -> bool:
    """The owner, from the host (whose pids are 0 here) or the mesh's own PID namespace; never an app's."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid != os.getuid():
        return False
    if pid == 0:
        return True
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    except OSError:
        return False


class _Client:
    """One connection; nothing here blocks."""

    def __init__(self, connection: socket.socket, selector: selectors.BaseSelector, server: Server) -> None:
        self._connection = connection
        self._selector = selector
        self._server = server
        self._lines = Lines()
        self._fds: list[int] = []
        self._out: deque[bytes] = deque()
        self._waiting = 0
        self._closed = False
        self.subscribed = False
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, self._ready)

    def _ready(self) -> None:
        try:
            self._flush()
            if not self._closed:
                self._receive()
        except (OSError, wire.WireError):
            self.close()

    def _receive(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._connection, 1 << 16, 16)
        except BlockingIOError:
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        self._fds.extend(fds)
        if not data:
            self.close()
            return
        for line in self._lines.feed(data):
            number, request = _number(line)
            taken, rest = (self._fds, []) if isinstance(request, wire.Attach) else ([], self._fds)
            self._fds = rest
            reply = (
                Failed(str(request))
                if isinstance(request, wire.WireError)
                else self._server.answer(self, request, taken)
            )
            for fd in taken:
                os.close(fd)
            self.send(wire.encode(reply, number))

    def send(self, line: bytes) -> None:
        """Queue a line and write what goes at once."""
        self._out.append(line)
        self._waiting += len(line)
        try:
            self._flush()
        except OSError:
            self.close()

    def _flush(self) -> None:
        try:
            while self._out:
                sent = self._connection.send(self._out[0])
                self._waiting -= sent
                if sent == len(self._out[0]):
                    self._out.popleft()
                else:
                    self._out[0] = self._out[0][sent:]
        except BlockingIOError:
            pass
        if self._waiting > MAX_UNREAD:
            self.close()
        elif not self._closed:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
            self._selector.modify(self._connection, wanted, self._ready)

    def close(self) -> None:
        """End it, with whatever descriptors came and were not taken."""
        if not self._closed:
            self._closed = True
            self._server.forget(self)
            self._selector.unregister(self._connection)
            self._connection.close()
            for fd in self._fds:
                os.close(fd)


def _number(line: bytes) -> tuple[int, Request | wire.WireError]:
    try:
        return wire.decode(line)  # type: ignore[return-value]
    except wire.WireError as error:
        return 0, error
