"""All controllers in one task group, each isolated from the others' errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from meltemi.controllers.core.settings import Settings
from meltemi.controllers.shell.allocation import Allocation
from meltemi.controllers.shell.endpoints import Endpoints
from meltemi.controllers.shell.garbage import Collector
from meltemi.controllers.shell.gateways import Gateways
from meltemi.controllers.shell.namespaces import Deletion
from meltemi.controllers.shell.scheduling import LostPods, Scheduler
from meltemi.controllers.shell.system import Namespaces, bootstrap
from meltemi.controllers.shell.work import isolated
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.kube import ApiError, KubeClient, UnreachableError
from meltemi.galley.shell.reflector import Backoff

log = logging.getLogger(__name__)


async def run(client: KubeClient, settings: Settings, ready: asyncio.Event | None = None) -> None:
    """Run every controller until cancelled.

    `ready` is set once the system's own objects exist and the controllers have seen the world. An API server that
    is away is normal: everything is tried again.
    """
    await _until_done(lambda: bootstrap(client, settings))
    world = World(client, settings.pause)
    async with asyncio.TaskGroup() as group:
        group.create_task(world.run(), name="controllers' copies")
        await world.synced()
        # Made anew after an error: a controller's own tables must not outlive what it has seen.
        makers: dict[str, Callable[[], Awaitable[None]]] = {
            "endpointslices": lambda: Endpoints(world).run(),
            "namespace defaults": lambda: Namespaces(world, settings).run(),
            "service entries": lambda: Allocation(world).run(),
            "scheduler": lambda: Scheduler(world).run(),
            "lost pods": lambda: LostPods(world, settings).run(),
            "namespace deletion": lambda: Deletion(world).run(),
            "garbage": lambda: Collector(world).run(),
            "gateways": lambda: Gateways(world).run(),
        }
        for name, make in makers.items():
            group.create_task(isolated(name, make), name=f"controller {name}")
        if ready is not None:
            ready.set()


async def _until_done(act: Callable[[], Awaitable[None]]) -> None:
    """Do something that may be repeated, until it succeeds."""
    backoff = Backoff(cap=2.0)
    while True:
        try:
            await act()
        except (ApiError, UnreachableError) as error:
            log.info("at start: %s", error)
            await asyncio.sleep(backoff.next())
        else:
            return
