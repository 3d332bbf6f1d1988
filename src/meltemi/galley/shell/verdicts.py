"""What is wrong with stored objects, by who found it, and for whoever tells it on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from meltemi.galley.core.facts import Key, Stand, Verdict

_WORST = (Stand.ITSELF, Stand.LAST_GOOD, Stand.CLOSED, Stand.NOTHING)


class VerdictBook:
    """Kept by those who take objects in and translate them, each under a name; read by the status writer."""

    def __init__(self) -> None:
        self._held: dict[Key, dict[str, Verdict]] = {}
        self._news: dict[Key, None] = {}
        self._moved = asyncio.Event()

    def tell(self, key: Key, who: str, verdict: Verdict | None) -> None:
        """Say what `who` finds of an object now; None for nothing."""
        held = self._held.setdefault(key, {})
        if held.get(who) != verdict:
            if verdict is None:
                held.pop(who, None)
            else:
                held[who] = verdict
            self._news[key] = None
            self._moved.set()
            self._moved = asyncio.Event()
        if not held:
            del self._held[key]

    def of(self, key: Key) -> Verdict | None:
        """Give all that is found of an object as one verdict: of its newest version, with the worst that stands."""
        held = self._held.get(key)
        if not held:
            return None
        newest = max(held.values(), key=lambda one: one.generation)
        findings = tuple(dict.fromkeys(found for one in held.values() for found in one.findings))
        stand = max((one.stand for one in held.values()), key=_WORST.index)
        return replace(newest, findings=findings, stand=stand)

    def all(self) -> dict[Key, Verdict]:
        """Give the verdicts on all objects that have one, by key."""
        found = {key: self.of(key) for key in sorted(self._held)}
        return {key: verdict for key, verdict in found.items() if verdict is not None}

    def report(self) -> tuple[Key, ...]:
        """Give the objects whose verdict has changed since this was last asked."""
        news, self._news = tuple(self._news), {}
        return news

    def changed(self) -> Awaitable[object]:
        """Give what completes when a verdict changes after this call."""
        return self._moved.wait()
