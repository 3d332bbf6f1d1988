"""From a refusal to facts: what the judge condemns is withdrawn from all, with the last good version in its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from meltemi.model.facts import ACCEPTED, NACK, Nack, nack_key
from meltemi.model.facts import Accepted as AcceptedFact
from meltemi.pilot.core.push import Item
from meltemi.pilot.core.resource import Origin, Rope, message_of
from meltemi.pilot.shell.judge import Judge
from meltemi.pilot.shell.worlds import Sendable, World, origins_of
from meltemi.pilot.wire.ads import Rejected
from meltemi.query import Change

_log = logging.getLogger(__name__)

_WAITING: Final = 256
_TRIES: Final = 5
_PAUSE: Final = 1.0
"""Seconds before what gave no verdict is judged again: a machine with too much to do, most likely."""
_REMEMBERED: Final = 4096
_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class _Case:
    type: str
    name: str
    envoy: str
    refused: Sendable
    good: Sendable | None
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Condemned:
    """A resource that is withdrawn from all: its NACK fact's key, Envoy's words, and what it was made from."""

    type: str
    name: str
    key: str
    reason: str
    origins: tuple[Origin, ...]


class Quarantine:
    """Judges each refused version once, one after the other, off the loop. `pause` in seconds."""

    def __init__(
        self, judge: Judge, submit: Callable[[Iterable[Change[Any]]], object], *, pause: float = _PAUSE
    ) -> None:
        self._pause = pause
        self._judge = judge
        self._submit = submit
        self._cases: asyncio.Queue[_Case] = asyncio.Queue(_WAITING)
        self._judged: dict[tuple[str, str, str, str], bool] = {}
        self._condemned: dict[tuple[str, str], Condemned] = {}

    @property
    def condemned(self) -> tuple[Condemned, ...]:
        """What is withdrawn, as long as translation still makes it."""
        return tuple(self._condemned.values())

    def accuse(self, envoy: str, world: World, rejected: Rejected) -> None:
        """Take a refusal by a proxy of this Envoy version."""
        for name, version in rejected.versions.items():
            wanted = world.wanted.get(name)
            key = (rejected.type, name, version, envoy)
            if wanted is None or wanted.version != version or key in self._judged:
                continue
            try:
                self._cases.put_nowait(_Case(rejected.type, name, envoy, wanted, world.good.get(name)))
            except asyncio.QueueFull:
                _log.warning("too many refusals to judge: %s is left to the proxies that refused it", name)
                continue
            self._remember(key)

    def _remember(self, key: tuple[str, str, str, str]) -> None:
        self._judged[key] = True
        while len(self._judged) > _REMEMBERED:
            del self._judged[next(iter(self._judged))]

    async def run(self) -> None:
        """Judge, for ever."""
        while True:
            case = await self._cases.get()
            try:
                verdict = await self._judge(case.type, case.name, _message(case.refused.item))
            except Exception:  # noqa: BLE001
                # A full disk or a missing binary must not end the pushes to everybody.
                _log.warning("%s could not be judged", case.name, exc_info=True)
                await self._again(case)
                continue
            if verdict.condemned:
                _log.error("%s is withdrawn from all: %s", case.name, verdict.reason)
                self._submit(self._condemn(case, verdict.reason))

    async def _again(self, case: _Case) -> None:
        """Judge it once more, soon: who has refused it says so only once. At last who refuses it next asks again."""
        await asyncio.sleep(self._pause)
        try:
            if case.tries < _TRIES:
                self._cases.put_nowait(replace(case, tries=case.tries + 1))
                return
        except asyncio.QueueFull:
            pass
        _log.error("%s is left to who refused it", case.name)
        self._judged.pop((case.type, case.name, case.refused.version, case.envoy), None)

    def withdraw(
        self, type_url: str, envoy: str, refused: Sendable, good: Sendable | None, reason: str
    ) -> list[Change[Any]]:
        """Withdraw a resource before any proxy has it; give the facts, which the caller applies."""
        name = refused.item.name
        self._remember((type_url, name, refused.version, envoy))
        _log.error("%s is not sent: %s", name, reason)
        return self._condemn(_Case(type_url, name, envoy, refused, good), reason)

    def _condemn(self, case: _Case, reason: str) -> list[Change[Any]]:
        key = nack_key(case.name, case.refused.version, case.envoy)
        origins = origins_of(case.refused.item)
        self._condemned[case.type, key] = Condemned(case.type, case.name, key, reason, origins)
        return _facts(case, key, reason)

    def forget(self, unused: Callable[[str, str], bool]) -> None:
        """Drop old verdicts on what translation makes no more, when there are many.

        `unused` says so of a fact's namespace and name. What is unused now may be made again, for a proxy to come.
        """
        if len(self._condemned) <= _KEPT:
            return
        for type_url, key in [each for each in self._condemned if unused(*each)]:
            condemned = self._condemned.pop((type_url, key))
            version, envoy, _ = key.split("/", 2)
            self._judged.pop((type_url, condemned.name, version, envoy), None)
            self._submit([Change(NACK, type_url, key, None), Change(ACCEPTED, type_url, key, None)])


def _facts(case: _Case, key: str, reason: str) -> list[Change[Any]]:
    changes: list[Change[Any]] = [Change(NACK, case.type, key, Nack(reason))]
    if case.good is not None:
        fact = AcceptedFact(case.good.version, _message(case.good.item))
        changes.append(Change(ACCEPTED, case.type, key, fact))
    return changes


def _message(item: Item) -> bytes:
    return item.message() if isinstance(item, Rope) else message_of(item.entry)[1]
