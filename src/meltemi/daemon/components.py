"""The mesh's own processes as pods of `istio-system`: no row without a process, and each says what its process does.

They are mirror pods, as a kubelet makes for what it runs without the API: nobody starts or stops anything by them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from meltemi.addons.local import SYSTEM
from meltemi.agent.shell.net_init import AsyncClient, InitError
from meltemi.api.core.pod import POD
from meltemi.daemon.specs import NODE
from meltemi.galley.shell.kube import ApiError, KubeClient, Patch, UnreachableError
from meltemi.init.core import Layout
from meltemi.init.wire import Process

_log = logging.getLogger(__name__)

MIRROR = "kubernetes.io/config.mirror"
SHOWN_AS = {"daemon": "istiod", "agent": "meltemi-agent"}
"""Names that users of Istio and Kubernetes look for, where they differ from the process'."""

_QUIET = 0.2
_AGAIN = 1.0


def pod_name(process: str) -> str:
    """Name a process' pod as static pods are named: with the node behind it."""
    return f"{SHOWN_AS.get(process, process)}-{NODE}"


def pod_of(process: Process) -> dict[str, Any]:
    """Build the pod of a process."""
    shown = SHOWN_AS.get(process.name, process.name)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(process.name),
            "namespace": SYSTEM,
            "labels": {"app": shown, "istio": "pilot" if shown == "istiod" else shown},
            "annotations": {MIRROR: process.name},
        },
        "spec": {
            "nodeName": NODE,
            "hostNetwork": True,
            "containers": [{"name": shown, "image": "meltemi"}],
        },
    }


def status_of(process: Process) -> dict[str, Any]:
    """Build the pod's status from what init says of the process; times are init's, in seconds since the epoch."""
    running = process.state == "running"
    if running:
        state: dict[str, Any] = {"running": {"startedAt": _time(process.started)}}
    else:
        state = {"waiting": {"reason": process.state.capitalize(), "message": process.error or process.last}}
    condition = {
        "status": str(running),
        "lastTransitionTime": _time(process.started if running else process.ended),
    }
    row = {
        "name": SHOWN_AS.get(process.name, process.name),
        "image": "meltemi",
        "imageID": "",
        "ready": running,
        "started": running,
        "restartCount": process.restarts,
        "state": state,
    }
    return {
        "phase": "Running",
        "startTime": _time(process.started),
        "conditions": [{"type": kind, **condition} for kind in ("Initialized", "ContainersReady", "Ready")],
        "containerStatuses": [row],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Components:
    """Keeps the rows true; `run()` works until cancelled."""

    def __init__(self, layout: Layout, client: KubeClient) -> None:
        self._layout = layout
        self._client = client
        self._said: dict[str, Mapping[str, Any]] = {}
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Follow init's table; neither init nor the API server being away ends this."""
        while True:
            init = AsyncClient(self._layout)
            try:
                await init.connect()
                async with asyncio.TaskGroup() as tasks:
                    listening = tasks.create_task(self._listen(init))
                    await self._keep(init)
                    listening.cancel()
            except* (InitError, ApiError, UnreachableError) as errors:
                _log.info("components are not shown: %s", errors.exceptions[0])
            finally:
                await init.close()
            await asyncio.sleep(_AGAIN)

    async def _listen(self, init: AsyncClient) -> None:
        async for event in init.events():
            if event.group == "system":
                self._moved.set()
        raise InitError("init is gone")

    async def _keep(self, init: AsyncClient) -> None:
        while True:
            self._moved.clear()
            rows = {row.name: row for row in await init.table() if row.group == "system"}
            for row in rows.values():
                await self._show(row)
            await self._forget({pod_name(name) for name in rows})
            await self._moved.wait()
            await asyncio.sleep(_QUIET)

    async def _show(self, row: Process) -> None:
        status = status_of(row)
        if self._said.get(row.name) == status:
            return
        name = pod_name(row.name)
        if await self._client.find(POD, SYSTEM, name) is None:
            await self._client.create(POD, pod_of(row))
        await self._client.patch(
            POD, SYSTEM, name, {"status": status}, patch=Patch.MERGE, subresource="status"
        )
        self._said[row.name] = status

    async def _forget(self, names: set[str]) -> None:
        """Delete rows of processes that an earlier life of the mesh had."""
        for pod in (await self._client.list(POD, SYSTEM)).items:
            meta = pod["metadata"]
            if MIRROR in (meta.get("annotations") or {}) and meta["name"] not in names:
                await self._client.delete(POD, SYSTEM, meta["name"], grace_seconds=0)
