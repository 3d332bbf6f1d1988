"""The one writer of statuses: how many proxies have an object, and what is wrong with it.

`Reconciled` counts proxies; `meltemi wait` reads it. `Valid` and `validationMessages` say what was found wrong with a
stored object, which is told as an Event, too, once. A status is written when what it says changes, at most once a
second per object; a write that fails is tried again with what is true then.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from meltemi.api import registry
from meltemi.api.core.event import EVENT
from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.kind import Kind
from meltemi.daemon.shapes import Condition, Report, Shape, Status, shape_of
from meltemi.daemon.standings import Standings
from meltemi.galley.core.facts import Key, Stand, Verdict
from meltemi.galley.shell.kube import ApiError, Document, KubeClient, Patch, UnreachableError
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.pilot.shell.progress import Progress, ProgressBook

_log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two writes of one object's status."""
_SOON: Final = 0.05
"""Seconds after which a write is tried again that somebody else's was before."""
COMPONENT: Final = "meltemi"
VALID: Final = "Valid"
SET_ASIDE: Final = "SetAside"
"""The reason of conditions, and of Events, of an object that is not in force as it is written."""
_LONGEST: Final = 1000


def condition_of(progress: Progress) -> Condition:
    """Say in words how far an object has come."""
    count = f"{progress.n}/{progress.m} proxies"
    status, reason, words = "True", "Reconciled", count
    if progress.rejected:
        proxy, refused = progress.rejected[0]
        more = f" (and {len(progress.rejected) - 1} more)" if len(progress.rejected) > 1 else ""
        status, reason, words = "False", "Rejected", f"{count}: {proxy}{more}: {refused}"
    elif progress.n < progress.m:
        status, reason = "False", "Pending"
    return Condition("Reconciled", status, reason, words[:_LONGEST], progress.generation)


def errors_of(verdict: Verdict | None) -> tuple[Diagnostic, ...]:
    """Give what keeps an object from being in force as it is written."""
    if verdict is None:
        return ()
    return tuple(one for one in verdict.findings if one.level is Level.ERROR)


def words_of(verdict: Verdict) -> str:
    """Say what is wrong, and what stands in the object's place: in one sentence, for conditions and Events."""
    errors = errors_of(verdict)
    first = errors[0]
    where = f"{first.path}: " if first.path else ""
    hint = f" ({first.hint})" if first.hint else ""
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    end = f"; {verdict.stand.value}"
    return f"{first.code.id} {where}{first.message}{hint}{more}"[: _LONGEST - len(end)] + end


def report_of(
    progress: Progress | None, verdict: Verdict | None, status: Status, *, judged: bool = True
) -> Report | None:
    """Give what is to be said; None for nothing. `status` is what stands there now.

    An object that was set aside before this process began, and was not `judged` in it, is believed to be mended when
    it has changed, or a proxy has it: until one asks for it nobody knows whether it can be translated.
    """
    if verdict is not None and errors_of(verdict):
        words, generation = words_of(verdict), verdict.generation
        rows = tuple(Condition(kind, "False", SET_ASIDE, words, generation) for kind in ("Reconciled", VALID))
        return Report(generation, rows, verdict.findings)
    before: Status = next((row for row in status.get("conditions") or () if row.get("type") == VALID), {})
    if not judged and before.get("status") == "False":
        same = progress is None or str(before.get("observedGeneration")) == str(progress.generation)
        if same and not (progress is not None and progress.done and progress.m):
            return None
    findings = () if verdict is None else verdict.findings
    generation = progress.generation if progress is not None else 0 if verdict is None else verdict.generation
    rows = () if progress is None else (condition_of(progress),)
    if any(
        row.get("type") == VALID and row.get("status") != "True" for row in status.get("conditions") or ()
    ):
        rows = (*rows, Condition(VALID, "True", VALID, "in force as it is written", generation))
    if not rows and not findings and not status.get("validationMessages"):
        return None
    return Report(generation, rows, findings)


