"""The agent's process: `agent.shell.main` has its parts in start order."""

from __future__ import annotations

from meltemi.agent.core.settings import Settings
from meltemi.agent.shell import main
from meltemi.daemon.specs import NODE
from meltemi.init.core import Layout


async def agent(layout: Layout) -> None:
    """Run the node agent: names first, then pods, relay, identity, probes."""
    await main.run(layout, NODE, Settings())
