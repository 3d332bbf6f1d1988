"""A model of a delta ADS client and of the stream that feeds it: what Envoy would hold after the pushes.

Bytes go through the real encoding and are parsed as Envoy would. It subscribes to everything of CDS and LDS, and
by name to the load assignments of its EDS clusters and the routes that its listeners ask for.
"""

from __future__ import annotations

from collections.abc import Callable

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse

from meltemi.pilot.core.push import TYPES, Delta, Part, Shared, catch_up, encode, full, select
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS, Roots, message_of

Push = Callable[[Roots | None, Roots, Shared], Delta]


class BrokenError(AssertionError):
    """The client was told something that Envoy would choke on."""


class Client:
    """One proxy and the server's side of its stream."""

    def __init__(self) -> None:
        self.state: dict[str, dict[str, bytes]] = {kind: {} for kind in TYPES}
        self.versions: dict[str, dict[str, str]] = {kind: {} for kind in TYPES}
        self.warming: set[str] = set()
        self.roots: Roots | None = None
        self.bytes = 0

    def push(self, push: Push, new: Roots, shared: Shared, version: str) -> None:
        """Bring the client to new roots as the server would: in order, then what it newly asks for."""
        delta = push(self.roots, new, shared)
        for kind in TYPES:
            part = delta.of(kind)
            wanted = self.wanted(kind)
            if wanted is not None:
                # Names that it asks for since the last type came are looked up afresh.
                known = self.versions[kind].keys() | set(part.removed)
                fresh = wanted - known
                again = select(new, kind, fresh)
                told = part.only(wanted | self.versions[kind].keys())
                there = {item.name for item in told.changed}
                part = Part(kind, (*told.changed, *(i for i in again if i.name not in there)), told.removed)
            if part:
                self.take(kind, encode(part, version=version, nonce=version, shared=shared))
            self.forget(kind)
        if self.warming:
            raise BrokenError(f"clusters wait for their endpoints: {sorted(self.warming)}")
        self.roots = new

    def reconnect(self, new: Roots, version: str) -> None:
        """Come back on a new stream, saying what it has."""
        for kind in TYPES:
            part = catch_up(new, kind, self.versions[kind])
            wanted = self.wanted(kind)
            if wanted is not None:
                part = part.only(wanted | self.versions[kind].keys())
            if kind == EDS and self.warming:
                there = {item.name for item in part.changed}
                more = tuple(i for i in select(new, EDS, self.warming) if i.name not in there)
                part = Part(EDS, (*part.changed, *more), part.removed)
            self.take(kind, encode(part, version=version, nonce=version))
            self.forget(kind)
        if self.warming:
            raise BrokenError(f"clusters wait for their endpoints: {sorted(self.warming)}")
        self.roots = new

    def wanted(self, kind: str) -> set[str] | None:
        """Say which names it subscribes to; None for everything."""
        if kind == EDS:
            return {
                name for name, body in self.state[CDS].items() if Cluster.FromString(body).type == Cluster.EDS
            }
        if kind == RDS:
            return {name for body in self.state[LDS].values() for name in _routes(body)}
        return None

    def take(self, kind: str, data: bytes) -> None:
        """Parse and apply one response."""
        self.bytes += len(data)
        response = DeltaDiscoveryResponse.FromString(data)
        if response.type_url != kind or not response.nonce or not response.system_version_info:
            raise BrokenError("a response without its labels")
        seen: set[str] = set()
        for entry in response.resources:
            if entry.resource.type_url != kind or entry.name in seen or len(entry.version) != 16:
                raise BrokenError(f"resource {entry.name} is wrongly labelled or sent twice")
            if _name(kind, entry.resource.value) != entry.name:
                raise BrokenError(f"{entry.name} is labelled as another")
            seen.add(entry.name)
            self.state[kind][entry.name] = entry.resource.value
            self.versions[kind][entry.name] = entry.version
        for name in response.removed_resources:
            if name in seen:
                raise BrokenError(f"{name} is both sent and removed")
            self.state[kind].pop(name, None)
            self.versions[kind].pop(name, None)
        if kind == CDS:
            self.warming |= seen
            self.warming &= self.wanted(EDS) or set()
        elif kind == EDS:
            self.warming -= seen

    def forget(self, kind: str) -> None:
        """Drop what it no longer subscribes to."""
        wanted = self.wanted(kind)
        if wanted is not None:
            for name in self.state[kind].keys() - wanted:
                del self.state[kind][name], self.versions[kind][name]


def state_of(roots: Roots) -> dict[str, dict[str, bytes]]:
    """Spell out what a proxy of these roots must hold."""
    state: dict[str, dict[str, bytes]] = {}
    for kind in TYPES:
        state[kind] = {}
        for item in full(roots, kind):
            if item.name in state[kind]:
                raise BrokenError(f"two resources are named {item.name}")
            entry = item.join().entry if kind == RDS else item.entry  # type: ignore[union-attr]
            state[kind][item.name] = message_of(entry)[1]
    return state


def _name(kind: str, body: bytes) -> str:
    if kind == CDS:
        return Cluster.FromString(body).name
    if kind == EDS:
        return ClusterLoadAssignment.FromString(body).cluster_name
    return Listener.FromString(body).name if kind == LDS else RouteConfiguration.FromString(body).name


def _routes(body: bytes) -> list[str]:
    found = []
    for chain in Listener.FromString(body).filter_chains:
        for one in chain.filters:
            manager = HttpConnectionManager()
            if one.typed_config.Unpack(manager) and manager.HasField("rds"):
                found.append(manager.rds.route_config_name)
    return found
