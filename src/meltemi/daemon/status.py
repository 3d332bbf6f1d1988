"""The one writer of `Reconciled`: how many of the proxies that an object concerns have it.

An object's condition is written when what it says changes, at most once a second per object; `meltemi wait` reads
it. A write that fails is tried again with what is true then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.api.kind import Kind
from meltemi.galley.shell.kube import ApiError, KubeClient, Patch, UnreachableError
from meltemi.pilot.shell.progress import Key, Progress, ProgressBook

_log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two writes of one object's condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition's content, without times: it is written when this changes."""

    status: str
    reason: str
    message: str
    generation: int


def condition_of(progress: Progress) -> Condition:
    """Say in words how far an object has come."""
    count = f"{progress.n}/{progress.m} proxies"
    if progress.rejected:
        proxy, words = progress.rejected[0]
        more = f" (and {len(progress.rejected) - 1} more)" if len(progress.rejected) > 1 else ""
        return Condition("False", "Rejected", f"{count}: {proxy}{more}: {words}"[:1000], progress.generation)
    if progress.n < progress.m:
        return Condition("False", "Pending", count, progress.generation)
    return Condition("True", "Reconciled", count, progress.generation)


class StatusWriter:
    """Keeps the condition of every object of `kinds` true. `steady` is a monotonic clock in seconds.

    What settles within the period is written once, when it has settled; only what takes longer is seen on its way.
    """

    def __init__(
        self,
        client: KubeClient,
        kinds: Iterable[Kind[Any]],
        book: ProgressBook,
        *,
        now: Callable[[], str],
        steady: Callable[[], float],
    ) -> None:
        self._client = client
        self._kinds = {kind.resource: kind for kind in kinds}
        self._book = book
        self._now = now
        self._steady = steady
        self._open: dict[Key, tuple[float, Progress]] = {}
        self._written: dict[Key, float] = {}

    async def run(self) -> None:
        """Write for ever."""
        while True:
            changed = asyncio.ensure_future(self._book.changed())
            # It must be waiting before the book is read, or what moves in between would be lost.
            await asyncio.sleep(0)
            try:
                self._take()
                wait = await self._write_due()
                async with asyncio.timeout(wait):
                    await changed
            except TimeoutError:
                continue
            finally:
                changed.cancel()

    def _take(self) -> None:
        now = self._steady()
        for key, progress in self._book.report():
            if key[0] in self._kinds:
                since, _ = self._open.get(key, (now, progress))
                self._open[key] = (since, progress)
        self._written = {key: at for key, at in self._written.items() if now - at < PERIOD}

    async def _write_due(self) -> float | None:
        """Write what is due; give the seconds until more will be, None where nothing waits."""
        waits = []
        for key, (since, progress) in list(self._open.items()):
            now = self._steady()
            settled = progress.done or bool(progress.rejected)
            due = max(self._written.get(key, 0.0) + PERIOD, since if settled else since + PERIOD)
            if due <= now and await self._write(key, progress):
                self._written[key] = now
                self._open.pop(key, None)
            else:
                waits.append(max(due - now, 0.05))
        return min(waits, default=None)

    async def _write(self, key: Key, progress: Progress) -> bool:
        """Write one; True where there is nothing left to do."""
        resource, namespace, name = key
        kind = self._kinds[resource]
        try:
            current = await self._client.get(kind, namespace, name)
            patch = {"status": merged(current.get("status") or {}, condition_of(progress), self._now())}
            await self._client.patch(kind, namespace, name, patch, patch=Patch.MERGE, subresource="status")
        except ApiError as error:
            if not error.not_found:
                _log.warning("status of %s: %s", key, error)
            return error.not_found
        except UnreachableError:
            return False
        return True


def merged(status: Mapping[str, Any], wanted: Condition, now: str) -> dict[str, Any]:
    """Put the condition among those of an IstioStatus; the time moves only when the status does."""
    others = [c for c in status.get("conditions") or () if c.get("type") != "Reconciled"]
    before: Mapping[str, Any] = next(
        (c for c in status.get("conditions") or () if c.get("type") == "Reconciled"), {}
    )
    since = before.get("lastTransitionTime") if before.get("status") == wanted.status else None
    condition = {
        "type": "Reconciled",
        "status": wanted.status,
        "reason": wanted.reason,
        "message": wanted.message,
        "observedGeneration": str(wanted.generation),
        "lastTransitionTime": since or now,
        "lastProbeTime": now,
    }
    return {"conditions": [*others, condition], "observedGeneration": str(wanted.generation)}
