"""The kubelet of a laptop: the Node's registration, and a life for every Pod bound to it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meltemi.agent.core.settings import ATTACH
from meltemi.agent.core.status import timestamp
from meltemi.agent.shell import keep, owners
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.podlife import PodLife
from meltemi.agent.shell.site import Site
from meltemi.api.core.node import NODE
from meltemi.api.core.pod import POD
from meltemi.galley.shell.kube import ApiError, Document, UnreachableError
from meltemi.galley.shell.reflector import DELETED, Backoff, Event, Reflector

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 20.0
OWNERS_SECONDS = 2.0
AGAIN_SECONDS = 1.0
"""Until a Pod whose life ended in an error is taken up again."""
MIRROR = "kubernetes.io/config.mirror"
"""Kubernetes' mark on Pods that only show what runs otherwise: nobody starts them."""


class Kubelet:
    """All pods of this node. `run()` works until cancelled."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lives: dict[str, PodLife] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.reflector = Reflector(
            site.kube, POD, field_selector=f"spec.nodeName={site.name}", handler=self._changed
        )

    @property
    def lives(self) -> tuple[PodLife, ...]:
        """The pods, sorted by namespace and name."""
        return tuple(sorted(self._lives.values(), key=lambda life: life.pod.key))

    def life(self, namespace: str, name: str) -> PodLife | None:
        """One pod."""
        found = [
            life for life in self._lives.values() if (life.pod.namespace, life.pod.name) == (namespace, name)
        ]
        return found[-1] if found else None

    async def run(self) -> None:
        """Adopt what an earlier life left, then follow the API server."""
        self._site.places.load()
        await self._site.processes.known.wait()
        async with asyncio.TaskGroup() as group:
            self._group = group
            for document in await asyncio.to_thread(_kept_documents, f"{self._site.node.layout.state}/pods"):
                self._take(document)
            group.create_task(lasting("the node's registration", self._register))
            group.create_task(lasting("the watch of pods", self.reflector.run))
            group.create_task(lasting("the removal of strays", self._sweep))
            group.create_task(lasting("the watch of owners", self._watch_owners))

    # --- pods

    def _changed(self, event: Event) -> None:
        uid = str((event.document.get("metadata") or {}).get("uid", ""))
        if event.type == DELETED:
            if (life := self._lives.get(uid)) is not None:
                life.vanish()
            return
        self._take(event.document)

    def _take(self, document: Document) -> None:
        metadata = document.get("metadata") or {}
        uid = str(metadata.get("uid", ""))
        if not uid or MIRROR in (metadata.get("annotations") or {}):
            return
        document = self._judged(document)
        if (life := self._lives.get(uid)) is not None:
            life.update(document)
            return
        if self._group is None:
            return
        made = PodLife(document, self._site)
        before = self.life(made.pod.namespace, made.pod.name)
        waits_for = self._tasks.get(before.pod.uid) if before is not None else None
        if before is not None:
            # Another Pod of that name stands at the API server: this one is gone.
            before.vanish()
        self._lives[uid] = made
        self._tasks[uid] = self._group.create_task(self._live(uid, made, waits_for))

    def _judged(self, document: Document) -> Document:
        """A Pod that is attached to a command which is gone is on its way out, and never started again."""
        metadata = document.get("metadata") or {}
        attach = (metadata.get("annotations") or {}).get(ATTACH)
        if not attach or metadata.get("deletionTimestamp"):
            return document
        if owners.is_owned(self._site.node.layout, attach):
            return document
        log.info("pod %s/%s: its owner is gone", metadata.get("namespace"), metadata.get("name"))
        return {
            **document,
            "metadata": {**metadata, "deletionTimestamp": timestamp(self._site.seconds())},
        }

    async def _watch_owners(self) -> None:
        """End attached Pods whose owner was killed: it could not delete them itself."""
        while True:
            await asyncio.sleep(OWNERS_SECONDS)
            for life in tuple(self._lives.values()):
                if life.pod.attach and not life.ending:
                    judged = self._judged(life.document)
                    if judged is not life.document:
                        life.update(judged)

    async def _live(self, uid: str, life: PodLife, waits_for: asyncio.Task[None] | None) -> None:
        if waits_for is not None:
            # They share a folder, and its files are not for two.
            await asyncio.wait([waits_for])
        failed = False
        try:
            await life.run()
        except Exception:
            log.exception("pod %s: its life ended in an error", life.pod.key)
            failed = True
            await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self._lives.pop(uid, None)
            self._tasks.pop(uid, None)
        if failed and not life.vanished:
            # Nobody may touch the Pod again, and then it would neither run nor go.
            self._take(life.document)

    async def _sweep(self) -> None:
        """Once it is known which Pods there are: end what an earlier life left and nobody wants."""
        await self.reflector.synced.wait()
        there = {str((document.get("metadata") or {}).get("uid", "")) for document in self.reflector}
        for uid, life in tuple(self._lives.items()):
            if uid not in there:
                life.vanish()
        site = self._site
        wanted = {f"/{life.place.id}" for life in self._lives.values() if life.place is not None}
        for group in site.processes.groups():
            stray = group.startswith("pod/") and not any(group.endswith(end) for end in wanted)
            if stray or group.startswith("exec/"):
                log.info("ending %s: no Pod wants it", group)
                await site.processes.set(group, ())
        ids = {site.places.take(uid).id for uid in there & set(site.places.uids())}
        ids |= {life.place.id for life in self._lives.values() if life.place is not None}
        for pod in tuple(site.network.pods()):
            if pod not in ids:
                log.info("removing the network of %s: no Pod has it", pod)
                await site.network.remove_pod(pod)
        for uid in site.places.uids():
            if uid not in there and uid not in self._lives:
                site.places.give_back(uid)
        await asyncio.Event().wait()

    # --- the node

    async def _register(self) -> None:
        """Make the Node, and say now and then that it is well."""
        backoff, told = Backoff(cap=2.0), False
        while True:
            try:
                await self._say_ready()
            except (ApiError, UnreachableError) as error:
                if not told:
                    log.info("the node cannot say that it is well: %s", error)
                told = True
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()
                told = False
                await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _say_ready(self) -> None:
        kube, name = self._site.kube, self._site.name
        found = await kube.find(NODE, "", name)
        if found is None:
            try:
                found = await kube.create(NODE, node_document(name, self._site.node.settings.pod_network))
            except ApiError as error:
                if not error.already_exists:
                    raise
                found = {}
        body = {
            "status": node_status(name, self._site.node.settings.host_address, found, self._site.seconds())
        }
        await kube.patch(NODE, "", name, body, subresource="status", field_manager="meltemi-agent")


def node_document(name: str, pod_network: str) -> Document:
    """The Node's object as it is created."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": pod_network, "podCIDRs": [pod_network]},
    }


def node_status(name: str, address: str, found: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The Node's status: ready, since when it was."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    before: Mapping[str, Any] = next(
        (row for row in conditions if row.get("type") == "Ready" and row.get("status") == "True"), {}
    )
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "AgentReady",
        "message": "the agent runs pods",
        "lastHeartbeatTime": timestamp(now),
        "lastTransitionTime": before.get("lastTransitionTime") or timestamp(now),
    }
    return {
        "conditions": [ready],
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "nodeInfo": {"kubeletVersion": "meltemi", "operatingSystem": "linux"},
    }


def _kept_documents(folder: str) -> tuple[Document, ...]:
    """The Pods that an earlier life had, as it saw them last."""
    found = []
    for path in sorted(Path(folder).glob("*/pod.json")):
        content = keep.read(str(path))
        try:
            document = json.loads(content or b"")
        except ValueError:
            continue
        if isinstance(document, dict):
            found.append(document)
    return tuple(found)