class StatusWriter:
    """Keeps the status of every object of `kinds` true. `steady` is a monotonic clock in seconds.

    What settles within the period is written once, when it has settled; only what takes longer is seen on its way.
    """

    def __init__(
        self,
        client: KubeClient,
        kinds: Iterable[Kind[Any]],
        book: ProgressBook,
        verdicts: VerdictBook,
        *,
        now: Callable[[], str],
        steady: Callable[[], float],
        standings: Standings | None = None,
    ) -> None:
        self._client = client
        self._shapes: dict[str, tuple[Kind[Any], Shape]] = {
            kind.resource: (kind, shape) for kind in kinds if (shape := shape_of(kind)) is not None
        }
        self._book = book
        self._verdicts = verdicts
        self._standings = standings if standings is not None else Standings()
        self._now = now
        self._steady = steady
        self._open: dict[Key, tuple[float, Progress | None]] = {}
        self._written: dict[Key, float] = {}
        self._told: dict[Key, str] = {}
        self._judged: set[Key] = set()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            moved = (self._book.changed(), self._verdicts.changed(), self._standings.changed())
            changed = [asyncio.ensure_future(one) for one in moved]
            # They must be waiting before the books are read, or what moves in between would be lost.
            await asyncio.sleep(0)
            try:
                self._take()
                wait = await self._write_due()
                await asyncio.wait(changed, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in changed:
                    one.cancel()

    def _take(self) -> None:
        now = self._steady()
        for key, progress in self._book.report():
            if key[0] in self._shapes and not self._standings.speaks_of(key[0]):
                since, _ = self._open.get(key, (now, None))
                self._open[key] = (since, progress)
        for key in (*self._verdicts.report(), *self._standings.report()):
            since, known = self._open.get(key, (now, self._book.progress(*key)))
            self._open[key] = (since, known)
        self._written = {key: at for key, at in self._written.items() if now - at < PERIOD}

    async def _write_due(self) -> float | None:
        """Write what is due; give the seconds until more will be, None where nothing waits."""
        waits = []
        for key, (since, progress) in list(self._open.items()):
            now = self._steady()
            settled = self._is_aside(key) or self._standings.speaks_of(key[0])
            settled = settled or (progress is not None and (progress.done or bool(progress.rejected)))
            due = max(self._written.get(key, 0.0) + PERIOD, since if settled else since + PERIOD)
            if due > now:
                waits.append(due - now)
                continue
            again = await self._write(key, progress)
            if again is None:
                self._open.pop(key, None)
            if again != _SOON:
                self._written[key] = now
            if again is not None:
                waits.append(again)
        return min(waits, default=None)

    def _is_aside(self, key: Key) -> bool:
        return bool(errors_of(self._verdicts.of(key)))

    async def _write(self, key: Key, progress: Progress | None) -> float | None:
        """Write one; give the seconds until it is to be tried again, None where there is nothing left to do."""
        verdict = self._verdicts.of(key)
        try:
            if key[0] in self._shapes:
                await self._write_status(key, progress, verdict)
            await self._tell(key, verdict)
        except ApiError as error:
            if error.not_found:
                self._told.pop(key, None)
                self._judged.discard(key)
                return None
            if error.conflict:
                return _SOON
            _log.warning("status of %s: %s", key, error)
            return PERIOD
        except UnreachableError:
            return PERIOD
        return None

    async def _write_status(self, key: Key, progress: Progress | None, verdict: Verdict | None) -> None:
        resource, namespace, name = key
        kind, shape = self._shapes[resource]
        current = await self._client.get(kind, namespace, name)
        metadata, status = current.get("metadata") or {}, current.get("status") or {}
        if verdict is not None and verdict.uid != str(metadata.get("uid") or ""):
            # It speaks of an object of a file, or of one that is gone.
            verdict = None
        if errors_of(verdict):
            self._judged.add(key)
        report = (
            self._standings.report_of(key, verdict)
            if self._standings.speaks_of(resource)
            else report_of(progress, verdict, status, judged=key in self._judged)
        )
        told = {} if report is None else shape(status, report, self._now())
        if not told or all(told[field] == status.get(field) for field in told):
            return
        patch: Document = {"status": told}
        if metadata.get("resourceVersion"):
            # Others have conditions there, too: what they write meanwhile must not be lost.
            patch["metadata"] = {"resourceVersion": metadata["resourceVersion"]}
        await self._client.patch(kind, namespace, name, patch, patch=Patch.MERGE, subresource="status")

    async def _tell(self, key: Key, verdict: Verdict | None) -> None:
        """Tell by an Event that an object is set aside, once for the same words of the same version."""
        if verdict is None or not errors_of(verdict):
            self._told.pop(key, None)
            return
        kind = registry.of_resource(key[0])
        if kind is None or not verdict.uid:
            return
        event = event_of(kind, key, verdict, self._now())
        mark = event["metadata"]["name"]
        if self._told.get(key) == mark:
            return
        try:
            await self._client.create(EVENT, event, namespace=event["metadata"]["namespace"])
        except ApiError as error:
            if not error.already_exists:
                raise
        self._told[key] = mark


def event_of(kind: Kind[Any], key: Key, verdict: Verdict, now: str) -> Document:
    """Give the Event's object. Its name follows from its words, so that telling it again makes no second one."""
    _, namespace, name = key
    words = words_of(verdict) if verdict.stand is not Stand.ITSELF else errors_of(verdict)[0].message
    mark = hashlib.sha256(f"{verdict.uid}\0{verdict.generation}\0{words}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:230]}.{mark}", "namespace": namespace or "default"},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "namespace": namespace,
            "name": name,
            "uid": verdict.uid,
        },
        "reason": SET_ASIDE,
        "message": words,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }
