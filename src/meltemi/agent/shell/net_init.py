"""Clients of init: starting it from the host side, a blocking one for commands, an asyncio one for the agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from meltemi.init.core import Layout
from meltemi.init.wire import Event, Process, Request, Reply, Spec


class InitError(Exception):
    """Init refused, is not there, or could not start; `hint` is the exact line that would allow it, or empty."""

    def __init__(self, message: str, hint: str = "", code: int = 3) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True)
class Launched:
    """A started init: `pid` of its outer process on the host, and the pipe whose end (close) means down."""

    pid: int
    owner: int


def launch(layout: Layout, *, python: str, user: tuple[int, int] | None = None) -> Launched:
    """Start init for a mesh and wait until its socket answers.

    user: (uid, gid) that apps run as where the caller is root; ignored else. Raises InitError.
    """
    raise NotImplementedError


class Client:
    """The blocking client: `with Client(layout) as init: init.ask(Status())`."""

    def __init__(self, layout: Layout, timeout: float = 10.0) -> None:
        self._layout = layout
        self._timeout = timeout

    def ask(self, request: Request, fds: Iterable[int] = ()) -> Reply:
        """Send one request and wait for its reply. Raises InitError on `Failed` and when init is gone."""
        raise NotImplementedError


class AsyncClient:
    """The asyncio client; one connection, replies matched by number, events to every `events()`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def connect(self) -> None:
        """Open the connection. Raises InitError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close it; open `events()` end."""
        raise NotImplementedError

    async def ask(self, request: Request, fds: Iterable[int] = ()) -> Reply:
        """Send a request and wait for its reply. Raises InitError on `Failed` and when the connection ends."""
        raise NotImplementedError

    async def set(self, group: str, specs: Iterable[Spec]) -> None:
        """`Set`, the whole desired state of a group."""
        raise NotImplementedError

    async def table(self, last_lines: int = 0) -> tuple[Process, ...]:
        """`Status`."""
        raise NotImplementedError

    def events(self) -> AsyncIterator[Event]:
        """Subscribe, and yield what starts and ends from now on, until the connection ends."""
        raise NotImplementedError
