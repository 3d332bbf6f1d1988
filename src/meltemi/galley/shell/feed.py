"""From sources to the engine: what they hold, taken in by every rule, as transactions of facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.galley.core import meshconfig
from meltemi.galley.core.catalogue import GIVEN_AGAIN
from meltemi.galley.core.discovery import Discovery
from meltemi.galley.core.facts import INTERNAL, Intake, Kept, Key, Stand, Verdict
from meltemi.galley.core.ingest import Check, checked
from meltemi.galley.core.meshconfig import MeshRead, mesh_settings
from meltemi.galley.shell.source import DELETED, Deliver, Source, SourceEvent
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.query import Change

Submit = Callable[[tuple[Change[Any], ...]], None]
MESH: Key = ("configmaps", "istio-system", meshconfig.NAME)
"""The ConfigMap that holds the mesh's settings."""
_SLICE: Final = 100
"""Objects that are taken in at once: a few milliseconds of checks."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """What one source is about: whether it is known whole, what stands in the way, what is wrong with its texts."""

    name: str
    synced: bool
    errors: tuple[str, ...]
    findings: tuple[Diagnostic, ...]


class Feed:
    """Follows sources and hands their changes on, batched.

    `submit` is called in the event loop: first once with everything, when every source is known whole, so that no half
    of the world is ever translated; then once for what a source tells together. It must not block. Of several changes
    of one fact in a batch only the last is given. A world of any size is taken in without holding the loop up.

    Where two sources give the same object, that of the first is in force, and the other's when that one is gone.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        submit: Submit,
        *,
        check: Check = checked,
        kept: Kept | None = None,
        verdicts: VerdictBook | None = None,
    ) -> None:
        self.synced = asyncio.Event()
        self.verdicts = verdicts if verdicts is not None else VerdictBook()
        self._sources = tuple(sources)
        self._intake = Intake(check, kept)
        self._submit = submit
        self._pending: dict[tuple[str, str, str], Change[Any]] = {}
        self._mesh: MeshRead = meshconfig.NOTHING
        self._discovery = Discovery()
        self._told: set[int] = set()
        self._news: asyncio.Queue[tuple[int, tuple[SourceEvent, ...]]] = asyncio.Queue()
        # What each source but the first gives: it is wanted when a better one lets go of it.
        self._offers: tuple[dict[Key, SourceEvent], ...] = tuple({} for _ in self._sources)

    @property
    def errors(self) -> tuple[str, ...]:
        """What stands between us and the sources now, in their words; empty while all is well."""
        return tuple(error for source in self._sources for error in source.errors)

    @property
    def states(self) -> tuple[SourceState, ...]:
        """How each source is, in order of precedence."""
        return tuple(
            SourceState(
                source.name,
                rank in self._told,
                source.errors,
                (*source.findings, *self._conflicts(rank), *self._faults(rank)),
            )
            for rank, source in enumerate(self._sources)
        )

    @property
    def found(self) -> Mapping[Key, Verdict]:
        """What is wrong with objects, with the place in the text where they came from one."""
        return {key: self._placed(key, verdict) for key, verdict in self.verdicts.all().items()}

    def holds(self, key: Key) -> bool:
        """Say whether some source has an object now."""
        return self._owner(key) is not None

    async def run(self) -> None:
        """Follow all sources until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_in(), name="intake")
            for rank, source in enumerate(self._sources):
                tasks.create_task(source.run(self._taker(rank)), name=f"source {source.name}")

    def _taker(self, rank: int) -> Deliver:
        def take(events: tuple[SourceEvent, ...]) -> None:
            self._news.put_nowait((rank, events))

        return take

    async def _take_in(self) -> None:
        """Take batches in as they came, each to its end; the loop is given away in between."""
        while True:
            rank, events = await self._news.get()
            for number, event in enumerate(events, 1):
                self._take(rank, event)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            self._told.add(rank)
            if len(self._told) == len(self._sources):
                self._flush(always=not self.synced.is_set())
                self.synced.set()

    def _take(self, rank: int, event: SourceEvent) -> None:
        key = event.key
        if rank and event.type == DELETED:
            self._offers[rank].pop(key, None)
        elif rank:
            self._offers[rank][key] = event
        owner = self._owner(key)
        if owner is not None and owner < rank:
            return
        if owner is not None and owner > rank:
            if key != MESH:
                # What takes over is another object: it is no later form of the one that is gone.
                self._change(self._intake.drop(event.kind, event.document))
            rank, event = owner, self._offers[owner][key]
        if key == MESH:
            self._set(None if event.type == DELETED else event)
        elif event.type == DELETED:
            self._change(self._intake.drop(event.kind, event.document))
        else:
            trusted = self._sources[rank].trusted
            self._change(self._intake.put(event.kind, event.document, trusted=trusted))
        if key != MESH:
            self.verdicts.tell(key, "intake", self._intake.verdicts.get(key))

    def _owner(self, key: Key) -> int | None:
        """Give the first source that has an object."""
        for rank, source in enumerate(self._sources):
            if key in self._offers[rank] if rank else source.holds(key):
                return rank
        return None

    def _set(self, event: SourceEvent | None) -> None:
        """Take the mesh's settings from their ConfigMap; what is wrong there stays as it was."""
        document = None if event is None else event.document
        try:
            self._mesh = mesh_settings(document, self._mesh)
        except Exception as error:  # noqa: BLE001 - a fault of ours with the settings must not take all objects along
            message = f"Meltemi failed on this object: {type(error).__name__}: {error}"
            fault = Diagnostic(INTERNAL, message, Ref("ConfigMap", *MESH[1:]))
            self._mesh = meshconfig.unread(self._mesh, fault)
        self._change(self._mesh.changes)
        metadata = (document or {}).get("metadata") or {}
        found = self._mesh.findings
        wrong = self._mesh.wrong
        stand = Stand.LAST_GOOD if wrong and wrong <= self._mesh.good else Stand.ITSELF
        verdict = Verdict(found, stand, 0, str(metadata.get("uid") or "")) if found else None
        self.verdicts.tell(MESH, "intake", verdict)

    def _change(self, changes: tuple[Change[Any], ...]) -> None:
        for given in changes:
            for change in self._discovery.through(given, self._intake):
                key = (change.kind.name, change.namespace, change.name)
                self._pending.pop(key, None)
                self._pending[key] = change

    def _flush(self, *, always: bool) -> None:
        if self._pending or always:
            changes, self._pending = tuple(self._pending.values()), {}
            self._submit(changes)

    def _conflicts(self, rank: int) -> Iterator[Diagnostic]:
        """Tell what a source gives in vain."""
        for key, event in self._offers[rank].items():
            owner = self._owner(key)
            if owner is not None and owner < rank:
                message = f"{self._sources[owner].name} has the object, too: that one is in force"
                ref = Ref(event.kind.name, *key[1:])
                yield Diagnostic(GIVEN_AGAIN, message, ref, position=self._sources[rank].position(key))

    def _faults(self, rank: int) -> Iterator[Diagnostic]:
        """Tell what is wrong with the objects of a source that has no status to write it to."""
        for key in self._offers[rank]:
            if self._owner(key) == rank and (verdict := self.verdicts.of(key)) is not None:
                yield from self._placed(key, verdict).findings

    def _placed(self, key: Key, verdict: Verdict) -> Verdict:
        owner = self._owner(key)
        if owner is None:
            return verdict
        place = self._sources[owner].position
        findings = (replace(one, position=place(key, one.path) or one.position) for one in verdict.findings)
        return replace(verdict, findings=tuple(findings))
