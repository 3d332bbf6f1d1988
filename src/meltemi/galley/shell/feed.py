"""From the API server to the engine: reflectors of many kinds, and their changes as transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind
from meltemi.galley.core.facts import Intake, Key
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.reflector import DELETED, Event, Handler, Reflector
from meltemi.query import Change

Deliver = Callable[[tuple[Change[Any], ...]], None]


class Feed:
    """Follows kinds and hands their changes on, batched.

    `deliver` is called in the event loop: first once with everything, when every kind is known whole, so that no half
    of the world is ever translated; then once per turn of the loop in which something changed. It must not block.
    Changes of one object come in order; of several changes of one fact in a batch only the last is given.
    """

    def __init__(self, client: KubeClient, kinds: Iterable[Kind[Any]], deliver: Deliver) -> None:
        self.synced = asyncio.Event()
        self._intake = Intake()
        self._deliver = deliver
        self._pending: dict[tuple[str, str, str], Change[Any]] = {}
        self._scheduled = False
        self._reflectors = tuple(
            Reflector(client, kind, handler=self._handler(kind), keep=False, initial_events=True)
            for kind in kinds
        )

    @property
    def findings(self) -> Mapping[Key, tuple[Diagnostic, ...]]:
        """What is wrong with stored objects that are therefore not in force, by (resource, namespace, name)."""
        return self._intake.findings

    @property
    def errors(self) -> tuple[str, ...]:
        """What stands between us and the server now, in its words; empty while all is well."""
        return tuple(reflector.error for reflector in self._reflectors if reflector.error)

    async def run(self) -> None:
        """Follow all kinds until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors:
                tasks.create_task(reflector.run(), name=f"reflector-{reflector.resource.plural}")
            for reflector in self._reflectors:
                await reflector.synced.wait()
            self._flush()
            self.synced.set()

    def _handler(self, kind: Kind[Any]) -> Handler:
        def handle(event: Event) -> None:
            if event.type == DELETED:
                changes = self._intake.drop(kind, event.document)
            else:
                changes = self._intake.put(kind, event.document)
            for change in changes:
                key = (change.kind.name, change.namespace, change.name)
                self._pending.pop(key, None)
                self._pending[key] = change
            if self.synced.is_set() and self._pending and not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._flush)

        return handle

    def _flush(self) -> None:
        self._scheduled = False
        if self._pending:
            changes, self._pending = tuple(self._pending.values()), {}
            self._deliver(changes)
