"""Makes what every mesh and every namespace has: system namespaces, Service `kubernetes`, accounts, the root."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from meltemi.api.core.config import CONFIG_MAP, SERVICE_ACCOUNT
from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.service import SERVICE
from meltemi.api.kind import Kind
from meltemi.controllers.core import system
from meltemi.controllers.core.documents import name_of
from meltemi.controllers.core.settings import Settings
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import ApiError, KubeClient
from meltemi.galley.shell.reflector import Event


async def bootstrap(client: KubeClient, settings: Settings) -> None:
    """Make what must be there before anything else; what is there already stays as it is.

    Raises what the client raises: the caller tries again.
    """
    for name in system.NAMESPACES:
        await create_missing(client, NAMESPACE, system.namespace(name))
    # An account and the root at once for the namespaces that the first apps land in: no one has to wait for a loop.
    for name in system.NAMESPACES:
        await create_missing(client, SERVICE_ACCOUNT, system.default_account(name))
        await create_missing(client, CONFIG_MAP, system.root_config_map(name, settings.root_certificate()))
    await create_missing(client, SERVICE, system.api_service(settings.api_address, settings.api_port))
    endpoint = settings.api_endpoint or settings.api_address
    await create_missing(client, ENDPOINT_SLICE, system.api_slice(endpoint, settings.api_port))


async def create_missing(client: KubeClient, kind: Kind[Any], document: Mapping[str, Any]) -> None:
    """Create an object unless it is there."""
    try:
        await client.create(kind, document)
    except ApiError as error:
        if not error.already_exists:
            raise


class Namespaces:
    """Gives each namespace its default account and the ConfigMap with the mesh's root certificate, and keeps both."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._work: Work[str] = Work("namespace defaults")

    async def run(self) -> None:
        """Keep accounts and roots, for ever."""
        self._world.subscribe(self._world.namespaces, lambda event: self._work.add(event.key[1]))
        self._world.subscribe(self._world.accounts, self._on_owned)
        self._world.subscribe(self._world.roots, self._on_owned)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work.run(self._reconcile))
            group.create_task(self._recheck())

    def _on_owned(self, event: Event) -> None:
        if event.type != "ADDED":
            self._work.add(event.key[0])

    async def _recheck(self) -> None:
        """Look at all namespaces when the root certificate has changed: no event says so."""
        former = self._settings.root_certificate()
        while True:
            await asyncio.sleep(self._settings.recheck)
            current = self._settings.root_certificate()
            if current != former:
                for row in self._world.namespaces:
                    self._work.add(name_of(row))
                former = current

    async def _reconcile(self, name: str) -> None:
        namespace = self._world.namespaces.get("", name)
        if namespace is None:
            return
        client = self._world.client
        account = self._world.accounts.get(name, system.DEFAULT_ACCOUNT)
        for document in system.missing_accounts([namespace], [account] if account else []):
            await create_missing(client, SERVICE_ACCOUNT, document)
        root = self._world.roots.get(name, system.ROOT_CONFIG_MAP)
        create, update = system.root_writes(
            [namespace], [root] if root else [], self._settings.root_certificate()
        )
        for document in create:
            await create_missing(client, CONFIG_MAP, document)
        for document in update:
            await client.replace(CONFIG_MAP, document)
