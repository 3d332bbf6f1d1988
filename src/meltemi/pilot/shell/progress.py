"""How far objects have come: `Reconciled` n of m proxies.

An object has reached a proxy when the proxy has accepted all that it asked for of a state at least as new as the
transaction that brought the object, and refuses nothing that was made from it. The proxies that count are those whose
View depends on the object (`Engine.affects`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from meltemi.api.kind import Object
from meltemi.model.facts import NACK
from meltemi.model.views import View
from meltemi.pilot.core.resource import Origin
from meltemi.pilot.shell.connection import Connection
from meltemi.pilot.shell.worlds import origins_of
from meltemi.query import Change, FactKind

if TYPE_CHECKING:
    from meltemi.pilot.shell.server import PilotServer

_WAKE: Final = 0.02
"""Seconds in which what happens is told together."""

Key = tuple[str, str, str]
"""An object: its kind's `resource`, namespace, name."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`generation` is the one that translation knows; of `m` proxies that depend on the object `n` have it.

    `rejected`: who refused something made from it, with Envoy's words.
    """

    generation: int
    n: int
    m: int
    rejected: tuple[tuple[str, str], ...] = ()

    @property
    def done(self) -> bool:
        """Say whether every proxy has it."""
        return self.n == self.m and not self.rejected


@dataclass(frozen=True, slots=True)
class _Known:
    transaction: int
    generation: int
    uid: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Row:
    """What matters of one stream: up to which transaction its proxy has come, and what it refuses."""

    proxy: str
    reconciled: int
    refused: tuple[tuple[str, tuple[Origin, ...]], ...]


@dataclass
class _Open:
    told: dict[Key, Progress] = field(default_factory=dict)
    keys: dict[Key, None] = field(default_factory=dict)


class ProgressBook:
    """Kept by Pilot; asked by the status writer, by `wait` and by `proxy-status`."""

    def __init__(self, pilot: PilotServer) -> None:
        self._pilot = pilot
        self._known: dict[Key, _Known] = {}
        self._views: dict[Key, frozenset[View]] = {}
        self._views_at = (-1, -1)
        self._rows: dict[View, list[_Row]] | None = None
        self._open = _Open()
        self._moved = asyncio.Event()
        self._waking = False

    def progress(self, kind: str, namespace: str, name: str) -> Progress | None:
        """How far an object has come; None for one that translation does not know (yet, or any more)."""
        key = (kind, namespace, name)
        known = self._known.get(key)
        if known is None:
            return None
        n = m = 0
        rejected: list[tuple[str, str]] = []
        for row, reasons in self._concerned(key, known):
            m += 1
            rejected.extend((row.proxy, reason) for reason in reasons)
            n += row.reconciled >= known.transaction and not reasons
        return Progress(known.generation, n, m, tuple(rejected))

    def missing(self, kind: str, namespace: str, name: str) -> tuple[str, ...]:
        """Which proxies that depend on an object do not have it: `pod.namespace`, sorted."""
        key = (kind, namespace, name)
        known = self._known.get(key)
        if known is None:
            return ()
        rows = self._concerned(key, known)
        return tuple(
            sorted(row.proxy for row, reasons in rows if reasons or row.reconciled < known.transaction)
        )

    async def wait(
        self, kind: str, namespace: str, name: str, good: Callable[[Progress | None], bool]
    ) -> Progress | None:
        """Wait until `good` says so of an object's progress (put a timeout around it)."""
        while True:
            moved = self._moved
            seen = self.progress(kind, namespace, name)
            if good(seen):
                return seen
            await moved.wait()

    def changed(self) -> Awaitable[object]:
        """What completes when some progress may have changed since this call: a transaction, an answer, a stream."""
        return self._moved.wait()

    def report(self, limit: int = 200) -> tuple[tuple[Key, Progress], ...]:
        """What is new about objects since this was last asked, of at most `limit` objects; `changed` tells of more.

        An object is followed from its change until every proxy has it, and again when one refuses it.
        """
        found = []
        keys = list(self._open.keys)
        for key in keys[:limit]:
            # To the end of the line: nobody starves behind objects that stay open.
            del self._open.keys[key]
            progress = self.progress(*key)
            if progress is None:
                self._open.told.pop(key, None)
                continue
            if self._open.told.get(key) != progress:
                found.append((key, progress))
            if progress.done:
                self._open.told.pop(key, None)
            else:
                self._open.keys[key] = None
                self._open.told[key] = progress
        if len(keys) > limit:
            self.moved()
        return tuple(found)

    def withdrawn(self, view: View) -> tuple[tuple[str, str, str], ...]:
        """What this View was to have, but no Envoy takes: (type URL, name, Envoy's words)."""
        return tuple(
            (each.type, each.name, each.reason)
            for each in self._pilot.quarantine.condemned
            if view in self._dependents((NACK.name, each.type, each.key))
        )

    # --- what Pilot tells

    def applied(self, changes: Iterable[Change[Any]], transaction: int) -> None:
        """Note which objects a transaction brought."""
        for change in changes:
            key = (change.kind.name, change.namespace, change.name)
            if isinstance(change.value, Object):
                self._bring(key, change.value, transaction)
            elif change.value is None:
                self._known.pop(key, None)
                self._open.keys.pop(key, None)
                self._open.told.pop(key, None)

    def _bring(self, key: Key, value: Object[Any], transaction: int) -> None:
        known = self._known.get(key)
        same = known is not None and known.uid == value.uid and known.generation == value.generation
        if known is not None and same and value.generation > 0:
            # A label or an annotation; or it came again after a reconnect to the API server.
            transaction = known.transaction
        self._known[key] = _Known(transaction, value.generation, value.uid, value.kind)
        self._open.keys[key] = None

    def refused(self, origins: Iterable[Origin]) -> None:
        """A proxy refused what was made from these: follow them again."""
        wanted = {(origin.namespace, origin.name) for origin in origins}
        for key in self._known:
            if key[1:] in wanted:
                self._open.keys[key] = None

    def moved(self) -> None:
        """Something happened that progress depends on; who waits is woken soon, once for many such things."""
        self._rows = None
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_later(_WAKE, self._fire)

    def _fire(self) -> None:
        self._waking = False
        self._moved.set()
        # Whoever waits now is woken; whoever waits next waits for the next.
        self._moved = asyncio.Event()

    def _concerned(self, key: Key, known: _Known) -> list[tuple[_Row, tuple[str, ...]]]:
        """The streams that depend on an object, each with why it refuses what was made from it."""
        views = self._dependents(key)
        condemned = [
            (each.reason, self._dependents((NACK.name, each.type, each.key)))
            for each in self._pilot.quarantine.condemned
            if any(_is(origin, known.kind, key) for origin in each.origins)
        ]
        found = []
        rows = self._rows_by_view()
        for view in views:
            withdrawn = [reason for reason, where in condemned if view in where]
            for row in rows.get(view, ()):
                # What names no origin may be anybody's.
                refused = [
                    reason
                    for reason, origins in row.refused
                    if not origins or any(_is(origin, known.kind, key) for origin in origins)
                ]
                found.append((row, tuple(dict.fromkeys((*refused, *withdrawn)))))
        return sorted(found, key=lambda each: each[0].proxy)

    def _rows_by_view(self) -> dict[View, list[_Row]]:
        if self._rows is None:
            self._rows = {}
            for connection in self._pilot.connections:
                row = _Row(connection.peer.proxy, connection.reconciled, _refusals(connection))
                self._rows.setdefault(connection.held.view, []).append(row)
        return self._rows

    def _dependents(self, key: Key) -> frozenset[View]:
        now = (self._pilot.transaction, self._pilot.views_changed)
        if now != self._views_at:
            self._views.clear()
            self._views_at = now
        found = self._views.get(key)
        if found is None and self._pilot.busy:
            # The graph is being built: until it is known better, every proxy may depend on it.
            return frozenset(self._rows_by_view())
        if found is None:
            calls = self._pilot.engine.affects(FactKind(key[0]), key[1], key[2])
            arguments = (call.arguments[0] for call in calls if call.arguments)
            found = frozenset(argument for argument in arguments if isinstance(argument, View))
            self._views[key] = found
        return found


def _refusals(connection: Connection) -> tuple[tuple[str, tuple[Origin, ...]], ...]:
    found = []
    for (type_url, name), (_, reason) in connection.refused().items():
        world = connection.held.worlds.get(type_url)
        sendable = None if world is None else world.wanted.get(name)
        found.append((reason, () if sendable is None else origins_of(sendable.item)))
    return tuple(found)


def _is(origin: Origin, kind: str, key: Key) -> bool:
    return origin.kind in (kind, key[0]) and (origin.namespace, origin.name) == key[1:]
