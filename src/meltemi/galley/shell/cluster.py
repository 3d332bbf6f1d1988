"""The Kubernetes API as a source: a reflector for each kind, and what they see in one turn of the loop together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from meltemi.api.diagnostics import Diagnostic, Position
from meltemi.galley.core.facts import Key
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.reflector import Event, Handler, Reflector
from meltemi.galley.shell.source import Deliver, Scope, SourceEvent


class ClusterSource:
    """Follows kinds of one API server, through its restarts. Of each object it keeps metadata only."""

    def __init__(self, client: KubeClient, scopes: Iterable[Scope], *, name: str = "kubernetes") -> None:
        self.name = name
        self.trusted = True
        self.findings: tuple[Diagnostic, ...] = ()
        self._whole = False
        self._news: list[SourceEvent] = []
        self._deliver: Deliver | None = None
        self._scheduled = False
        self._reflectors = {
            scope.kind.resource: Reflector(
                client,
                scope.kind,
                namespace=scope.namespace,
                field_selector=f"metadata.name={scope.name}" if scope.name else "",
                handler=self._handler(scope),
                keep=False,
                initial_events=True,
            )
            for scope in scopes
        }

    @property
    def errors(self) -> tuple[str, ...]:
        """What the server says, or why there is none, each once."""
        found = (reflector.error for reflector in self._reflectors.values())
        return tuple(dict.fromkeys(error for error in found if error))

    def holds(self, key: Key) -> bool:
        """Say whether the server has an object."""
        reflector = self._reflectors.get(key[0])
        return reflector is not None and reflector.get(key[1], key[2]) is not None

    def position(self, key: Key, path: str = "") -> Position | None:  # noqa: ARG002 - the interface's
        """Give nothing: what was applied is not kept as text."""
        return None

    async def run(self, deliver: Deliver) -> None:
        """Follow all kinds; the first batch is told when every kind is known whole."""
        self._deliver = deliver
        try:
            async with asyncio.TaskGroup() as tasks:
                for reflector in self._reflectors.values():
                    tasks.create_task(reflector.run(), name=f"reflector-{reflector.resource.plural}")
                for reflector in self._reflectors.values():
                    await reflector.synced.wait()
                first, self._whole = not self._whole, True
                self._flush(always=first)
        finally:
            self._deliver = None

    def _handler(self, scope: Scope) -> Handler:
        def handle(event: Event) -> None:
            self._news.append(SourceEvent(event.type, scope.kind, event.document))
            if self._whole and not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._flush)

        return handle

    def _flush(self, *, always: bool = False) -> None:
        self._scheduled = False
        # Between two runs what was seen last waits for the next one.
        if self._deliver is not None and (always or self._news):
            news, self._news = tuple(self._news), []
            self._deliver(news)
