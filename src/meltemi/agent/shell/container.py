"""One container at work: its probes, and its state from what init says and the probes found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from meltemi.agent.core.plan import Refused
from meltemi.agent.core.pod import Container
from meltemi.agent.core.probes import Probe, Verdict
from meltemi.agent.core.settings import PROXY_CONTAINER
from meltemi.agent.core.status import ContainerState, Running, State, Terminated, Waiting, identity
from meltemi.agent.shell.execute import Command, Executor
from meltemi.agent.shell.network import Network
from meltemi.agent.shell.probing import Prober
from meltemi.agent.shell.processes import Processes, Row
from meltemi.init.wire import Process, Spec


class ContainerLife:
    """Follows one container.

    `changed()` is called when its state may be another one, `restart(process, why)` when a probe wants it ended.
    """

    def __init__(
        self,
        container: Container,
        spec: Spec | None,
        refused: Refused | None,
        *,
        pod: str,
        network: Network,
        processes: Processes,
        executor: Executor,
        changed: Callable[[], None],
        restart: Callable[[str, str], None],
    ) -> None:
        self.container = container
        self.spec = spec
        self._refused = refused
        self._pod = pod
        self._network = network
        self._processes = processes
        self._executor = executor
        self._changed = changed
        self._restart = restart
        self._probed_pid = 0
        self._probes: asyncio.Task[None] | None = None
        self._seen: Process | None = None
        self._trusted = False
        self._ready = False
        self._begun = False

    @property
    def row(self) -> Row | None:
        """What init says of it."""
        return self._processes.row(self.spec.name) if self.spec is not None else None

    @property
    def finished(self) -> bool:
        """Whether it ended and will not be started again."""
        row = self.row
        return row is not None and row.process.state == "ended" and row.process.started > 0

    def state(self) -> ContainerState:
        """Its state now."""
        row = self.row
        image = "auto" if self.container.name == PROXY_CONTAINER else ""
        if row is None:
            return ContainerState(self.container.name, self._absent(), image=image)
        self._seen = row.process
        process = row.process
        running = process.state in ("running", "stopping") and process.pid > 0
        return ContainerState(
            name=self.container.name,
            state=_state(process),
            last=_last(process) if process.state != "ended" else None,
            restarts=process.restarts,
            ready=running and self._ready and process.pid == self._probed_pid,
            begun=running and self._begun and process.pid == self._probed_pid,
            pid=process.pid if running else 0,
            image=image,
        )

    def _absent(self) -> State:
        """What to say of a container that init does not have: it ended with its pod, or never began."""
        if self._seen is not None:
            return Terminated(0, started=self._seen.started)
        if self._refused is not None:
            return Waiting(self._refused.reason, self._refused.message)
        return Waiting("ContainerCreating")

    def trust(self, known_good: bool, before: Mapping[str, Any]) -> None:
        """Take over a verdict: `known_good`, found by other means, or what the Pod's status said of this process.

        Without it a restart of the agent would show every pod as unready, and so take it out of service.
        """
        rows = before.get("containerStatuses") or ()
        mine: Mapping[str, Any] = next((row for row in rows if row.get("name") == self.container.name), {})
        row = self.row
        same = (
            row is not None and row.process.pid > 0 and mine.get("containerID") == identity(row.process.pid)
        )
        self._trusted = known_good or (same and bool(mine.get("ready")))

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Begin or end probing, as the process came or went."""
        row = self.row
        pid = row.process.pid if row is not None and row.process.state == "running" else 0
        if pid == self._probed_pid:
            return
        self.unfollow()
        if not pid:
            return
        trusted, self._trusted = self._trusted, False
        self._probed_pid = pid
        self._begun = trusted or self.container.startup is None
        self._ready = trusted or (self._begun and self.container.readiness is None)
        self._probes = group.create_task(self._probe(skip_startup=trusted))

    def unfollow(self) -> None:
        """End probing."""
        if self._probes is not None:
            self._probes.cancel()
            self._probes = None
        self._probed_pid = 0

    async def _probe(self, *, skip_startup: bool) -> None:
        """Startup first; then readiness and liveness together."""
        container = self.container
        if container.startup is not None and not skip_startup:
            await self._prober(container.startup, self._startup).run(once_good=True)
        self._begun = True
        if container.readiness is None:
            self._ready = True
        self._changed()
        async with asyncio.TaskGroup() as group:
            if container.readiness is not None:
                group.create_task(self._prober(container.readiness, self._readiness).run())
            if container.liveness is not None:
                group.create_task(self._prober(container.liveness, self._liveness, eager=False).run())

    def _prober(self, probe: Probe, changed: Callable[[Verdict], None], *, eager: bool = True) -> Prober:
        return Prober(probe, self._pod, self._network, self._execute, changed, eager=eager)

    async def _execute(self, command: tuple[str, ...], seconds: float) -> tuple[int, str]:
        if self.spec is None:
            return 127, "the container does not run"
        return await self._executor.run(self.spec, Command(command), seconds=seconds)

    def _readiness(self, verdict: Verdict) -> None:
        if verdict.good is not None and verdict.good != self._ready:
            self._ready = verdict.good
            self._changed()

    def _startup(self, verdict: Verdict) -> None:
        if verdict.good is False and self.spec is not None:
            self._restart(self.spec.name, f"its startup probe failed: {verdict.message}")

    def _liveness(self, verdict: Verdict) -> None:
        if verdict.good is False and self.spec is not None:
            self._restart(self.spec.name, f"its liveness probe failed: {verdict.message}")


def _state(process: Process) -> State:
    match process.state:
        case "running" | "stopping":
            return Running(process.started)
        case "ended":
            return _last(process) or Waiting("ContainerCreating")
        case _:
            if (last := _last(process)) is not None:
                return Waiting(
                    "CrashLoopBackOff", f"it ended with {last.exit_code}; it is started again. {last.message}"
                )
            return Waiting("ContainerCreating")


def _last(process: Process) -> Terminated | None:
    if not process.ended:
        return None
    started = process.started if process.started <= process.ended else 0.0
    message = process.error or process.last
    return Terminated(max(process.code, 0), process.signal, message, started, process.ended)
