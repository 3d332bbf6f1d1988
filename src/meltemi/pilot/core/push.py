"""What must be sent: the difference between the roots of a View as it was and as it is. Pure.

shared = Shared()                      # for one revision; drop it after sending, it holds joined bytes
delta = push(old, new, shared)         # once per View
part = delta.of(EDS).only(names)       # a stream that subscribes by name
data = encode(part, version="42", nonce="42", shared=shared)
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse

from meltemi.envoy.framing import framed, tag
from meltemi.pilot.core.resource import CDS, EDS, LDS, RDS, SDS, Resource, Roots, Rope, Segment

TYPES: Final = (CDS, EDS, LDS, RDS, SDS)
"""The types of a root, in the order in which they are sent; what is removed goes last, the other way round."""

_VERSION: Final = tag(DeltaDiscoveryResponse, "system_version_info")
_TYPE_URL: Final = tag(DeltaDiscoveryResponse, "type_url")
_NONCE: Final = tag(DeltaDiscoveryResponse, "nonce")
_REMOVED: Final = tag(DeltaDiscoveryResponse, "removed_resources")

Item = Resource | Rope


@dataclass(frozen=True, slots=True)
class Part:
    """What changed of one type: `changed` to be sent whole, `removed` by name, both in a stable order."""

    type_url: str
    changed: tuple[Item, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)

    def only(self, names: Container[str]) -> Part:
        """Keep what a stream subscribes to by name; the same object when that is all of it."""
        changed = tuple(item for item in self.changed if item.name in names)
        removed = tuple(name for name in self.removed if name in names)
        if len(changed) == len(self.changed) and len(removed) == len(self.removed):
            return self
        return Part(self.type_url, changed, removed)


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed for one View, per type."""

    clusters: Part = Part(CDS)
    endpoints: Part = Part(EDS)
    listeners: Part = Part(LDS)
    routes: Part = Part(RDS)
    secrets: Part = Part(SDS)

    def __bool__(self) -> bool:
        return any((self.clusters, self.endpoints, self.listeners, self.routes, self.secrets))

    def of(self, type_url: str) -> Part:
        """Pick the part of a type; empty for a type that roots do not have."""
        parts = (self.clusters, self.endpoints, self.listeners, self.routes, self.secrets)
        return next((part for part in parts if part.type_url == type_url), Part(type_url))


class Shared:
    """What the Views of one push have in common: compared pairs, joined ropes, encoded bodies. Holds bytes: drop it."""

    def __init__(self) -> None:
        # Keyed by identity, so the objects are kept as well.
        self.pairs: dict[tuple[int, int], tuple[Segment, Segment, tuple[Resource, ...], tuple[str, ...]]] = {}
        self.indexes: dict[int, tuple[Segment, dict[str, Resource]]] = {}
        self.ropes: dict[Rope, Resource] = {}
        self.bodies: dict[tuple[object, ...], bytes] = {}
        self.parts: dict[tuple[int, str, str], tuple[Part, bytes]] = {}


def push(old: Roots | None, new: Roots, shared: Shared | None = None) -> Delta:
    """Say what turns `old` (None: nothing was sent yet) into `new`.

    Segments are paired by key, each pair compared once per `shared`. What left one segment for another is not
    removed. A changed EDS cluster has its load assignment among the changed endpoints, changed or not: Envoy
    does not finish warming the cluster without.
    """
    shared = Shared() if shared is None else shared
    was = Roots() if old is None else old
    clusters = _segments(CDS, was.clusters, new.clusters, shared)
    endpoints = _segments(EDS, was.endpoints, new.endpoints, shared)
    if clusters.changed:
        endpoints = _with_assignments(endpoints, clusters, new.endpoints, shared)
    return Delta(
        clusters,
        endpoints,
        _segments(LDS, was.listeners, new.listeners, shared),
        _routes(was.routes, new.routes),
        _segments(SDS, was.secrets, new.secrets, shared),
    )


def full(roots: Roots, type_url: str) -> tuple[Item, ...]:
    """List everything of one type."""
    lists = {CDS: roots.clusters, EDS: roots.endpoints, LDS: roots.listeners, SDS: roots.secrets}
    parts = lists.get(type_url)
    if parts is None:
        return roots.routes if type_url == RDS else ()
    return tuple(each for part in parts for each in part.resources)


def catch_up(roots: Roots, type_url: str, have: Mapping[str, str]) -> Part:
    """Say what a client lacks that comes back with `initial_resource_versions` (name to version in hex)."""
    items = full(roots, type_url)
    names = {item.name for item in items}
    changed = tuple(item for item in items if have.get(item.name) != item.version.hex())
    return Part(type_url, changed, tuple(name for name in sorted(have) if name not in names))


