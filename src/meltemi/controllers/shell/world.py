"""The copies of collections that the controllers share: one reflector per kind, started once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from meltemi.api import registry
from meltemi.api.core.config import CONFIG_MAP, SERVICE_ACCOUNT
from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.node import NODE
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.api.kind import Kind
from meltemi.api.networking.service_entry import SERVICE_ENTRY
from meltemi.controllers.core.system import ROOT_CONFIG_MAP
from meltemi.controllers.shell.work import isolated
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.reflector import Event, Handler, Reflector

log = logging.getLogger(__name__)

_WHOLE = (NAMESPACE, NODE, SERVICE, POD, ENDPOINT_SLICE, SERVICE_ENTRY)
"""Kinds whose documents are read; of all others the metadata are enough."""

_FIRST = (*_WHOLE, SERVICE_ACCOUNT)
"""Kinds that the controllers need to begin."""


class World:
    """Live copies of every kind. `run` follows them; `synced` waits until those that come first are whole.

    Most kinds are followed for their owners and namespaces only, which nothing at the start of a mesh waits for: they
    come after a pause (`complete` is set then), so that declaring them takes no time from what does.
    """

    def __init__(self, client: KubeClient, pause: float = 0.0) -> None:
        self.client = client
        self.complete = asyncio.Event()
        self.copies: dict[str, Reflector] = {}
        self.kinds: dict[str, Kind[Any]] = {}
        self._pause = pause
        self._add(_FIRST)
        # A ConfigMap's data are read for one name only.
        self.roots = Reflector(client, CONFIG_MAP, field_selector=f"metadata.name={ROOT_CONFIG_MAP}")

    def _add(self, kinds: Iterable[Kind[Any]]) -> tuple[Reflector, ...]:
        made = {kind.resource: kind for kind in kinds if kind.resource not in self.kinds}
        self.kinds |= made
        copies = {name: Reflector(self.client, kind, keep=kind in _WHOLE) for name, kind in made.items()}
        self.copies |= copies
        return tuple(copies.values())

    @property
    def namespaces(self) -> Reflector:
        """All Namespaces."""
        return self.copies[NAMESPACE.resource]

    @property
    def nodes(self) -> Reflector:
        """All Nodes."""
        return self.copies[NODE.resource]

    @property
    def services(self) -> Reflector:
        """All Services."""
        return self.copies[SERVICE.resource]

    @property
    def pods(self) -> Reflector:
        """All Pods."""
        return self.copies[POD.resource]

    @property
    def slices(self) -> Reflector:
        """All EndpointSlices."""
        return self.copies[ENDPOINT_SLICE.resource]

    @property
    def entries(self) -> Reflector:
        """All ServiceEntries."""
        return self.copies[SERVICE_ENTRY.resource]

    @property
    def accounts(self) -> Reflector:
        """All ServiceAccounts, metadata only."""
        return self.copies[SERVICE_ACCOUNT.resource]

    def subscribe(self, copy: Reflector, handler: Handler) -> None:
        """Hear of every change of one copy; an error in the handler is logged and reaches neither copy nor others."""

        def guarded(event: Event) -> None:
            try:
                handler(event)
            except Exception:
                log.exception("%s %s", copy.resource.plural, event.key)

        copy.subscribe(guarded)

    async def run(self) -> None:
        """Follow all collections, for ever."""
        async with asyncio.TaskGroup() as group:

            def follow(copy: Reflector) -> None:
                name = f"copy of {copy.resource.plural}"
                group.create_task(isolated(name, copy.run), name=name)

            for copy in (*self.copies.values(), self.roots):
                follow(copy)
            await self.synced()
            await asyncio.sleep(self._pause)
            rest = self._add(await asyncio.to_thread(_owned))
            for copy in rest:
                follow(copy)
            for copy in rest:
                await copy.synced.wait()
            self.complete.set()

    async def synced(self) -> None:
        """Wait until what comes first is whole."""
        for resource in (kind.resource for kind in _FIRST):
            await self.copies[resource].synced.wait()
        await self.roots.synced.wait()


def _owned() -> tuple[Kind[Any], ...]:
    """Give the kinds whose objects may belong to others or be in a namespace; what is built in has neither."""
    return tuple(
        kind for kind in registry.KINDS if kind.resource != "customresourcedefinitions.apiextensions.k8s.io"
    )
