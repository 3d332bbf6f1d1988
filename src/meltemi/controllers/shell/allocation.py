"""Gives addresses to the hosts of ServiceEntries, and tells them in `status.addresses`."""

from __future__ import annotations

from meltemi.api.networking.service_entry import SERVICE_ENTRY
from meltemi.controllers.core import allocation as core
from meltemi.controllers.core.documents import key_of, text
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import Patch
from meltemi.galley.shell.reflector import Event, Key


class Allocation:
    """One ServiceEntry after the other. Of two that have one address the user's word stands, then the older object."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: Work[Key] = Work("addresses of service entries")
        self._held: dict[Key, tuple[str, ...]] = {}
        self._holders: dict[str, set[Key]] = {}

    async def run(self) -> None:
        """Give addresses, for ever."""
        # What everyone has is known before the first is given away.
        for document in self._world.entries:
            self._hold(key_of(document), core.held(document))
        self._world.subscribe(self._world.entries, self._on_entry)
        await self._work.run(self._reconcile)

    def _on_entry(self, event: Event) -> None:
        gone = event.type == "DELETED"
        self._hold(event.key, () if gone else core.held(event.document))
        if not gone:
            self._work.add(event.key)
        for address in self._held.get(event.key, ()):
            for other in self._holders[address]:
                self._work.add(other)

    def _hold(self, key: Key, addresses: tuple[str, ...]) -> None:
        for address in self._held.pop(key, ()):
            self._holders[address].discard(key)
        if addresses:
            self._held[key] = addresses
        for address in addresses:
            self._holders.setdefault(address, set()).add(key)

    async def _reconcile(self, key: Key) -> None:
        document = self._world.entries.get(*key)
        made = None if document is None else core.rows(document, lambda one: self._is_taken(one, key))
        if document is None or made is None:
            return
        # Before it is written, so that the next one does not get the same.
        self._hold(key, tuple(row["value"] for row in made))
        await self._world.client.patch(
            SERVICE_ENTRY, *key, core.patch(document, made), patch=Patch.MERGE, subresource="status"
        )

    def _is_taken(self, address: str, key: Key) -> bool:
        others = self._holders.get(address, set()) - {key}
        if address not in self._held.get(key, ()):
            return bool(others)
        mine = self._right(key)
        return any(self._right(other) < mine for other in others)

    def _right(self, key: Key) -> tuple[bool, str, Key]:
        """Order entries by their right to an address: what the user gave first, then the oldest."""
        document = self._world.entries.get(*key) or {}
        return (bool(core.hosts(document)), text(document, "metadata", "creationTimestamp"), key)
