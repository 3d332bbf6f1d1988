"""What stands before the rest of the agent: the mesh's network namespace, and names answered in it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial

from meltemi.agent.core.net import Addresses
from meltemi.agent.core.settings import Settings
from meltemi.agent.shell.dns import Forwarder, Resolver, Server
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.known import Known, recall
from meltemi.agent.shell.network import Network
from meltemi.init.core import Layout


@dataclass(frozen=True, slots=True)
class Ground:
    """The network, the resolvers that are being served in it, and what an earlier life knew of names."""

    layout: Layout
    settings: Settings
    addresses: Addresses
    network: Network
    resolvers: tuple[Resolver, ...]
    known: Known


async def lay(layout: Layout, settings: Settings, group: asyncio.TaskGroup) -> Ground:
    """Make or adopt the network, and answer names in `group` from then on. Raises what `Network.setup` raises."""
    addresses = Addresses(settings.pod_network, settings.service_network, settings.host_address)
    network = Network(layout, addresses)
    await network.setup()
    known, zone = recall(layout, settings)
    forwarder = Forwarder(layout.names_socket)
    served = {
        settings.gateway: Resolver(forwarder, zone, time.monotonic),
        settings.plain_names: Resolver(forwarder, zone, time.monotonic, entries=False),
    }

    async def serve(address: str, resolver: Resolver) -> None:
        await Server(resolver, network.gateway_sockets(address=address)).run()

    for address, resolver in served.items():
        group.create_task(lasting("the DNS server", partial(serve, address, resolver)))
    group.create_task(lasting("names of the host", forwarder.run))
    return Ground(layout, settings, addresses, network, tuple(served.values()), known)
