"""Keeps the EndpointSlices of every Service with a selector."""

from __future__ import annotations

from collections.abc import Iterable

from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE
from meltemi.controllers.core import endpointslices as core
from meltemi.controllers.core.documents import matches, name_of, namespace_of, section
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import Document
from meltemi.galley.shell.reflector import Event, Key, key_of


class Endpoints:
    """One Service after the other; Pods wake only the Services that select them, before or after the change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: Work[Key] = Work("endpointslices")
        self._services: dict[str, dict[str, Document]] = {}
        self._pods: dict[str, dict[str, Document]] = {}
        self._slices: dict[Key, dict[str, Document]] = {}

    async def run(self) -> None:
        """Keep slices, for ever."""
        self._world.subscribe(self._world.services, self._on_service)
        self._world.subscribe(self._world.pods, self._on_pod)
        self._world.subscribe(self._world.slices, self._on_slice)
        self._world.subscribe(self._world.nodes, self._on_node)
        await self._work.run(self._reconcile)

    def _on_service(self, event: Event) -> None:
        _index(self._services, event)
        self._work.add(event.key)

    def _on_pod(self, event: Event) -> None:
        _index(self._pods, event)
        namespace = event.key[0]
        labels = [
            section(row, "metadata", "labels") for row in (event.document, event.old) if row is not None
        ]
        for name, service in self._services.get(namespace, {}).items():
            selector = section(service, "spec", "selector")
            if selector and any(matches(selector, row) for row in labels):
                self._work.add((namespace, name))

    def _on_slice(self, event: Event) -> None:
        for row in (event.old, event.document):
            if row is not None and core.is_managed(row):
                key = core.service_of(row)
                held = self._slices.setdefault(key, {})
                held.pop(name_of(row), None)
                if row is event.document and event.type != "DELETED":
                    held[name_of(row)] = row
                if not held:
                    del self._slices[key]
                self._work.add(key)

    def _on_node(self, event: Event) -> None:
        before = _zone(event.old) if event.old is not None else ""
        if event.type == "DELETED" or before != _zone(event.document):
            for service in self._world.services:
                self._work.add(key_of(service))

    async def _reconcile(self, key: Key) -> None:
        client = self._world.client
        zones = {name_of(node): _zone(node) for node in self._world.nodes}
        pods: Iterable[Document] = self._pods.get(key[0], {}).values()
        slices = self._slices.get(key, {}).values()
        plan = core.plan(self._world.services.get(*key), pods, zones, slices)
        # What appears first, so that no reader sees a Service without the endpoints that it keeps.
        for document in plan.create:
            await client.create(ENDPOINT_SLICE, document)
        for document in plan.update:
            await client.replace(ENDPOINT_SLICE, document)
        for row in plan.delete:
            await client.delete(ENDPOINT_SLICE, namespace_of(row), name_of(row))


def _index(table: dict[str, dict[str, Document]], event: Event) -> None:
    namespace, name = key_of(event.document)
    held = table.setdefault(namespace, {})
    if event.type == "DELETED":
        held.pop(name, None)
    else:
        held[name] = event.document
    if not held:
        del table[namespace]


def _zone(node: Document) -> str:
    return str(section(node, "metadata", "labels").get(core.ZONE) or "")
