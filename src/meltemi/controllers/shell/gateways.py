"""Makes a proxy for each Gateway of the Gateway API that names no address, and keeps it as the Gateway says."""

from __future__ import annotations

import asyncio
import logging

from meltemi.api.core.config import SERVICE_ACCOUNT
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.api.gatewayapi.gateway import GATEWAY
from meltemi.api.gatewayapi.gateway_class import GATEWAY_CLASS
from meltemi.api.gatewayapi.listener_set import LISTENER_SET
from meltemi.controllers.core import gateways as core
from meltemi.controllers.core.documents import being_deleted, key_of
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import Patch
from meltemi.galley.shell.reflector import Event, Key, Reflector

log = logging.getLogger(__name__)


class Gateways:
    """One Gateway after the other. What is made belongs to it, and is collected when it is gone.

    Where something of that name is there already and is not the Gateway's, nothing is made: its status says so.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._work: Work[Key] = Work("gateways")
        client = world.client
        self._gateways = Reflector(client, GATEWAY, handler=lambda event: self._work.add(event.key))
        self._classes = Reflector(client, GATEWAY_CLASS, handler=self._all)
        self._sets = Reflector(client, LISTENER_SET, handler=self._all)

    async def run(self) -> None:
        """Make and keep proxies, for ever."""
        copies = (self._gateways, self._classes, self._sets)
        async with asyncio.TaskGroup() as group:
            for copy in copies:
                group.create_task(copy.run())
            for copy in copies:
                await copy.synced.wait()
            for copy in (self._world.pods, self._world.services, self._world.accounts):
                self._world.subscribe(copy, self._on_deleted)
            await self._work.run(self._reconcile)

    def _all(self, _event: Event) -> None:
        for row in self._gateways:
            self._work.add(key_of(row))

    def _on_deleted(self, event: Event) -> None:
        """Look at a Gateway again when what was made for it has gone, or what stood in the way of that."""
        if event.type == "DELETED":
            for row in self._gateways:
                if (key_of(row)[0], core.name_for(row)) == event.key:
                    self._work.add(key_of(row))

    async def _reconcile(self, key: Key) -> None:
        gateway = self._gateways.get(*key)
        if gateway is None or being_deleted(gateway) or not core.is_served(gateway, self._classes):
            return
        client, namespace, name = self._world.client, key[0], core.name_for(gateway)
        found = {kind: await client.find(kind, namespace, name) for kind in (SERVICE_ACCOUNT, SERVICE, POD)}
        for kind, there in found.items():
            if there is not None and not core.is_own(there, gateway):
                log.warning(
                    "%s %s/%s is not Gateway %s's: nothing is made", kind.name, namespace, name, key[1]
                )
                return
        sets = [row for row in self._sets if core.set_of(row, gateway)]
        for kind, document in (
            (SERVICE_ACCOUNT, core.account(gateway)),
            (SERVICE, core.service(gateway, sets)),
        ):
            await client.patch(
                kind,
                namespace,
                name,
                document,
                patch=Patch.APPLY,
                field_manager=core.MANAGER,
                force=True,
            )
        wanted = core.pod(gateway)
        there = found[POD]
        if there is None:
            await client.create(POD, wanted)
        elif (patch := core.relabelled(there, wanted)) is not None:
            await client.patch(POD, namespace, name, patch)
