"""Every part of the agent but names, in start order, each kept apart from the others' failures."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from meltemi.agent.core.plan import Node
from meltemi.agent.core.versions import refusal
from meltemi.agent.shell import keep
from meltemi.agent.shell.api import AgentApi
from meltemi.agent.shell.controlplane import ControlPlane
from meltemi.agent.shell.edges import Edges
from meltemi.agent.shell.execute import Executor
from meltemi.agent.shell.ground import Ground
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.kubelet import Kubelet
from meltemi.agent.shell.main import UnfitEnvoyError
from meltemi.agent.shell.processes import Processes
from meltemi.agent.shell.services import ServiceFeed
from meltemi.agent.shell.site import Places, Site
from meltemi.galley.shell.kube import KubeClient
from meltemi.init.core import Layout

log = logging.getLogger(__name__)

TOKEN = "node"  # noqa: S105 - a name, no token
"""The file of `Layout.tokens_folder` with the agent's own token."""


def check_envoy(path: str) -> None:
    """Run it once for its version. Raises UnfitEnvoyError."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnfitEnvoyError(f"{path} does not run: {error}") from error
    if (reason := refusal(done.stdout)) is not None:
        raise UnfitEnvoyError(reason)


async def run(ground: Ground, node_name: str, envoy: str, environment: Mapping[str, str]) -> None:
    """Be all that until cancelled. Raises UnfitEnvoyError."""
    layout, settings, network = ground.layout, ground.settings, ground.network
    processes = Processes(layout, time.time)
    places = Places(
        f"{layout.state}/places.json", settings.pod_network, (settings.host_address,), network.netns
    )
    async with (
        KubeClient(f"unix://{layout.api_socket}", token=lambda: _token(layout)) as kube,
        ControlPlane(layout.xds_socket) as plane,
        asyncio.TaskGroup() as group,
    ):
        checked = group.create_task(asyncio.to_thread(check_envoy, envoy))
        site = Site(
            name=node_name,
            node=Node(layout, settings, envoy, environment),
            kube=kube,
            network=network,
            processes=processes,
            executor=Executor(processes, layout.log_folder),
            plane=plane,
            places=places,
            now=lambda: datetime.now(UTC),
        )
        kubelet = Kubelet(site)
        feed = ServiceFeed(
            kube,
            layout,
            settings,
            network=network,
            edges=Edges(layout, ground.addresses),
            resolvers=ground.resolvers,
            known=ground.known,
        )

        async def pods() -> None:
            # Only they run an Envoy; that it is unfit ends the agent, with the reason in its log.
            await asyncio.shield(checked)
            await kubelet.run()

        parts = {
            "the table of processes": processes.run,
            "the services": feed.run,
            "the pods": pods,
            "ports on loopback": network.watch_loopback,
            "the agent's API": AgentApi(site, kubelet).run,
        }
        for name, part in parts.items():
            group.create_task(lasting(name, part))
        log.info("the agent runs as node %s", node_name)


def _token(layout: Layout) -> str:
    content = keep.read(f"{layout.tokens_folder}/{TOKEN}")
    return content.decode().strip() if content else ""
