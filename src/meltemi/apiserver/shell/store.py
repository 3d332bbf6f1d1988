"""The durable store: memory is what readers see, a log on disk is what it is replayed from.

A write is decided at once, on the state with all writes accepted before it, and handed to the one writer thread. That
commits what has gathered, with a sync, as a group. Only then does the write enter memory, wake watchers and get its
answer. So nothing is answered, read or watched that a power cut could take back:

- readers and watchers see `Memory`, which holds synced events only;
- a refusal or an unchanged object may rest on writes not synced yet, so its answer waits for them as well, and is
  decided anew should they fail;
- when a commit fails, every write decided on top of it fails too.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from meltemi.apiserver.core.status import ApiError, too_many, unavailable
from meltemi.apiserver.core.storage import Entry, Event, Key, entry_from, entry_of
from meltemi.apiserver.shell.memory import Memory
from meltemi.apiserver.shell.sqlite import DELETE, PUT, Log, Row, StoreError

__all__ = ["Store", "StoreError", "Transaction"]

T = TypeVar("T")

MAX_PENDING = 4096
MAX_GROUP = 512


@dataclass
class _Group:
    """The changes of one transaction on their way to disk."""

    epoch: int
    events: list[Event]
    rows: list[Row]
    done: asyncio.Future[None]


@dataclass
class _Compact:
    revision: int


class _Stop:
    pass


class Transaction:
    """What a decision reads and stages. Reads see every accepted write and what it staged itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.events: list[Event] = []
        self._staged: dict[Key, Entry | None] = {}

    def get(self, key: Key) -> Entry | None:
        """Return an object as of now."""
        if key in self._staged:
            return self._staged[key]
        return self._store.accepted(key)

    def entries(self, resource: str, namespace: str | None = None) -> Iterator[Entry]:
        """Yield all objects of a resource as of now, in no promised order."""
        found = {entry.key: entry for entry in self._store.accepted_entries(resource, namespace)}
        for key, entry in self._staged.items():
            if key.resource == resource and namespace in {None, key.namespace}:
                if entry is None:
                    found.pop(key, None)
                else:
                    found[key] = entry
        yield from found.values()

    def put(self, key: Key, document: dict[str, Any]) -> Entry:
        """Stage a create or an update; returns the entry with its revision."""
        previous = self.get(key)
        entry = entry_of(key, document, self._store.next_revision(len(self.events)))
        self._stage(Event(entry.revision, "MODIFIED" if previous else "ADDED", entry, previous), entry)
        return entry

    def delete(self, key: Key, document: dict[str, Any]) -> Entry:
        """Stage a deletion; `document` is the last state, which watchers are shown."""
        previous = self.get(key)
        entry = entry_of(key, document, self._store.next_revision(len(self.events)))
        self._stage(Event(entry.revision, "DELETED", entry, previous), None)
        return entry

    def abandon(self) -> None:
        """Forget all that was staged (a dry run)."""
        self.events.clear()
        self._staged.clear()

    def _stage(self, event: Event, entry: Entry | None) -> None:
        self.events.append(event)
        self._staged[event.entry.key] = entry


@dataclass
class _Pending:
    """The accepted, not yet synced state on top of memory."""

    overlay: dict[Key, tuple[int, Entry | None]] = field(default_factory=dict)
    groups: list[_Group] = field(default_factory=list)


