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
from meltemi.controllers.core.system import ROOT_CONFIG_MAP
from meltemi.controllers.shell.work import isolated
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.reflector import Event, Handler, Reflector

log = logging.getLogger(__name__)

_WHOLE = (NAMESPACE, NODE, SERVICE, POD, ENDPOINT_SLICE)
"""Kinds whose documents are read; of all others the metadata are enough."""


class World:
    """Live copies of every kind. `run` follows them; `synced` waits until all are whole."""

    def __init__(self, client: KubeClient, kinds: Iterable[Kind[Any]] | None = None) -> None:
        self.client = client
        kinds = registry.KINDS if kinds is None else tuple(kinds)
        self.copies: dict[str, Reflector] = {
            kind.resource: Reflector(client, kind, keep=kind in _WHOLE) for kind in kinds
        }
        self.kinds: dict[str, Kind[Any]] = {kind.resource: kind for kind in kinds}
        # A ConfigMap's data are read for one name only.
        self.roots = Reflector(client, CONFIG_MAP, field_selector=f"metadata.name={ROOT_CONFIG_MAP}")

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
            for copy in (*self.copies.values(), self.roots):
                name = f"copy of {copy.resource.plural}"
                group.create_task(isolated(name, copy.run), name=name)

    async def synced(self) -> None:
        """Wait until every copy is whole."""
        for copy in (*self.copies.values(), self.roots):
            await copy.synced.wait()
