"""One pod from its binding to its end: place, proxy, app, status, and the way out.

The order: namespace and address; the proxy; when it is ready, the app. On deletion the app first, then the proxy.
After a restart of the agent everything is found as it is: equal specs touch no process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from meltemi.agent.core import proxy_config
from meltemi.agent.core.capture import read_capture
from meltemi.agent.core.net import PodNetwork
from meltemi.agent.core.plan import Place, Plan, Refused, group, log_path
from meltemi.agent.core.pod import Pod, read
from meltemi.agent.core.status import NOT_MOUNTED, ContainerState, Waiting, status
from meltemi.agent.shell import keep
from meltemi.agent.shell.admin import Admin
from meltemi.agent.shell.container import ContainerLife
from meltemi.agent.shell.events import warn
from meltemi.agent.shell.identity import Identity
from meltemi.agent.shell.isolation import heed_cancellation, words
from meltemi.agent.shell.planning import planned
from meltemi.agent.shell.proxyless import Proxyless
from meltemi.agent.shell.reporting import Reporter
from meltemi.agent.shell.sidecar import Sidecar
from meltemi.agent.shell.site import Site
from meltemi.api.core.pod import POD
from meltemi.galley.shell.kube import ApiError, Document, UnreachableError
from meltemi.galley.shell.reflector import Backoff

log = logging.getLogger(__name__)

POLL_SECONDS = 0.03
REPLAN_SECONDS = 3.0


class PodLife:
    """One pod. `update` brings new documents, `run` lives it; `run` ends when nothing of the pod is left."""

    def __init__(self, document: Document, site: Site) -> None:
        self._site = site
        self.document = document
        self.pod: Pod = read(document)
        self.place: Place | None = None
        self.sidecar: Sidecar | None = None
        self._proxyless: Proxyless | None = None
        self.containers: tuple[ContainerLife, ...] = ()
        self._wake = asyncio.Event()
        self._restarts: list[tuple[str, str]] = []
        self._failure = ""
        self._vanished = False
        self._taken_up = False
        """Whether it is known what an earlier life left: before that a status would show a running pod as unready."""
        self._begun = site.seconds()
        self._kept = False
        self._reporter = Reporter(
            site.kube,
            self.pod,
            document.get("status") or {},
            wanted=self._status,
            written=self._remember,
        )

    # --- what others tell

    def update(self, document: Document) -> None:
        """Take the Pod's new document."""
        self.document = document
        self.pod = read(document)
        self._reporter.told = document.get("status") or {}
        if self.sidecar is not None:
            self.sidecar.update(self.pod)
        self._stir()

    def vanish(self) -> None:
        """The Pod is no longer at the API server: end it without asking there."""
        self._vanished = True
        self._stir()

    @property
    def vanished(self) -> bool:
        """Whether the API server knows it no more."""
        return self._vanished

    @property
    def identity(self) -> Identity | None:
        """What it shows of itself in mutual TLS; a pod without a sidecar has it for its gRPC."""
        if self.sidecar is not None:
            return self.sidecar.identity
        return None if self._proxyless is None else self._proxyless.identity

    @property
    def ending(self) -> bool:
        """Whether it shall end."""
        return self._vanished or self.pod.deleting

    @property
    def group(self) -> str:
        """The group of its processes at init; empty before it has a place."""
        return group(self.pod, self.place) if self.place is not None else ""

    def states(self) -> tuple[ContainerState, ...]:
        """Its containers' states now."""
        if not self.containers:
            waiting = Waiting("ContainerCreating", self._failure)
            return tuple(ContainerState(container.name, waiting) for container in self.pod.containers)
        return tuple(container.state() for container in self.containers)

    def container(self, name: str = "") -> ContainerLife | None:
        """One container by name; the first app, else the proxy, without a name."""
        named = {life.container.name: life for life in self.containers}
        if name:
            return named.get(name)
        return next((named[c.name] for c in (*self.pod.apps, *self.pod.containers) if c.name in named), None)

    def _stir(self) -> None:
        self._wake.set()
        self._reporter.stir()

    # --- its life

    async def run(self) -> None:
        """Live it to its end. A failure on the way is told in the status, and tried again."""
        async with asyncio.TaskGroup() as tasks:
            reporter = tasks.create_task(self._reporter.run())
            backoff = Backoff(cap=10.0, first=0.2)
            while True:
                try:
                    await self._live()
                    break
                except Exception as error:
                    heed_cancellation()
                    self._failure = words(error)
                    self._taken_up = True
                    log.exception("pod %s: %s; trying again", self.pod.key, self._failure)
                    self._reporter.stir()
                    await asyncio.sleep(backoff.next())
            reporter.cancel()
            await self._say_farewell()

    async def _live(self) -> None:
        site, pod = self._site, self.pod
        place = site.places.take(pod.uid)
        self.place = place
        path = await site.network.add_pod(_network(pod, place))
        place = self.place = Place(place.id, place.address, path)
        folder = site.node.layout.pod_folder(pod.namespace, pod.name)
        async with asyncio.TaskGroup() as tasks:
            feeding: asyncio.Task[None] | None = None
            _claim(folder, pod.uid)
            self._kept = True
            if pod.proxy is not None:
                self.sidecar = Sidecar(site, pod, place)
                feeding = tasks.create_task(self.sidecar.run())
            elif pod.is_proxyless:
                self._proxyless = Proxyless(site, pod, place)
                feeding = tasks.create_task(self._proxyless.run())
            self._remember(self.document)
            try:
                site.processes.listen(self.group, lambda _: self._stir())
                if not pod.finished and not self.ending:
                    await self._work(folder, place, tasks)
                await self._until(lambda: self.ending)
                await self._end()
            finally:
                site.processes.unlisten(self.group)
                for container in self.containers:
                    container.unfollow()
                if feeding is not None:
                    feeding.cancel()
        await self._leave(folder, place)

    async def _work(self, folder: str, place: Place, tasks: asyncio.TaskGroup) -> None:
        """Start everything (or find it started), and follow it until it shall end or has ended."""
        site, processes = self._site, self._site.processes
        made = await planned(site, self.pod, place, folder)
        self.containers = self._container_lives(made, place)
        self._failure = ""
        present = processes.group(self.group)
        # A gateway is nothing but its proxy; of others a proxy alone was left by an agent that waited for it.
        begun = any(spec.name in present for spec in made.apps or made.specs)
        known_good = False
        if not begun and self.pod.not_mounted:
            tasks.create_task(warn(site.kube, self.pod, NOT_MOUNTED, self.pod.not_mounted, site.seconds()))
        if made.proxy is not None and not begun:
            if self.sidecar is not None:
                await self.sidecar.write_bootstrap()
            await processes.set(self.group, (made.proxy,))
            self._taken_up = True
            self._reporter.stir()
            if not await self._proxy_ready(place):
                return
            known_good = True
        elif self._proxyless is not None and not begun:
            self._taken_up = True
            self._reporter.stir()
            if not await self._certified(self._proxyless):
                return
        await processes.set(self.group, made.specs)
        for container in self.containers:
            container.trust(known_good and container.container is self.pod.proxy, self._reporter.told)
        self._follow(tasks)
        self._taken_up = True
        self._reporter.stir()
        while not self.ending:
            await self._pause(REPLAN_SECONDS if made.refused else None)
            if made.refused:
                made = await self._replanned(made, folder, place)
            self._follow(tasks)
            await self._restart_asked()
            if self._apps_ended(made):
                # A job is done when its apps are; the proxy would only keep the pod alive.
                await processes.set(self.group, made.apps)
                return

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._wake.wait()
            self._wake.clear()

    async def _pause(self, seconds: float | None) -> None:
        """Wait until something happens, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    def _follow(self, tasks: asyncio.TaskGroup) -> None:
        for container in self.containers:
            container.follow(tasks)

    async def _restart_asked(self) -> None:
        asked, self._restarts = self._restarts, []
        for name, why in asked:
            log.warning("pod %s: %s is restarted: %s", self.pod.key, name, why)
            await self._site.processes.stop(name, again=True)

    def _restart(self, name: str, why: str) -> None:
        self._restarts.append((name, why))
        self._wake.set()

    def _apps_ended(self, made: Plan) -> bool:
        apps = [container for container in self.containers if container.container in self.pod.apps]
        return bool(made.apps) and self.pod.restart_policy != "Always" and all(app.finished for app in apps)

    async def _proxy_ready(self, place: Place) -> bool:
        """Wait until Envoy has its configuration; False if the pod shall end before."""
        admin = Admin(self._site.network, place.id)
        while not self.ending:
            if await admin.ready():
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _certified(self, proxyless: Proxyless) -> bool:
        """Wait until what apps do TLS with is there; False if the pod shall end before."""
        while not self.ending:
            if proxyless.files.there:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    # --- the plan

    async def _replanned(self, made: Plan, folder: str, place: Place) -> Plan:
        """Try again what was refused: the ConfigMap or Secret that it needs may be there by now."""
        again = await planned(self._site, self.pod, place, folder)
        if again.refused == made.refused:
            return made
        for container in self.containers:
            container.unfollow()
        self.containers = self._container_lives(again, place)
        await self._site.processes.set(self.group, again.specs)
        self._reporter.stir()
        return again

    def _container_lives(self, made: Plan, place: Place) -> tuple[ContainerLife, ...]:
        specs = {spec.name.rpartition("/")[2]: spec for spec in made.specs}
        refused: dict[str, Refused] = {refusal.container: refusal for refusal in made.refused}
        site = self._site
        return tuple(
            ContainerLife(
                container,
                specs.get(container.name),
                refused.get(container.name),
                pod=place.id,
                network=site.network,
                processes=site.processes,
                executor=site.executor,
                changed=self._reporter.stir,
                restart=self._restart,
            )
            for container in self.pod.containers
        )

    # --- the end

    async def _end(self) -> None:
        """Stop the app, then the proxy, within the pod's grace; then by force."""
        processes = self._site.processes
        if self.place is None or not processes.group(self.group):
            return
        if self.pod.proxy is not None and self.pod.grace > 0:
            await Admin(self._site.network, self.place.id).drain()
            # Between its leaving the endpoints and SIGTERM the others hear of it.
            drain = proxy_config.read(self.pod.proxy).termination_drain
            await asyncio.sleep(min(drain, self.pod.grace))
        await processes.set(self.group, ())
        grace = 0.0 if self._vanished else float(self.pod.grace)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._until(lambda: not processes.group(self.group))
        for name in processes.group(self.group):
            await processes.signal(name, signal.SIGKILL)
        async with asyncio.timeout(10.0):
            await self._until(lambda: not processes.group(self.group))

    async def _leave(self, folder: str, place: Place) -> None:
        """Give back what the pod had: link, namespace, address, files."""
        # The last status may be on its way still; its answer is not to be kept in a folder that goes.
        self._kept = False
        await self._site.network.remove_pod(place.id)
        self._site.places.give_back(self.pod.uid)
        await asyncio.to_thread(keep.forget, folder)
        for container in self.pod.containers:
            log_file = Path(log_path(self.pod, container.name, self._site.node.layout))
            for path in (log_file, log_file.with_name(f"{log_file.name}.1")):
                await asyncio.to_thread(path.unlink, missing_ok=True)
        self.place = None

    async def _say_farewell(self) -> None:
        """Delete the Pod's object for good; its absence is as well."""
        backoff = Backoff(cap=5.0)
        while not self._vanished:
            try:
                await self._site.kube.delete(
                    POD, self.pod.namespace, self.pod.name, uid=self.pod.uid, grace_seconds=0
                )
            except ApiError as error:
                if error.not_found or error.code == 409:
                    return
                log.warning("pod %s cannot be deleted: %s", self.pod.key, error)
            except UnreachableError as error:
                log.info(
                    "pod %s is gone, and the API server is not there to be told: %s", self.pod.key, error
                )
            else:
                return
            await asyncio.sleep(backoff.next())

    # --- status

    def _remember(self, document: Document) -> None:
        """Keep the Pod as it is now: after a restart of the agent it is taken up again from there."""
        if not self._kept:
            return
        folder = self._site.node.layout.pod_folder(self.pod.namespace, self.pod.name)
        keep.write(f"{folder}/pod.json", json.dumps(document).encode())

    def _status(self, told: Mapping[str, Any]) -> dict[str, Any] | None:
        if self._vanished or not self._taken_up or (self.pod.finished and not self.containers):
            return None
        address = self.place.address if self.place is not None else ""
        host = self._site.node.settings.host_address
        times = {"now": self._site.seconds(), "started": self._begun}
        return status(self.pod, address, self.states(), told, host=host, **times)


def _network(pod: Pod, place: Place) -> PodNetwork:
    proxied = pod.proxy is not None and not pod.is_gateway
    return PodNetwork(
        id=place.id,
        ip=place.address,
        sidecar=proxied,
        capture=read_capture(pod.annotations),
        host_ports=pod.host_ports,
        ports=pod.offered_ports,
    )


def _claim(folder: str, uid: str) -> None:
    """Make the folder this pod's: what an earlier pod of that name kept (its key above all) is not for this one."""
    mark = f"{folder}/uid"
    if keep.read(mark) != uid.encode():
        keep.forget(folder)
        keep.write(mark, uid.encode())
