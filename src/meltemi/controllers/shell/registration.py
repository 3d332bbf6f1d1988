"""Keeps the WorkloadEntries of workloads that connect by themselves: made, marked, found healthy, taken away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from meltemi.api.networking.workload_entry import WORKLOAD_ENTRY
from meltemi.api.networking.workload_group import WORKLOAD_GROUP
from meltemi.citadel.core.identity import Identity
from meltemi.controllers.core import registration as core
from meltemi.controllers.core.documents import key_of, text
from meltemi.controllers.shell.work import Work
from meltemi.galley.shell.kube import ApiError, Document, KubeClient, Patch, UnreachableError
from meltemi.galley.shell.reflector import Key
from meltemi.pilot.shell.outside import Unwelcome
from meltemi.pilot.wire.messages import Hint

_log = logging.getLogger(__name__)

GRACE: Final = 10.0
"""Seconds that the entry of a workload which went is kept, as in Istio."""
RETURN: Final = 60.0
"""Seconds in which those that were here come back after the control plane was away."""


class Registration:
    """A `pilot.shell.outside.Registrar`. `run()` works until cancelled. `clock`: the wall clock in UTC."""

    def __init__(self, client: KubeClient, clock: Callable[[], datetime], grace: float = GRACE) -> None:
        self._client = client
        self._clock = clock
        self._grace = grace
        self._here: set[Key] = set()
        self._health: dict[Key, str | None] = {}
        self._gone: Work[Key] = Work("workloads that went")
        self._reports: Work[Key] = Work("health of workloads")

    async def run(self) -> None:
        """Mark and delete, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._gone.run(self._settle))
            group.create_task(self._reports.run(self._tell))
            await self._recall()

    async def join(self, identity: Identity, node: Hint) -> str:
        """Take a workload in: of its own namespace, by the account that its group names. Raises Unwelcome."""
        try:
            one = core.joining(node.id, node.metadata, node.labels, node.locality, probed=node.probed)
        except ValueError as error:
            raise Unwelcome(f"the workload gives no address: {error}") from None
        if one is None:
            raise Unwelcome(
                "the token is not bound to a Pod, and no AUTO_REGISTER_GROUP is named", forbidden=True
            )
        namespace = identity.namespace
        said = node.metadata.get("NAMESPACE", namespace)
        if said != namespace:
            raise Unwelcome(f"an account of {namespace} has no workloads in {said}", forbidden=True)
        try:
            await self._join(identity, one)
        except (ApiError, UnreachableError) as error:
            raise Unwelcome(f"the workload cannot be registered: {error}") from error
        return core.entry_name(one)

    async def _join(self, identity: Identity, one: core.Joining) -> None:
        namespace, name = identity.namespace, core.entry_name(one)
        group = await self._get_group(namespace, one.group)
        wanted = text(group, "spec", "template", "serviceAccount")
        if wanted and wanted != identity.service_account:
            raise Unwelcome(
                f"workloads of {namespace}/{one.group} run as {wanted}, not as {identity.service_account}",
                forbidden=True,
            )
        try:
            await self._enter(group, one)
        except (ApiError, UnreachableError, asyncio.CancelledError):
            # It may have been heard all the same, and nobody would ever be told that the workload went.
            self._gone.later((namespace, name), self._grace)
            raise
        self._here.add((namespace, name))

    async def _enter(self, group: Document, one: core.Joining) -> None:
        (namespace, _), name, now = key_of(group), core.entry_name(one), self._clock()
        try:
            await self._client.create(WORKLOAD_ENTRY, core.entry_of(group, one, now))
            _log.info("registered workload %s/%s", namespace, name)
        except ApiError as error:
            if not error.already_exists:
                raise
            known = await self._client.get(WORKLOAD_ENTRY, namespace, name)
            if core.group_of(known) != one.group:
                raise Unwelcome(f"WorkloadEntry {namespace}/{name} is no workload of {one.group}") from None
            await self._client.patch(WORKLOAD_ENTRY, namespace, name, core.connected(now), patch=Patch.MERGE)

    async def _get_group(self, namespace: str, name: str) -> Document:
        try:
            return await self._client.get(WORKLOAD_GROUP, namespace, name)
        except ApiError as error:
            if error.not_found:
                raise Unwelcome(f"cannot find WorkloadGroup {namespace}/{name}") from None
            raise

    def left(self, namespace: str, name: str) -> None:
        """The last stream of a workload has ended."""
        self._here.discard((namespace, name))
        self._gone.add((namespace, name))

    def reported(self, namespace: str, name: str, fault: str | None) -> None:
        """A workload serves (None), or what is wrong with it."""
        self._health[namespace, name] = fault
        self._reports.add((namespace, name))

    async def _recall(self) -> None:
        """Look at the entries of an earlier life: who was here and does not come back has gone."""
        while True:
            try:
                listed = await self._client.list(WORKLOAD_ENTRY)
            except (ApiError, UnreachableError) as error:
                _log.info("workload entries: %s", error)
                await asyncio.sleep(1.0)
            else:
                break
        for entry in listed.items:
            if core.is_connected(entry):
                self._gone.later(key_of(entry), RETURN)
            elif core.seconds_left(entry, self._clock(), self._grace) is not None:
                self._gone.add(key_of(entry))

    async def _settle(self, key: Key) -> None:
        """Mark an entry whose workload is not here, and delete it when its time has come."""
        if key in self._here:
            return
        entry = await self._find(key)
        if entry is None:
            return
        now = self._clock()
        if core.is_connected(entry):
            await self._client.patch(WORKLOAD_ENTRY, *key, core.disconnected(now), patch=Patch.MERGE)
            if key in self._here:
                # It came back meanwhile.
                await self._client.patch(WORKLOAD_ENTRY, *key, core.connected(now), patch=Patch.MERGE)
                return
            self._gone.later(key, self._grace)
            return
        left = core.seconds_left(entry, now, self._grace)
        if left is None:
            return
        if left > 0:
            self._gone.later(key, left)
            return
        if key in self._here:
            return
        version = text(entry, "metadata", "resourceVersion")
        await self._client.delete(WORKLOAD_ENTRY, *key, resource_version=version)
        self._health.pop(key, None)
        _log.info("workload %s/%s is gone", *key)

    async def _tell(self, key: Key) -> None:
        """Write what was reported last."""
        entry = await self._find(key)
        if entry is None or key not in self._health:
            self._health.pop(key, None)
            return
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        patch = core.healthy(entry, self._health[key], now)
        await self._client.patch(WORKLOAD_ENTRY, *key, patch, patch=Patch.MERGE, subresource="status")

    async def _find(self, key: Key) -> Document | None:
        try:
            return await self._client.get(WORKLOAD_ENTRY, *key)
        except ApiError as error:
            if error.not_found:
                return None
            raise
