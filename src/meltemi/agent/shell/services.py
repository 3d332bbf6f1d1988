"""Follow Services, EndpointSlices and ServiceEntries, and keep DNS, the ClusterIP table and the edges in step."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from meltemi.agent.core import dns, services
from meltemi.agent.core.net import Ways
from meltemi.agent.core.settings import Settings
from meltemi.agent.shell import keep
from meltemi.agent.shell.dns import Resolver
from meltemi.agent.shell.edges import Edges
from meltemi.agent.shell.isolation import lasting
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
    """Keeps names and ways. `run()` works until cancelled."""

    def __init__(
        self,
        kube: KubeClient,
        layout: Layout,
        settings: Settings,
        *,
        network: Network,
        edges: Edges,
        resolver: Resolver,
    ) -> None:
        self._kube = kube
        self._layout = layout
        self._settings = settings
        self._network = network
        self._edges = edges
        self._resolver = resolver
        self._changed = asyncio.Event()
        self._services = Reflector(kube, SERVICE, handler=self._notice)
        self._slices = Reflector(kube, ENDPOINT_SLICE, handler=self._notice)
        self._entries = Reflector(kube, ENTRIES, handler=self._notice)
        self._recalled: tuple[Document, ...] = ()
        self._applied: dict[str, object] = {}
        self._kept = f"{layout.state}/agent-names.json"

    def _notice(self, _event: Event) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Take up what an earlier life knew, then follow the API server."""
        self._recall()
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

    def _recall(self) -> None:
        """Answer names as they were known last: after a restart the API server may be away."""
        content = keep.read(self._kept)
        try:
            known = json.loads(content) if content else {}
            zone = self._zone(
                known.get("services") or (), known.get("slices") or (), known.get("entries") or ()
            )
        except (ValueError, AttributeError) as error:
            log.warning("%s is damaged: %s", self._kept, error)
            return
        self._resolver.zone = zone

    def _zone(
        self, found: Iterable[Document], slices: Iterable[Document], entries: Iterable[Document]
    ) -> dns.Zone:
        settings = self._settings
        fixed = {settings.host_name: settings.host_address}
        return dns.zone_of(found, slices, entries, settings.cluster_domain, fixed)

    async def _apply(
        self, found: tuple[Document, ...], slices: tuple[Document, ...], entries: tuple[Document, ...]
    ) -> None:
        """Bring everything in step; each part on its own, so that one that fails stops no other."""
        zone = self._zone(found, slices, entries)
        if zone != self._resolver.zone:
            self._resolver.zone = zone
            content = {"services": found, "slices": slices, "entries": entries}
            await self._part(
                "names", zone, lambda: asyncio.to_thread(keep.write, self._kept, json.dumps(content).encode())
            )
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
