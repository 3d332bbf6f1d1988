"""Deletes what is in a namespace that is being deleted, then lets it go."""

from __future__ import annotations

from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.pod import POD
from meltemi.api.kind import Kind
from meltemi.controllers.core import namespaces as core
from meltemi.controllers.core.documents import being_deleted, name_of
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import ApiError
from meltemi.galley.shell.reflector import Event

_PAUSE = 0.2
"""Seconds until a namespace is looked at again whose Pods are still ending."""


class Deletion:
    """One namespace after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: Work[str] = Work("namespace deletion")

    async def run(self) -> None:
        """Empty and finalize namespaces, for ever, once every kind is known: no object of one must be left."""
        await self._world.complete.wait()
        self._world.subscribe(self._world.namespaces, self._on_namespace)
        await self._work.run(self._reconcile)

    def _on_namespace(self, event: Event) -> None:
        if event.type != "DELETED" and core.is_waiting(event.document):
            self._work.add(event.key[1])

    async def _reconcile(self, name: str) -> None:
        namespace = self._world.namespaces.get("", name)
        if namespace is None or not core.is_waiting(namespace):
            return
        left = 0
        for resource in core.emptying_order(
            resource for resource, kind in self._world.kinds.items() if kind.namespaced
        ):
            left += await self._empty(self._world.kinds[resource], name)
            if left and resource == POD.resource:
                # What Pods still need while they end (accounts, Services) goes after them.
                break
        if left:
            self._work.later(name, _PAUSE)
            return
        client = self._world.client
        fresh = await client.get(NAMESPACE, "", name)
        await client.replace(NAMESPACE, core.finalized(fresh), subresource="finalize")

    async def _empty(self, kind: Kind[object], namespace: str) -> int:
        """Delete what the server has of one kind, not what our copy has; return how many were still there."""
        client = self._world.client
        listing = await client.list(kind, namespace)
        for row in listing.items:
            if being_deleted(row):
                continue
            try:
                await client.delete(kind, namespace, name_of(row))
            except ApiError as error:
                if not error.not_found:
                    raise
        # Objects without finalizers and grace are gone with the answer.
        return len((await client.list(kind, namespace)).items) if listing.items else 0
