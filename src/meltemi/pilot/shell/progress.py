"""How far objects have come: `Reconciled` n of m proxies.

An object has reached a proxy when the proxy has accepted all that it asked for of a state at least as new as the
transaction that brought the object, and refuses nothing that was made from it. The proxies that count are those whose
View depends on the object (`Engine.affects`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meltemi.api.kind import Object
from meltemi.model.facts import NACK
from meltemi.model.views import View
from meltemi.pilot.core.resource import Origin
from meltemi.pilot.shell.connection import Connection
from meltemi.pilot.shell.worlds import origins_of
from meltemi.query import Change, FactKind

if TYPE_CHECKING:
    from meltemi.pilot.shell.server import PilotServer

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
        self._open = _Open()
        self._moves = 0
        self._moved = asyncio.Event()

    def progress(self, kind: str, namespace: str, name: str) -> Progress | None:
        """How far an object has come; None for one that translation does not know (yet, or any more)."""
        key = (kind, namespace, name)
        known = self._known.get(key)
        if known is None:
            return None
        views = self._dependents(key)
        condemned = [
            (each, self._dependents((NACK.name, each.type, each.key)))
            for each in self._pilot.quarantine.condemned
            if any(_is(origin, known.kind, key) for origin in each.origins)
        ]
        n = m = 0
        rejected: list[tuple[str, str]] = []
        for connection in self._pilot.connections:
            if connection.held.view not in views:
                continue
            m += 1
            reasons = _refused_of(connection, known.kind, key)
            reasons.extend(each.reason for each, where in condemned if connection.held.view in where)
            n += connection.reconciled >= known.transaction and not reasons
            rejected.extend((connection.peer.proxy, reason) for reason in dict.fromkeys(reasons))
        return Progress(known.generation, n, m, tuple(rejected))

    async def wait(
        self, kind: str, namespace: str, name: str, good: Callable[[Progress | None], bool]
    ) -> Progress | None:
        """Wait until `good` says so of an object's progress (put a timeout around it)."""
        while not good(seen := self.progress(kind, namespace, name)):
            await self.changed()
        return seen

    async def changed(self) -> None:
        """Wait until some progress may have changed: a transaction, an answer of a proxy, a stream more or less."""
        await self._moved.wait()

    def report(self, limit: int = 200) -> tuple[tuple[Key, Progress], ...]:
        """What is new about objects since this was last asked, of at most `limit` objects; ask again for more.

        An object is followed from its change until every proxy has it, and again when one refuses it.
        """
        found = []
        for key in list(self._open.keys)[:limit]:
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
        return tuple(found)

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
        """Something happened that progress depends on."""
        self._moved.set()
        # Whoever waits now is woken; whoever waits next waits for the next.
        self._moved = asyncio.Event()

    def _dependents(self, key: Key) -> frozenset[View]:
        now = (self._pilot.transaction, self._pilot.views_changed)
        if now != self._views_at:
            self._views.clear()
            self._views_at = now
        found = self._views.get(key)
        if found is None:
            calls = self._pilot.engine.affects(FactKind(key[0]), key[1], key[2])
            arguments = (call.arguments[0] for call in calls if call.arguments)
            found = frozenset(argument for argument in arguments if isinstance(argument, View))
            self._views[key] = found
        return found


def _refused_of(connection: Connection, kind: str, key: Key) -> list[str]:
    reasons = []
    for (type_url, name), (_, reason) in connection.refused().items():
        world = connection.held.worlds.get(type_url)
        sendable = None if world is None else world.wanted.get(name)
        origins = () if sendable is None else origins_of(sendable.item)
        # What names no origin may be anybody's.
        if not origins or any(_is(origin, kind, key) for origin in origins):
            reasons.append(reason)
    return reasons


def _is(origin: Origin, kind: str, key: Key) -> bool:
    return origin.kind in (kind, key[0]) and (origin.namespace, origin.name) == key[1:]