def select(roots: Roots, type_url: str, names: Container[str]) -> tuple[Item, ...]:
    """Pick what a stream has newly subscribed to by name."""
    return tuple(item for item in full(roots, type_url) if item.name in names)


def entry_of(item: Item, shared: Shared | None = None) -> bytes:
    """Get the framed bytes of a resource; a rope is joined, once per `shared`."""
    if isinstance(item, Resource):
        return item.entry
    if shared is None:
        return item.join().entry
    joined = shared.ropes.get(item)
    if joined is None:
        joined = shared.ropes[item] = item.join()
    return joined.entry


def encode(part: Part, *, version: str, nonce: str, shared: Shared | None = None) -> bytes:
    """Encode a DeltaDiscoveryResponse; streams with the same change, version and nonce get the same bytes object."""
    if shared is None:
        return _encode(part, version, nonce, None)
    # The streams of one View have the very same part; those of other Views perhaps an equal one.
    same = (id(part), version, nonce)
    known = shared.parts.get(same)
    if known is not None:
        return known[1]
    key = (part.type_url, part.removed, version, nonce, *((item.name, item.version) for item in part.changed))
    body = shared.bodies.get(key)
    if body is None:
        body = shared.bodies[key] = _encode(part, version, nonce, shared)
    shared.parts[same] = (part, body)
    return body


def _encode(part: Part, version: str, nonce: str, shared: Shared | None) -> bytes:
    return b"".join(
        (
            framed(_VERSION, version.encode()),
            *[entry_of(item, shared) for item in part.changed],
            framed(_TYPE_URL, part.type_url.encode()),
            framed(_NONCE, nonce.encode()),
            *[framed(_REMOVED, name.encode()) for name in part.removed],
        )
    )


def _segments(type_url: str, old: tuple[Segment, ...], new: tuple[Segment, ...], shared: Shared) -> Part:
    if old is new:
        return Part(type_url)
    before = {part.key: part for part in old}
    changed: list[Resource] = []
    removed: list[str] = []
    for part in new:
        pair = before.pop(part.key, None)
        if pair is part:
            continue
        if pair is None:
            changed.extend(part.resources)
        elif pair.version != part.version:
            came, went = _pair(pair, part, shared)
            changed.extend(came)
            removed.extend(went)
    for part in before.values():
        removed.extend(each.name for each in part.resources)
    if not removed:
        return Part(type_url, tuple(changed))
    return _without_moves(type_url, changed, removed, old)


def _pair(old: Segment, new: Segment, shared: Shared) -> tuple[tuple[Resource, ...], tuple[str, ...]]:
    key = (id(old), id(new))
    found = shared.pairs.get(key)
    if found is None:
        before = {each.name: each for each in old.resources}
        came = []
        for each in new.resources:
            was = before.pop(each.name, None)
            if was is not each and (was is None or was.version != each.version):
                came.append(each)
        found = shared.pairs[key] = (old, new, tuple(came), tuple(before))
    return found[2], found[3]


def _without_moves(
    type_url: str, changed: list[Resource], removed: list[str], old: tuple[Segment, ...]
) -> Part:
    """What went from one segment and came in another stays; unchanged, it is not even sent."""
    gone = set(removed)
    moved = {each.name for each in changed if each.name in gone}
    if moved:
        was = {each.name: each for part in old for each in part.resources if each.name in moved}
        changed = [
            each for each in changed if each.name not in moved or was[each.name].version != each.version
        ]
    return Part(type_url, tuple(changed), tuple(sorted(gone - moved)))


def _with_assignments(endpoints: Part, clusters: Part, now: tuple[Segment, ...], shared: Shared) -> Part:
    there = {item.name for item in endpoints.changed}
    wanted = [item.name for item in clusters.changed if item.name not in there]
    if not wanted:
        return endpoints
    indexes = [_index(part, shared) for part in now]
    again = [found for name in wanted for index in indexes if (found := index.get(name)) is not None]
    return Part(EDS, (*endpoints.changed, *again), endpoints.removed)


def _index(part: Segment, shared: Shared) -> dict[str, Resource]:
    found = shared.indexes.get(id(part))
    if found is None:
        found = shared.indexes[id(part)] = (part, {each.name: each for each in part.resources})
    return found[1]


def _routes(old: tuple[Rope, ...], new: tuple[Rope, ...]) -> Part:
    if old is new:
        return Part(RDS)
    before = {each.name: each for each in old}
    changed = []
    for each in new:
        was = before.pop(each.name, None)
        if was is not each and was != each:
            changed.append(each)
    return Part(RDS, tuple(changed), tuple(sorted(before)))
