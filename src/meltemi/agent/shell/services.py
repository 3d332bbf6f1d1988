"""Follow Services, EndpointSlices and ServiceEntries, and keep DNS, the ClusterIP table and the edges in step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from meltemi.agent.core import services
from meltemi.agent.core.net import Ways
from meltemi.agent.core.settings import Settings
from meltemi.agent.shell.dns import Resolver
from meltemi.agent.shell.edges import Edges
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.known import Known, remember
from meltemi.agent.shell.network import Network
from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE
from meltemi.api.core.service import SERVICE
from meltemi.galley.shell.kube import ApiError, Document, KubeClient, Resource, UnreachableError
from meltemi.galley.shell.reflector import Event, Reflector
from meltemi.init.core import Layout

log = logging.getLogger(__name__)

ENTRIES = Resource("networking.istio.io", "v1", "serviceentries", "ServiceEntry")
QUIET_SECONDS = 0.02
"""Changes that come together are applied together; a first one after quiet waits no longer than this."""
AGAIN_SECONDS = 1.0
ENTRIES_SECONDS = 1.0


class ServiceFeed:
    """Keeps names and ways. `run()` works until cancelled. `known`: what an earlier life knew, as `resolvers` do."""

    def __init__(
        self,
        kube: KubeClient,
        layout: Layout,
        settings: Settings,
        *,
        network: Network,
        edges: Edges,
        resolvers: tuple[Resolver, ...],
        known: Known,
    ) -> None:
        self._kube = kube
        self._layout = layout
        self._settings = settings
        self._network = network
        self._edges = edges
        self._resolvers = resolvers
        self._changed = asyncio.Event()
        self._services = Reflector(kube, SERVICE, handler=self._notice)
        self._slices = Reflector(kube, ENDPOINT_SLICE, handler=self._notice)
        self._entries = Reflector(kube, ENTRIES, handler=self._notice)
        self._recalled = known.entries
        self._applied: dict[str, object] = {}

    def _notice(self, _event: Event) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Follow the API server. Until it has answered, all stays as an earlier life left it."""
        async with asyncio.TaskGroup() as group:
            for reflector in (self._services, self._slices, self._entries):
                group.create_task(lasting(f"the watch of {reflector.resource.plural}", reflector.run))
            # ServiceEntries are waited for a moment only: a cluster may not have the kind.
            for reflector in (self._services, self._slices):
                await reflector.synced.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENTRIES_SECONDS):
                    await self._entries.synced.wait()
            self._changed.set()
            while True:
                await self._changed.wait()
                await asyncio.sleep(QUIET_SECONDS)
                self._changed.clear()
                entries = _by_age(self._entries) if self._entries.synced.is_set() else self._recalled
                await self._apply(tuple(self._services), tuple(self._slices), entries)

    async def _apply(
        self, found: tuple[Document, ...], slices: tuple[Document, ...], entries: tuple[Document, ...]
    ) -> None:
        """Bring everything in step; each part on its own, so that one that fails stops no other."""
        known = Known(found, slices, entries)
        zone = known.zone(self._settings)
        if any(zone != resolver.zone for resolver in self._resolvers):
            for resolver in self._resolvers:
                resolver.zone = zone
            await self._part("names", zone, lambda: asyncio.to_thread(remember, self._layout, known))
        endpoints = services.endpoints_of(slices)
        control = services.control_addresses(found, self._control_sockets())
        table = services.service_ports(found, endpoints, control)
        key = (table, tuple(control))
        await self._part("the ClusterIP table", key, lambda: self._network.set_services(table, control))
        ways = services.ways(found, endpoints, self._settings.ports, control)
        await self._part("the edges", ways, lambda: self._set_ways(ways, found))

    def _control_sockets(self) -> dict[tuple[str, str, int], str]:
        return {
            ("default", "kubernetes", self._settings.api_port): self._layout.api_tls_socket,
            ("istio-system", "istiod", 15010): self._layout.xds_socket,
        }

    async def _set_ways(self, ways: Ways, found: tuple[Document, ...]) -> None:
        held = await self._edges.set_ways(ways)
        for name in sorted(set(ways.into) - set(held)):
            log.warning("no loopback port could be had for %s", name)
        for document in found:
            if (status := services.balancer_status(document, held)) is not None:
                await self._tell_ports(document, status)

    async def _tell_ports(self, document: Document, status: Mapping[str, Any]) -> None:
        metadata = document["metadata"]
        try:
            await self._kube.patch(
                SERVICE,
                str(metadata["namespace"]),
                str(metadata["name"]),
                {"status": status},
                subresource="status",
                field_manager="meltemi-agent",
            )
        except (ApiError, UnreachableError) as error:
            log.info("service %s/%s: ports not shown: %s", metadata["namespace"], metadata["name"], error)

    async def _part(self, name: str, wanted: object, act: Callable[[], Awaitable[Any]]) -> None:
        if self._applied.get(name) == wanted:
            return
        try:
            await act()
        except Exception:
            log.exception("%s could not be brought in step; trying again", name)
            self._applied.pop(name, None)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._changed.set)
        else:
            self._applied[name] = wanted


def _by_age(documents: Iterable[Document]) -> tuple[Document, ...]:
    """Oldest first; of equal age by name."""

    def age(document: Document) -> tuple[str, str, str]:
        metadata = document.get("metadata") or {}
        return (
            str(metadata.get("creationTimestamp") or ""),
            str(metadata.get("namespace")),
            str(metadata.get("name")),
        )

    return tuple(sorted(documents, key=age))
