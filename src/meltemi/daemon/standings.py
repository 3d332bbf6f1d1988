"""What is said of the Gateway API's objects, on its way from the engine to the status writer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from meltemi.api.diagnostics import Level
from meltemi.api.values import Map
from meltemi.daemon.shapes import Condition, Part, Report
from meltemi.galley.core.facts import Key, Verdict
from meltemi.model.gateway_api import status
from meltemi.model.gateway_api.words import GROUP

_SUFFIX: Final = f".{GROUP}"


class Standings:
    """Kept by the engine, by whose value `take` is called; read by the status writer."""

    def __init__(self) -> None:
        self._held: Map[status.Standing] = Map()
        self._news: dict[Key, None] = {}
        self._moved = asyncio.Event()

    def take(self, held: Map[status.Standing]) -> None:
        """Take all that is said now."""
        before, self._held = self._held, held
        for text in dict.fromkeys((*before, *held)):
            if before.get(text) != held.get(text):
                resource, namespace, name = text.split("/")
                self._news[resource, namespace, name] = None
        if self._news:
            self._moved.set()
            self._moved = asyncio.Event()

    @staticmethod
    def speaks_of(resource: str) -> bool:
        """Say whether the statuses of a kind are made of what is said here, and not of how many proxies have it."""
        return resource.endswith(_SUFFIX)

    def report_of(self, key: Key, verdict: Verdict | None) -> Report:
        """Give what is to be written of an object: nothing is left of what was said once and is not any more."""
        said = self._held.get("/".join(key)) or status.Standing("", 0)
        generation = said.generation
        rows = list(_conditions(said.conditions, generation))
        if verdict is not None and any(one.level is Level.ERROR for one in verdict.findings):
            first = next(one for one in verdict.findings if one.level is Level.ERROR)
            rows.append(
                Condition("Valid", "False", "SetAside", f"{first.code.id} {first.message}", generation)
            )
        parts = tuple(
            Part(one.identity, _conditions(one.conditions, generation), one.fields) for one in said.parts
        )
        return Report(generation, tuple(rows), (), parts, said.fields)

    def report(self) -> tuple[Key, ...]:
        """Give the objects of which something else is said since this was last asked."""
        news, self._news = tuple(self._news), {}
        return news

    def changed(self) -> Awaitable[object]:
        """Give what completes when something else is said after this call."""
        return self._moved.wait()


def _conditions(said: tuple[status.Condition, ...], generation: int) -> tuple[Condition, ...]:
    return tuple(
        Condition(one.type, "True" if one.holds else "False", one.reason, one.message, generation)
        for one in said
    )
