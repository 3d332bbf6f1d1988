"""What each View must be sent, as the streams read it: name to resource, per type, kept up to date by `push`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from meltemi.model.views import View
from meltemi.pilot.core import push as pushing
from meltemi.pilot.core.push import Item, Shared
from meltemi.pilot.core.resource import Origin, Roots, Rope
from meltemi.pilot.wire.ads import Update
from meltemi.query import Failure


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Sendable:
    """A resource with its version as it stands on the wire. One object for all Views and streams that have it."""

    item: Item
    version: str


class Sendables:
    """All resources in use, each once."""

    def __init__(self) -> None:
        self._all: WeakValueDictionary[tuple[str, str, bytes], Sendable] = WeakValueDictionary()

    def of(self, type_url: str, item: Item) -> Sendable:
        """Find or make the one for a resource."""
        key = (type_url, item.name, item.version)
        found = self._all.get(key)
        if found is None:
            found = self._all[key] = Sendable(item, item.version.hex())
        return found


@dataclass
class World(Mapping[str, Sendable]):
    """One type of one View. `good`: what was accepted last, where that is not what is wanted now."""

    type: str
    wanted: dict[str, Sendable] = field(default_factory=dict)
    good: dict[str, Sendable] = field(default_factory=dict)
    _untried: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Sendable:
        return self.wanted[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.wanted)

    def __len__(self) -> int:
        return len(self.wanted)

    def set(self, name: str, sendable: Sendable) -> None:
        """Want another version."""
        old = self.wanted.get(name)
        if old is sendable:
            return
        if old is not None and name not in self._untried:
            self.good[name] = old
        self.wanted[name] = sendable
        self._untried.add(name)

    def drop(self, name: str) -> None:
        """Want it no more."""
        self.wanted.pop(name, None)
        self.good.pop(name, None)
        self._untried.discard(name)

    def accepted(self, versions: Mapping[str, str]) -> None:
        """Note that a proxy of this View took these versions."""
        for name, version in versions.items():
            wanted = self.wanted.get(name)
            if wanted is not None and wanted.version == version and name in self._untried:
                self._untried.discard(name)
                self.good.pop(name, None)


class HeldView:
    """A View with streams, and what they must be sent; not `ready` until it was computed for the first time."""

    def __init__(self, view: View, sendables: Sendables) -> None:
        self.view = view
        self.worlds = {type_url: World(type_url) for type_url in pushing.TYPES}
        self.roots: Roots | None = None
        self.failure: Failure | None = None
        self.streams = 0
        self.idle_since: float | None = None
        self._sendables = sendables

    @property
    def ready(self) -> bool:
        """Say whether it has been computed."""
        return self.roots is not None

    def take(self, roots: Roots | Failure, shared: Shared) -> tuple[Update[Sendable], ...]:
        """Take new roots; returns what changed. A failure keeps what is in force."""
        if isinstance(roots, Failure):
            self.failure = roots
            return ()
        self.failure = None
        first = self.roots is None
        delta = pushing.push(self.roots, roots, shared)
        self.roots = roots
        updates = []
        for type_url in pushing.TYPES:
            part = delta.of(type_url)
            if part or first:
                updates.append(self._update(part, names=None if first else _names(part)))
        return tuple(updates)

    def _update(self, part: pushing.Part, names: Collection[str] | None) -> Update[Sendable]:
        world = self.worlds[part.type_url]
        for name in part.removed:
            world.drop(name)
        for item in part.changed:
            world.set(item.name, self._sendables.of(part.type_url, item))
        return Update(part.type_url, world, names)

    def everything(self) -> tuple[Update[Sendable], ...]:
        """All that there is, for a stream that comes to this View."""
        return tuple(Update(world.type, world) for world in self.worlds.values()) if self.ready else ()


def _names(part: pushing.Part) -> tuple[str, ...]:
    return (*(item.name for item in part.changed), *part.removed)


def origins_of(item: Item) -> tuple[Origin, ...]:
    """Which objects a resource was made from."""
    if not isinstance(item, Rope):
        return item.origins
    hosts = (host for part in item.segments for host in part.resources)
    return tuple(dict.fromkeys((*item.origins, *(origin for host in hosts for origin in host.origins))))
