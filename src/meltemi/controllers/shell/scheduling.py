"""Binds waiting Pods to a Node, and ends the Pods of a Node that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from meltemi.api.core.pod import POD
from meltemi.controllers.core import scheduling as core
from meltemi.controllers.core.documents import key_of, name_of, namespace_of, uid_of
from meltemi.controllers.core.settings import Settings
from meltemi.controllers.shell.work import Work
from meltemi.controllers.shell.world import World
from meltemi.galley.shell.reflector import Event, Key


def rfc3339_now() -> str:
    """Give the time of day as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Scheduler:
    """One waiting Pod after the other; all of them again when a Node changes."""

    def __init__(self, world: World, clock: Callable[[], str] = rfc3339_now) -> None:
        self._world = world
        self._clock = clock
        self._work: Work[Key] = Work("scheduler")

    async def run(self) -> None:
        """Bind Pods, for ever."""
        self._world.subscribe(self._world.pods, self._on_pod)
        self._world.subscribe(self._world.nodes, self._on_node)
        await self._work.run(self._reconcile)

    def _on_pod(self, event: Event) -> None:
        if event.type != "DELETED" and core.is_waiting(event.document):
            self._work.add(event.key)

    def _on_node(self, event: Event) -> None:
        del event
        for pod in self._world.pods:
            if core.is_waiting(pod):
                self._work.add(key_of(pod))

    async def _reconcile(self, key: Key) -> None:
        pod = self._world.pods.get(*key)
        if pod is None or not core.is_waiting(pod):
            return
        nodes = tuple(self._world.nodes)
        node = core.choose_node(pod, nodes)
        client = self._world.client
        if node:
            await client.create(POD, core.binding(pod, node), subresource="binding")
            return
        patch = core.unschedulable(pod, core.reason_against(pod, nodes), self._clock())
        if patch is not None:
            await client.patch(POD, *key, patch, subresource="status")


class LostPods:
    """Deletes Pods bound to a Node that has been gone for a while: a restarted agent registers anew in that time."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings

    async def run(self) -> None:
        """Look for lost Pods, for ever."""
        suspects: dict[str, float] = {}
        now = asyncio.get_running_loop().time
        while True:
            lost = {uid_of(pod): pod for pod in core.orphans(self._world.pods, self._world.nodes)}
            suspects = {uid: suspects.get(uid, now()) for uid in lost}
            for uid, since in suspects.items():
                if now() - since >= self._settings.lost_after:
                    pod = lost[uid]
                    await self._world.client.delete(
                        POD, namespace_of(pod), name_of(pod), uid=uid, grace_seconds=0
                    )
            await asyncio.sleep(min(self._settings.recheck, max(self._settings.lost_after / 4, 0.05)))
