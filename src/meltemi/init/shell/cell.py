"""`python -m meltemi.init.shell.cell RUN STATE PROGRAM ARGUMENT...`: a program that works on what a stranger wrote.

It is where an app is: a PID namespace of its own, no capability, none of the mesh's folders; and it has no network.
An Envoy that only looks at a configuration runs the Lua in it, and reads every file that it names. Ends as it ends,
and it ends with this process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from meltemi.init.core import Layout, Spec
from meltemi.init.shell import boxes, kernel
from meltemi.init.shell.spawn import House, spawn

_CPU_SECONDS = 30
_NOBODY = 65534
_FAILED = 127
_EVERY_USER = ["0", "0", "4294967295"]
"""The map of the user namespace that the machine began with."""


def command(layout: Layout, executable: str) -> tuple[str, ...]:
    """Say what is put before a program and its arguments."""
    return (executable, "-m", __name__, layout.run, layout.state)


def main(arguments: Sequence[str]) -> int:
    """Run a program in a cell; its exit status. What fails is said as a program would say it."""
    run, state, *argv = arguments
    layout = Layout(run, state)
    with open("/proc/self/uid_map", encoding="ascii") as told:
        rootless = told.read().split() != _EVERY_USER
    # As root there is no user namespace: root it stays, but without its powers.
    user = (_NOBODY, _NOBODY) if rootless else (0, 0)
    try:
        kernel.unshare(kernel.CLONE_NEWNET)
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        house = House(run, layout.netns_folder, own, user, rootless, boxes.hidden(layout))
        spec = Spec(
            name="cell",
            argv=tuple(argv),
            env={"PATH": os.environ.get("PATH", os.defpath)},
            netns="host",
            user="app",
            rlimits={"CPU": _CPU_SECONDS, "CORE": 0},
        )
        child = spawn(spec, house, (0, 1, 2))
    except OSError as error:
        print(error, file=sys.stderr)
        return _FAILED
    with os.fdopen(child.news) as news:
        print(news.read(), end="", file=sys.stderr)
    _, status = os.waitpid(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
