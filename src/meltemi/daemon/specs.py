"""The table of the mesh's own processes, for `init`, in start order.

| name | lives in | reads | writes |
|---|---|---|---|
| edge-host | host network | its files | the loopback ports |
| names | host network | the host's resolver | names.sock |
| daemon | host network | store.db, ca/, folders of YAML | api.sock, apis.sock, xds.sock, xdss.sock |
| edge-mesh | mesh network | its files | pipes |
| agent | mesh network | api.sock, xds.sock | pods, their sockets, agent.sock, the table's group `pods` |
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from meltemi.init.core import Restart, Spec, Stdio

if TYPE_CHECKING:
    from meltemi.init.core import Layout

NODE = "local"
"""The name of this machine's Node."""

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")


def system_specs(layout: Layout, folders: tuple[str, ...] = ()) -> tuple[Spec, ...]:
    """Give every process of the mesh itself; the apps' and their Envoys' come from the agent.

    `folders` are directories of configuration, by absolute paths.
    """
    from meltemi.agent.shell import edges
    from meltemi.agent.shell.main import find_envoy

    own = (
        _python(layout, "daemon", "host", more=folders),
        _python(layout, "agent", "mesh", after=("edge-mesh",)),
    )
    return (*edges.specs(layout, find_envoy(), sys.executable), *own)


def _python(
    layout: Layout, role: str, netns: str, after: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> Spec:
    return Spec(
        name=role,
        argv=(sys.executable, "-m", "meltemi.daemon", role, layout.run, layout.state, *more),
        env=environment(),
        netns=netns,
        stdio=Stdio(log=f"{layout.log_folder}/{role}.log"),
        restart=Restart(first=0.05, most=5.0),
        grace=5.0,
        after=after,
        rlimits={"NOFILE": -1},
    )


def environment() -> dict[str, str]:
    """Give what the mesh's own processes take over from who started it."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "PYTHONUNBUFFERED": "1",
        # Around a fork, and uvloop forks to start a program, gRPC would end its threads and begin them anew, in the
        # child too: there they crash now and then before the program has begun.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        "HOME": os.environ.get("HOME", "/"),
        **kept,
    }
