"""The agent's view of `init`: one connection, the table as events keep it, and who wants to hear of what."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from meltemi.agent.shell.net_init import AsyncClient, InitError
from meltemi.init.core import Layout
from meltemi.init.wire import Event, Exited, Process, Signal, Spec, Started, Stop

log = logging.getLogger(__name__)

Listener = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One process, as far as is known. `ends` counts its ends that this agent saw."""

    process: Process
    ends: int = 0


class Processes:
    """The table of init. `run()` keeps it until cancelled; the rest works while it runs."""

    def __init__(self, layout: Layout, clock: Callable[[], float]) -> None:
        self._layout = layout
        self._clock = clock
        self._client = AsyncClient(layout)
        self._rows: dict[str, Row] = {}
        self._listeners: dict[str, Listener] = {}
        self._wanted: dict[str, frozenset[str]] = {}
        self.known = asyncio.Event()
        """Set while the table is what init has."""

    async def run(self) -> None:
        """Connect, take the table, follow events. Ends when init's connection does: then all is over anyway."""
        self._client = AsyncClient(self._layout)
        await self._client.connect()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._refresh())
                async for event in self._client.events():
                    self._heard(event)
                raise InitError("init's connection ended")
        finally:
            self.known.clear()
            await self._client.close()

    async def _refresh(self) -> None:
        """Take the whole table: now, and now and then, lest an event be missed for ever."""
        while True:
            processes = await self._client.table(last_lines=20)
            names = {process.name for process in processes}
            for gone in [name for name in self._rows if name not in names]:
                self._tell(self._rows.pop(gone).process.group)
            for process in processes:
                old = self._rows.get(process.name)
                if old is None or old.process != process:
                    self._rows[process.name] = Row(process, old.ends if old is not None else 0)
                    self._tell(process.group)
            self.known.set()
            await asyncio.sleep(10.0)

    def group(self, group: str) -> dict[str, Row]:
        """The processes of a group, by name."""
        return {name: row for name, row in self._rows.items() if row.process.group == group}

    def groups(self) -> tuple[str, ...]:
        """All groups that have processes, sorted."""
        return tuple(sorted({row.process.group for row in self._rows.values()}))

    def row(self, name: str) -> Row | None:
        """One process."""
        return self._rows.get(name)

    def listen(self, group: str, listener: Listener) -> None:
        """Call `listener` with the group's name whenever something of it changed."""
        self._listeners[group] = listener

    def unlisten(self, group: str) -> None:
        """Do not any more."""
        self._listeners.pop(group, None)

    async def set(self, group: str, specs: Iterable[Spec]) -> None:
        """The whole desired state of a group. Raises InitError."""
        wanted = tuple(specs)
        names = frozenset(spec.name for spec in wanted)
        self._wanted[group] = names
        await self._client.set(group, wanted)
        for spec in wanted:
            if spec.name not in self._rows:
                self._rows[spec.name] = Row(Process(spec.name, group, "waiting"))
        for name, row in self.group(group).items():
            if name not in names and row.process.state in ("ended", "waiting", "held"):
                del self._rows[name]

    async def stop(self, name: str, *, again: bool) -> None:
        """End a process; `again` starts it anew. Raises InitError."""
        await self._client.ask(Stop(name, again=again))

    async def signal(self, name: str, number: int) -> None:
        """Send it a signal. Raises InitError."""
        await self._client.ask(Signal(name, number))

    def _heard(self, event: Event) -> None:
        old = self._rows.get(event.name)
        before = old.process if old is not None else Process(event.name, event.group, "waiting")
        ends = old.ends if old is not None else 0
        match event:
            case Started():
                process = replace(
                    before,
                    state="running",
                    pid=event.pid,
                    restarts=event.restarts,
                    started=self._clock(),
                    error="",
                )
            case Exited():
                ends += 1
                process = replace(
                    before,
                    state="waiting" if event.again >= 0 else "ended",
                    pid=0,
                    ended=self._clock(),
                    code=event.code,
                    signal=event.signal,
                    error=event.error,
                    last=event.last,
                )
        if isinstance(event, Exited) and event.name not in self._wanted.get(event.group, {event.name}):
            self._rows.pop(event.name, None)
        else:
            self._rows[event.name] = Row(process, ends)
        self._tell(event.group)

    def _tell(self, group: str) -> None:
        if (listener := self._listeners.get(group)) is not None:
            listener(group)
