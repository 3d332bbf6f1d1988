"""A connection to `init` that can be selected on: descriptors handed over, events heard while a terminal is served."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from meltemi.ctl.invocation import CtlError, NoMeshError
from meltemi.init.core import Layout
from meltemi.init.wire import Event, Exited, Failed, Lines, Message, Request, Started, decode, encode

_ANSWER = 10.0


class InitLink:
    """One connection. `ask` waits for its reply and keeps the events that come meanwhile; `events` gives them."""

    def __init__(self, layout: Layout, mesh: str = "default") -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lines = Lines()
        self._events: list[Event] = []
        self._number = 0
        self.ended = False
        try:
            self._socket.connect(layout.init_socket)
        except OSError as error:
            self._socket.close()
            raise NoMeshError(mesh) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, request: Request, descriptors: Sequence[int] = ()) -> Message:
        """Send a request, with descriptors on its first byte, and give the reply; CtlError where it is refused."""
        self._number += 1
        line = encode(request, self._number)
        try:
            sent = socket.send_fds(self._socket, [line], list(descriptors)) if descriptors else 0
            self._socket.sendall(line[sent:])
        except OSError as error:
            raise CtlError("the mesh went down.") from error
        deadline = time.monotonic() + _ANSWER
        while time.monotonic() < deadline and not self.ended:
            for number, message in self._receive(deadline - time.monotonic()):
                if number == self._number and not isinstance(message, Started | Exited):
                    if isinstance(message, Failed):
                        raise CtlError(message.message)
                    return message
        raise CtlError("the mesh went down." if self.ended else "init does not answer.")

    def events(self, seconds: float) -> list[Event]:
        """Give the events that came, waiting at most so long for the first; none and `ended` when init is gone."""
        if not self._events and not self.ended:
            self._receive(seconds)
        found, self._events = self._events, []
        return found

    def _receive(self, seconds: float) -> list[tuple[int, Message]]:
        if not select.select([self._socket], [], [], max(seconds, 0.0))[0]:
            return []
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return []
        found = [decode(line) for line in self._lines.feed(data)]
        self._events.extend(message for _, message in found if isinstance(message, Started | Exited))
        return found
