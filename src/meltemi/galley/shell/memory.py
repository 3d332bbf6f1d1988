"""A source that is told what it holds: for tests, and for whoever has objects at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic, Position
from meltemi.galley.core.facts import Document, Key, key_of
from meltemi.galley.shell.source import ADDED, DELETED, MODIFIED, Deliver, SourceEvent


class MemorySource:
    """Holds documents of known kinds; `put` and `delete` are seen by who runs it as one batch per turn of the loop."""

    def __init__(self, documents: Iterable[Document] = (), *, name: str = "memory") -> None:
        self.name = name
        self.trusted = False
        self.errors: tuple[str, ...] = ()
        self.findings: tuple[Diagnostic, ...] = ()
        self._held: dict[Key, Document] = {}
        self._news: list[SourceEvent] = []
        self._wake = asyncio.Event()
        self._told = False
        self.put(*documents)

    def put(self, *documents: Document) -> None:
        """Hold documents, each in the place of the one of its name; raises LookupError for an unknown kind."""
        for document in documents:
            kind = registry.of_document(document)
            if kind is None:
                raise LookupError(f"no kind {document.get('apiVersion')} {document.get('kind')}")
            key: Key = (kind.resource, *key_of(document))
            old = self._held.get(key)
            if old != document:
                self._held[key] = document
                self._tell(SourceEvent(ADDED if old is None else MODIFIED, kind, document))

    def delete(self, document: Document) -> None:
        """Let go of the object that a document names; raises LookupError where there is none."""
        kind = registry.of_document(document)
        if kind is None:
            raise LookupError(f"no kind {document.get('apiVersion')} {document.get('kind')}")
        self._tell(SourceEvent(DELETED, kind, self._held.pop((kind.resource, *key_of(document)))))

    def holds(self, key: Key) -> bool:
        """Say whether it has an object."""
        return key in self._held

    def position(self, key: Key, path: str = "") -> Position | None:  # noqa: ARG002 - the interface's
        """Give nothing: there is no text."""
        return None

    async def run(self, deliver: Deliver) -> None:
        """Tell everything, then what changes."""
        while True:
            news, self._news = tuple(self._news), []
            self._wake.clear()
            if news or not self._told:
                self._told = True
                deliver(news)
            await self._wake.wait()

    def _tell(self, event: SourceEvent) -> None:
        self._news.append(event)
        self._wake.set()
