"""Deletes what belonged to objects that are gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from meltemi.api.registry import find as find_kind
from meltemi.api.registry import split
from meltemi.controllers.core import garbage as core
from meltemi.controllers.core.documents import key_of, name_of, namespace_of, rows, uid_of
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import Document
from meltemi.galley.shell.reflector import Event, Handler, Key

Where = tuple[str, Key]
"""A kind's resource, and the key of an object of it."""


class Collector:
    """Looks at an object when it gets an owner, when an owner goes, and when it waits for what it owns."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: Work[Where] = Work("garbage")
        self._owned: dict[str, set[Where]] = {}

    async def run(self) -> None:
        """Collect, for ever, once every kind is known whole: an owner's kind must not be missed."""
        await self._world.complete.wait()
        for resource, copy in self._world.copies.items():
            self._world.subscribe(copy, self._handler(resource))
        await self._work.run(self._reconcile)

    def _handler(self, resource: str) -> Handler:
        def on(event: Event) -> None:
            where = (resource, event.key)
            for row in (event.old, event.document):
                for owner in rows(row, "metadata", "ownerReferences") if row is not None else ():
                    uid = str(owner.get("uid") or "")
                    if row is event.document and event.type != "DELETED":
                        self._owned.setdefault(uid, set()).add(where)
                    else:
                        self._disown(uid, where)
            if event.type == "DELETED":
                for dependent in sorted(self._owned.get(uid_of(event.document), ())):
                    self._work.add(dependent)
                # What waited for this one to go, in the foreground.
                for owner in rows(event.document, "metadata", "ownerReferences"):
                    self._wake_owner(owner, event.document)
            elif core.is_owned(event.document) or core.finalizer_to_settle(event.document):
                self._work.add(where)

        return on

    def _disown(self, uid: str, where: Where) -> None:
        held = self._owned.get(uid)
        if held is not None:
            held.discard(where)
            if not held:
                del self._owned[uid]

    def _wake_owner(self, owner: Mapping[str, Any], dependent: Document) -> None:
        kind = find_kind(*split(str(owner.get("apiVersion") or "")), str(owner.get("kind") or ""))
        if kind is not None:
            namespace = namespace_of(dependent) if kind.namespaced else ""
            self._work.add((kind.resource, (namespace, str(owner.get("name") or ""))))

    async def _reconcile(self, where: Where) -> None:
        resource, key = where
        document = self._world.copies[resource].get(*key)
        if document is None:
            return
        finalizer = core.finalizer_to_settle(document)
        if finalizer:
            await self._settle(resource, document, finalizer)
        elif core.is_garbage(document, self._uid) and await self._surely_garbage(document):
            kind = self._world.kinds[resource]
            await self._world.client.delete(kind, *key, uid=uid_of(document), propagation="Background")

    def _uid(self, api_version: str, kind_name: str, namespace: str, name: str) -> str | None:
        kind = find_kind(*split(api_version), kind_name)
        if kind is None or kind.resource not in self._world.copies:
            return None
        row = self._world.copies[kind.resource].get(namespace if kind.namespaced else "", name)
        return uid_of(row) if row is not None else ""

    async def _surely_garbage(self, document: Document) -> bool:
        """Ask the server itself before deleting: our copy of an owner's kind may be a moment behind."""
        fresh: dict[tuple[str, str, str, str], str | None] = {}
        for owner in rows(document, "metadata", "ownerReferences"):
            api_version, kind_name, name = (
                str(owner.get(field) or "") for field in ("apiVersion", "kind", "name")
            )
            kind = find_kind(*split(api_version), kind_name)
            if kind is None:
                return False
            row = await self._world.client.find(kind, namespace_of(document) if kind.namespaced else "", name)
            fresh[api_version, kind_name, namespace_of(document), name] = (
                uid_of(row) if row is not None else ""
            )
        look: Callable[[str, str, str, str], str | None] = lambda *key: fresh.get(key)  # noqa: E731
        return core.is_garbage(document, look)

    async def _settle(self, resource: str, owner: Document, finalizer: str) -> None:
        """End a deletion in the foreground, or one that leaves orphans."""
        client, kind = self._world.client, self._world.kinds[resource]
        dependents = [
            (row, self._world.kinds[where[0]])
            for where in sorted(self._owned.get(uid_of(owner), ()))
            if (row := self._world.copies[where[0]].get(*where[1])) is not None
        ]
        if finalizer == core.ORPHAN:
            for row, dependent_kind in dependents:
                fresh = await client.get(dependent_kind, *key_of(row))
                await client.replace(dependent_kind, core.without_owner(fresh, owner))
        else:
            for row, dependent_kind in dependents:
                if not row.get("metadata", {}).get("deletionTimestamp"):
                    await client.delete(
                        dependent_kind, *key_of(row), uid=uid_of(row), propagation="Foreground"
                    )
            if core.foreground_waits(owner, (row for row, _ in dependents)):
                return
        fresh = await client.get(kind, namespace_of(owner), name_of(owner))
        await client.replace(kind, core.without_finalizer(fresh, finalizer))
