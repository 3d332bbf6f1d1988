"""Start one process of the mesh: `python -m meltemi.daemon ROLE RUN STATE [FOLDER...]`.

ROLE is `daemon` or `agent`; the folders are the daemon's, and hold configuration.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from meltemi.init.core import Layout

ROLES = ("daemon", "agent")


def _role(name: str, folders: Sequence[str]) -> Callable[[Layout], Awaitable[None]]:
    """Import what this process needs, and no other's: an agent that was killed is to be back at once."""
    if name == "agent":
        from meltemi.daemon import node

        return node.agent
    from pathlib import Path

    from meltemi.daemon import processes

    return lambda layout: processes.daemon(layout, tuple(map(Path, folders)))


async def run(role: str, layout: Layout, folders: Sequence[str] = ()) -> None:
    """Run a process until SIGTERM or SIGINT."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    await _role(role, folders)(layout)


def main(argv: list[str]) -> int:
    """Parse the command line and run; 0 when it was told to end."""
    if len(argv) < 3 or argv[0] not in ROLES:
        print(f"usage: python -m meltemi.daemon {'|'.join(ROLES)} RUN STATE [FOLDER...]", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    role, run_folder, state, *folders = argv
    try:
        uvloop.run(run(role, Layout(run_folder, state), folders))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
