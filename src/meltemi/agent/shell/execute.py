"""Run one command inside a pod to its end: for exec probes and `exec`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from meltemi.agent.shell.processes import Processes
from meltemi.init.wire import Restart, Spec, Stdio

MOST_OUTPUT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to run; `attach` names descriptors that the caller left at init, else the output is returned."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    attach: str = ""
    tty: bool = False


class Executor:
    """Runs commands beside a container, as that container: same namespaces, user, environment."""

    def __init__(self, processes: Processes, log_folder: str) -> None:
        self._processes = processes
        self._folder = log_folder
        self._numbers = itertools.count(1)

    async def run(self, like: Spec, command: Command, *, seconds: float | None = None) -> tuple[int, str]:
        """Exit code (128 + signal) and output. Raises TimeoutError; whoever waits no longer ends the command, too."""
        number = next(self._numbers)
        group = f"exec/{like.name}/{number}"
        log = Path(self._folder) / f"exec.{like.name.replace('/', '.')}.{number}.log"
        spec = replace(
            like,
            name=group,
            argv=command.argv,
            env={**like.env, **command.env},
            cwd=command.cwd or like.cwd,
            stdio=Stdio(attach=command.attach, tty=command.tty) if command.attach else Stdio(log=str(log)),
            restart=Restart("never"),
            grace=2.0,
            after=(),
        )
        ended = asyncio.Event()
        self._processes.listen(group, lambda _: self._notice(group, ended))
        try:
            async with asyncio.timeout(seconds):
                await self._processes.set(group, (spec,))
                await ended.wait()
            row = self._processes.row(group)
            code = -1
            text = ""
            if row is not None:
                code = 128 + row.process.signal if row.process.signal else row.process.code
                text = row.process.error
            output = text if command.attach else await asyncio.to_thread(_tail, log)
            return code, output or text
        finally:
            self._processes.unlisten(group)
            await asyncio.shield(self._processes.set(group, ()))
            await asyncio.to_thread(log.unlink, missing_ok=True)

    def _notice(self, group: str, ended: asyncio.Event) -> None:
        row = self._processes.row(group)
        if row is None or row.process.state == "ended":
            ended.set()


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_OUTPUT).decode(errors="replace")
    except FileNotFoundError:
        return ""
