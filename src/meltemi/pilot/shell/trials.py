"""What EnvoyFilters make is tried on an Envoy before any proxy has it.

An EnvoyFilter that has just changed and makes something that Envoy refuses is set aside: its last good form stands, or
nothing of it. One that was in force before, for others, stays: only what it makes here and now is withdrawn, as if
the proxy had refused it; but where it was set aside before Pilot started anew, its last good form stands again. What
is not tried, or cannot be told, is left to the proxies: their refusals tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from meltemi.api.kind import Object
from meltemi.envoy import names
from meltemi.galley.core.facts import Key
from meltemi.model.facts import ENVOY_FILTERS
from meltemi.model.views import View
from meltemi.pilot.core.push import Item, Shared, full, push
from meltemi.pilot.core.resource import CDS, LDS, RDS, Roots, Rope, message_of
from meltemi.pilot.shell.aside import Instead, SetAside
from meltemi.pilot.shell.judge import INNOCENT, Exhibit, Jury, Undecided, Verdict
from meltemi.pilot.shell.worlds import origins_of
from meltemi.query import Change, Engine

_log = logging.getLogger(__name__)

_VIEWS: Final = 6
"""Views that are tried in one turn: each takes an Envoy some tenths of a second, in which nothing is pushed."""
_ITEMS: Final = 64
_ASKED: Final = 3
"""How often a jury is asked that gives no verdict."""
_REMEMBERED: Final = 8192

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
Named = tuple[str, Item]
"""Type URL and resource."""
RootsOf = Callable[..., Roots]


@dataclass(frozen=True, slots=True)
class Shown:
    """A View, what it was sent (None: nothing yet), and what it is to be sent."""

    view: View
    old: Roots | None
    new: Roots


@dataclass(frozen=True, slots=True)
class Guilty:
    """Resources that Envoy refuses, in its words; what stood in their place is in `shown.old`."""

    shown: Shown
    items: tuple[Named, ...]
    reason: str


class Trials:
    """Kept by Pilot. `jury` judges resources together, `aside` sets objects aside, `steady` is a monotonic clock."""

    def __init__(
        self, jury: Jury, aside: SetAside, roots_query: RootsOf, *, steady: Callable[[], float]
    ) -> None:
        self._jury = jury
        self._steady = steady
        self._until = 0.0
        self._aside = aside
        self._roots_query = roots_query
        self._there: set[Key] = set()
        self._changed: set[Key] = set()
        self._before: dict[Key, Object[Any]] = {}
        """What EnvoyFilters were before changes of which nothing is tried yet: there was no proxy for them."""
        self._proved: set[Key] = set()
        self._tried: dict[tuple[str, str, bytes], str] = {}
        """Why what was tried is refused; "" for what is good."""

    def note(self, engine: Engine, changes: Iterable[Change[Any]]) -> None:
        """Take notice of a transaction before it is applied: which EnvoyFilters there are, and which just changed."""
        self._changed.clear()
        for key in self._proved:
            self._before.pop(key, None)
        self._proved.clear()
        for change in changes:
            if change.kind.name != ENVOY_FILTERS.name:
                continue
            key = (change.kind.name, change.namespace, change.name)
            if change.value is None:
                self._there.discard(key)
                self._before.pop(key, None)
            else:
                self._there.add(key)
                self._changed.add(key)
                before = engine.fact(ENVOY_FILTERS, key[1], key[2])
                if isinstance(before, Object):
                    self._before.setdefault(key, before)

    @property
    def idle(self) -> bool:
        """Say that there is nothing to be tried, ever, without an EnvoyFilter."""
        return not self._there

    def begin(self, seconds: float) -> None:
        """Give a turn so much time: what is not tried by then is left to the proxies."""
        self._until = self._steady() + seconds

    async def _judged(self, exhibits: Sequence[Exhibit], known: Container[str]) -> Verdict | None:
        """Judge resources; None where there is no time left, or nobody can tell."""
        try:
            async with asyncio.timeout(self._until - self._steady()):
                for _ in range(_ASKED):
                    with contextlib.suppress(Undecided):
                        return await self._jury(exhibits, known)
        except TimeoutError:
            pass
        _log.warning("what EnvoyFilters make could not be tried in time: who gets it will tell")
        return None

    async def look(self, shown: Sequence[Shown]) -> Guilty | None:
        """Try what is patched and new; give the first that Envoy refuses."""
        shared = Shared()
        left = _VIEWS
        listed = [(one, self._unproved(one, shared)) for one in shown]
        # What has just changed is likeliest to be refused, and can be set aside: if not all are tried, then it.
        for one, untried in sorted(listed, key=lambda each: not self._is_fresh(each[1])):
            # Another View may have had the same by now.
            items = tuple(item for item in untried if not self._is_good(item))
            bad = [item for item in items if self._refused(item)]
            if bad:
                return Guilty(one, tuple(bad), self._refused(bad[0]))
            if not items or not left:
                continue
            left -= 1
            guilty = await self._judge(one, items)
            if guilty is not None:
                return guilty
        return None

    def _is_fresh(self, items: tuple[Named, ...]) -> bool:
        return any(key in self._changed for _, item in items for key in _makers(item))

    async def _judge(self, one: Shown, items: tuple[Named, ...]) -> Guilty | None:
        """Try the resources of a View together, and if Envoy refuses them each alone."""
        known = _known(one.new)
        whole = await self._judged([_exhibit(*item) for item in items], known)
        if whole is None:
            return None
        if not whole.condemned:
            self._remember(items, "")
            return None
        for item in items:
            verdict = await self._judged([_exhibit(*item)], known)
            if verdict is None:
                return None
            self._remember([item], verdict.reason)
        bad = tuple(item for item in items if self._refused(item))
        # Where each is right by itself, together they are not: two listeners of one address, say.
        return Guilty(one, bad or items, self._refused(bad[0]) if bad else whole.reason)

    async def culprit(self, engine: Engine, guilty: Guilty, in_thread: InThread) -> Change[Any] | None:
        """Set aside the EnvoyFilter that is at fault; give the change of facts, None for none.

        One that has not just changed gives way to its last good form alone, if one is known.
        """
        wanted = {(type_url, item.name) for type_url, item in guilty.items}
        for key in self._suspects(guilty):
            now = engine.fact(ENVOY_FILTERS, key[1], key[2])
            if not isinstance(now, Object):
                continue
            fresh = key in self._changed
            older = self._aside.older(key, now, self._before.get(key))
            for instead in self._aside.choices(key, now) if fresh else older:
                made, known = await in_thread(
                    partial(self._without, engine, instead, guilty.shown.view, wanted)
                )
                verdict = await self._judged(made, known) if made else INNOCENT
                if verdict is not None and not verdict.condemned:
                    self._aside.refuse(engine, instead, guilty.reason)
                    return instead.change
        return None

    def _without(
        self, engine: Engine, instead: Instead, view: View, wanted: set[tuple[str, str]]
    ) -> tuple[list[Exhibit], Container[str]]:
        """Make resources as they would be with something else in an EnvoyFilter's place."""
        roots = engine.dry_run([instead.change], lambda trial: trial.get(self._roots_query, view))
        listed = [
            _exhibit(type_url, item)
            for type_url in (CDS, LDS, RDS)
            for item in full(roots, type_url)
            if (type_url, item.name) in wanted
        ]
        return listed, _known(roots)

    def _suspects(self, guilty: Guilty) -> list[Key]:
        """List the EnvoyFilters that made what is refused, those that have just changed and the last ones first."""
        found: dict[Key, None] = {}
        for _, item in guilty.items:
            found.update(dict.fromkeys(reversed(_makers(item))))
        return sorted(found, key=lambda key: key not in self._changed)

    def _unproved(self, one: Shown, shared: Shared) -> tuple[Named, ...]:
        """List what is patched and changed, and was not found good before."""
        delta = push(one.old, one.new, shared)
        listed: list[Named] = []
        for type_url in (CDS, LDS, RDS):
            for item in delta.of(type_url).changed:
                if self._is_good((type_url, item)):
                    self._proved.update(_makers(item))
                elif _makers(item):
                    listed.append((type_url, item))
        listed.sort(key=lambda item: not self._is_fresh((item,)))
        return tuple(listed[:_ITEMS])

    def _is_good(self, item: Named) -> bool:
        return self._tried.get((item[0], item[1].name, item[1].version)) == ""

    def _refused(self, item: Named) -> str:
        """Give the words with which something was refused before; "" for none."""
        return self._tried.get((item[0], item[1].name, item[1].version), "")

    def _remember(self, items: Iterable[Named], reason: str) -> None:
        for type_url, item in items:
            self._tried[type_url, item.name, item.version] = reason
            if not reason:
                self._proved.update(_makers(item))
        while len(self._tried) > _REMEMBERED:
            del self._tried[next(iter(self._tried))]


def _makers(item: Item) -> list[Key]:
    """List the EnvoyFilters that made something, in their order."""
    return [
        (ENVOY_FILTERS.name, one.namespace, one.name) for one in origins_of(item) if one.kind == "EnvoyFilter"
    ]


def _exhibit(type_url: str, item: Item) -> Exhibit:
    body = item.message() if isinstance(item, Rope) else message_of(item.entry)[1]
    return type_url, item.name, body


def _known(roots: Roots) -> frozenset[str]:
    """Name the clusters that a proxy of these roots has."""
    return names.STATIC_CLUSTERS | {each.name for part in roots.clusters for each in part.resources}
