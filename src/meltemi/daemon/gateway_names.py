"""Finds the addresses of the DNS names that gateways of networks are given by, and tells the engine.

As Istio's control plane does it (pilot/pkg/model/network.go: networkGatewayNameCache): asked again every half minute;
what cannot be asked keeps what it had, and what has no address has none. No name waits for the answer to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

from meltemi.model import facts
from meltemi.query import Change

PAUSE: Final = 30.0
"""Seconds; the resolver does not tell how long an answer holds."""
AT_ONCE: Final = 32
"""Names that are asked at the same time: each has a thread."""
_NOTHING: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
Find = Callable[[str], Awaitable[tuple[str, ...] | None]]


class GatewayNames:
    """Follows `networks.names_to_find` by `tell`; `submit` takes changes of facts. `run()` works until cancelled.

    `find` gives the addresses of a name, None where nobody could be asked.
    """

    def __init__(
        self,
        submit: Callable[[tuple[Change[Any], ...]], object],
        find: Find | None = None,
        pause: float = PAUSE,
    ) -> None:
        self._submit = submit
        self._find = find or addresses
        self._pause = pause
        self._wanted: tuple[str, ...] = ()
        self._known: dict[str, tuple[str, ...]] = {}
        self._asked: set[str] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._wake = asyncio.Event()

    def tell(self, names: tuple[str, ...]) -> None:
        """Take the names whose addresses are wanted from now on."""
        self._wanted = names
        self._wake.set()

    async def run(self) -> None:
        """Find them, again and again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                self._learn({name: () for name in self._known if name not in self._wanted})
                for name in self._wanted:
                    if name not in self._asked:
                        self._asked.add(name)
                        tasks.create_task(self._look(name), name=f"find {name}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause if self._wanted else None):
                        await self._wake.wait()

    async def _look(self, name: str) -> None:
        try:
            async with self._turns:
                listed = await self._find(name)
        finally:
            self._asked.discard(name)
        if listed is not None and name in self._wanted:
            self._learn({name: listed})

    def _learn(self, found: dict[str, tuple[str, ...]]) -> None:
        """Tell what is new; nothing is kept of a name without addresses."""
        new = {name: listed for name, listed in found.items() if listed != self._known.get(name, ())}
        for name, listed in new.items():
            if listed:
                self._known[name] = listed
            else:
                del self._known[name]
        if new:
            self._submit(tuple(Change(facts.RESOLVED, "", name, new[name] or None) for name in sorted(new)))


async def addresses(name: str) -> tuple[str, ...] | None:
    """Ask the system for the IPv4 addresses of a name, sorted."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...] | None] = loop.create_future()

    def give(found: tuple[str, ...] | None) -> None:
        if not answer.done():
            answer.set_result(found)

    def ask() -> None:
        found: tuple[str, ...] | None
        try:
            rows = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
            found = tuple(sorted({str(row[4][0]) for row in rows}))
        except socket.gaierror as error:
            found = () if error.errno in _NOTHING else None
        except (OSError, ValueError):
            found = None
        if not loop.is_closed():
            loop.call_soon_threadsafe(give, found)

    # No thread of a pool: nothing may wait for a name server when the daemon ends.
    threading.Thread(target=ask, name=f"find {name}", daemon=True).start()
    return await answer