class Store:
    """One open store. Use as an async context manager; the file is held alone while it is open.

    `before_commit` runs on the writer thread right before each transaction: the seam by which tests hold a commit
    back or let it fail.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        window: int = 10_000,
        clock: Callable[[], float] = time.time,
        before_commit: Callable[[], None] | None = None,
    ) -> None:
        self._log = Log(Path(path))
        self._clock = clock
        self._before_commit = before_commit
        self._window = window
        self._queue: queue.SimpleQueue[_Group | _Compact | _Stop] = queue.SimpleQueue()
        self._pending: _Pending = _Pending()
        self._epoch = 0
        self._broken = ""
        self._since_compaction = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.memory = Memory(window)
        self._replay()

    @property
    def is_open(self) -> bool:
        """Whether the writer thread runs."""
        return self._thread is not None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._broken = "the store is closed"
        self._queue.put(_Stop())
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join)
        self._thread = None
        self._log.close()

    # --- reading

    @property
    def revision(self) -> int:
        """The last synced revision."""
        return self.memory.revision

    def accepted(self, key: Key) -> Entry | None:
        """Return an object with accepted writes applied: for deciding writes only."""
        found = self._pending.overlay.get(key)
        return found[1] if found is not None else self.memory.get(key)

    def accepted_entries(self, resource: str, namespace: str | None = None) -> Iterator[Entry]:
        """Yield the objects of a resource with accepted writes applied: for deciding writes only."""
        overlay = self._pending.overlay
        for entry in self.memory.entries(resource, namespace):
            if entry.key not in overlay:
                yield entry
        for key, (_, pending) in overlay.items():
            if pending is not None and key.resource == resource and namespace in {None, key.namespace}:
                yield pending

    def next_revision(self, staged: int) -> int:
        """Return the revision of the next change, after `staged` others of the same transaction."""
        groups = self._pending.groups
        accepted = groups[-1].events[-1].revision if groups else self.memory.revision
        return accepted + 1 + staged

    # --- writing

    async def write(self, decide: Callable[[Transaction], T], who: str, *, dry_run: bool = False) -> T:
        """Decide and make durable; returns what `decide` returned, once all it staged is synced.

        `decide` must not await, and may run again when a write it rested on fails. A dry run is decided, and forgotten.
        An ApiError that `decide` raises is raised here after all that it may rest on is synced. Raises ApiError 429
        when the disk is far behind and 503 when it cannot be written.
        """
        while True:
            if self._broken:
                raise unavailable(self._broken)
            if len(self._pending.groups) >= MAX_PENDING:
                raise too_many("too many writes are waiting for the disk")
            transaction = Transaction(self)
            try:
                result = decide(transaction)
            except ApiError:
                if await self._settled():
                    raise
                continue
            if dry_run:
                transaction.abandon()
            if not transaction.events:
                if await self._settled():
                    return result
                continue
            await self._submit(transaction.events, who)
            return result

    async def barrier(self) -> None:
        """Return once every write accepted so far is synced, or has failed."""
        await self._settled()

    async def _settled(self) -> bool:
        """Wait for what is accepted now; False when it failed, so that what was decided on it does not hold."""
        groups = self._pending.groups
        if not groups:
            return True
        try:
            await asyncio.shield(groups[-1].done)
        except ApiError:
            return False
        return True

    async def _submit(self, events: list[Event], who: str) -> None:
        if self._loop is None:
            raise RuntimeError("the store is not open")
        at = self._clock()
        rows = [
            Row(e.revision, DELETE if e.type == "DELETED" else PUT, *e.entry.key, e.entry.body, who, at)
            for e in events
        ]
        group = _Group(self._epoch, events, rows, self._loop.create_future())
        for event in events:
            entry = None if event.type == "DELETED" else event.entry
            self._pending.overlay[event.entry.key] = (event.revision, entry)
        self._pending.groups.append(group)
        self._queue.put(group)
        # A client that goes away does not take its write back: it is on its way to disk.
        await asyncio.shield(group.done)

    # --- on the loop, told by the writer thread

    def _committed(self, groups: list[_Group]) -> None:
        touched: set[str] = set()
        for group in groups:
            for event in group.events:
                self.memory.apply(event)
                touched.add(event.entry.key.resource)
                if self._pending.overlay.get(event.entry.key, (0, None))[0] == event.revision:
                    del self._pending.overlay[event.entry.key]
            self._since_compaction += len(group.events)
        del self._pending.groups[: len(groups)]
        for group in groups:
            if not group.done.done():
                group.done.set_result(None)
        self.memory.wake(touched)
        if self._since_compaction > self._window and self.memory.floor:
            self._since_compaction = 0
            self._queue.put(_Compact(self.memory.floor))

    def _failed(self, message: str, *, for_good: bool) -> None:
        """Every accepted write rests on the failed one: all fail, and the state is that of the disk again."""
        groups, self._pending = self._pending.groups, _Pending()
        self._epoch += 1
        if for_good:
            self._broken = message
        for group in groups:
            if not group.done.done():
                group.done.set_exception(unavailable(message))
                # A caller that went away must not turn this into a warning at collection.
                group.done.exception()

    # --- on the writer thread

    def _run(self) -> None:
        failed_epoch = -1
        held: _Compact | _Stop | None = None
        while True:
            item = held if held is not None else self._queue.get()
            held = None
            if isinstance(item, _Stop):
                return
            if isinstance(item, _Compact):
                self._compact(item.revision)
                continue
            groups = [item]
            while len(groups) < MAX_GROUP:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if not isinstance(more, _Group):
                    held = more
                    break
                groups.append(more)
            fresh = [group for group in groups if group.epoch > failed_epoch]
            if fresh and not self._write(fresh):
                failed_epoch = fresh[-1].epoch

    def _write(self, groups: list[_Group]) -> bool:
        try:
            self._log.append([row for group in groups for row in group.rows], self._before_commit)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of it may be answered as done
            full = (
                isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL
            )
            message = (
                "the disk is full: the store cannot be written" if full else f"the store failed: {error}"
            )
            # After a failed sync nobody knows what the disk holds: only a restart, which reads it, can tell.
            for_good = isinstance(error, sqlite3.OperationalError) and not full
            self._tell(lambda: self._failed(message, for_good=for_good))
            return False
        self._tell(lambda: self._committed(groups))
        return True

    def _compact(self, revision: int) -> None:
        try:
            self._log.compact(revision)
        except sqlite3.Error:
            # Compaction only saves room. It is tried again when as much has been written once more.
            return

    def _tell(self, call: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(call)

    # --- at start

    def _replay(self) -> None:
        for row in self._log.rows():
            previous = self.memory.get(row.key)
            entry = entry_from(row.key, row.body, row.revision)
            if row.operation == DELETE:
                self.memory.apply(Event(row.revision, "DELETED", entry, previous))
            else:
                self.memory.apply(Event(row.revision, "MODIFIED" if previous else "ADDED", entry, previous))
        self.memory.floor = max(self.memory.floor, self._log.compacted)
