"""One type's half of a delta stream, seen from the server: what the client wants, has, was sent and refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from meltemi.pilot.wire.blame import accused


class Versioned(Protocol):
    """All that the machine reads of a resource."""

    @property
    def version(self) -> str:
        """Equal versions are equal bytes."""
        ...


E = TypeVar("E", bound=Versioned)

ALL = "*"


@dataclass(frozen=True, slots=True)
class Pending:
    """A response that the client has neither accepted nor refused. `covers`: up to which change it is complete."""

    nonce: str
    versions: Mapping[str, str]
    removed: tuple[str, ...]
    covers: int
    adds: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client would not take, and its words; stands until the resource changes."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan(Generic[E]):
    """What differs between the world and the client. Sorted by name; a removal is of a name that the client has."""

    adds: tuple[tuple[str, E], ...] = ()
    removals: tuple[str, ...] = ()


@dataclass
class Subscription(Generic[E]):
    """State of one type of one stream. `world` is None until the owner knows the type's resources.

    `keeps`: who refuses a version goes on with what it had, for sure. Else what it had is sent again after that.
    """

    type: str
    keeps: bool = True
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    requested: bool = False
    world: Mapping[str, E] | None = None
    has: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, Refusal] = field(default_factory=dict)
    pending: Pending | None = None
    overdue: bool = False
    greeting: bool = False
    settled: int = -1
    _dirty: set[str] = field(default_factory=set)
    _forced: set[str] = field(default_factory=set)
    _denied: set[str] = field(default_factory=set)
    _gone: dict[str, int] = field(default_factory=dict)
    _batches: deque[frozenset[str]] = field(default_factory=deque)
    _count: int = 0

    def wants(self, name: str) -> bool:
        """Say whether the client asked for this name."""
        return self.wildcard or name in self.names

    # --- what the client asks for

    def start(self, subscribe: Iterable[str], initial: Mapping[str, str], *, legacy_wildcard: bool) -> None:
        """Take the first request of this type on the stream."""
        self.requested = True
        wanted = set(subscribe)
        self.wildcard = ALL in wanted or (legacy_wildcard and not wanted)
        self.names = wanted - {ALL}
        self.has = {name: version for name, version in initial.items() if self.wants(name)}
        # A client that waits for its first answer must get one, be it empty.
        self.greeting = self.wildcard and not initial
        self._forced = {name for name in self._forced if self.wants(name)}
        self.everything_may_differ()

    def subscribe(self, names: Iterable[str]) -> None:
        """Take names asked for later on: each is answered, even if it was sent before."""
        for name in names:
            if name == ALL:
                self.greeting = not self.wildcard
                self.wildcard = True
                self.everything_may_differ()
                continue
            self.names.add(name)
            self._forget(name)
            self._dirty.add(name)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Take back names; one that the wildcard still covers is sent anew, as the protocol asks."""
        for name in names:
            if name == ALL:
                self.wildcard = False
                for known in [known for known in self.has if known not in self.names]:
                    self._forget(known)
                continue
            self.names.discard(name)
            self._forget(name)
            if self.wildcard:
                self._dirty.add(name)
            else:
                self._dirty.discard(name)

    def _forget(self, name: str) -> None:
        self.has.pop(name, None)
        self.rejected.pop(name, None)
        self._denied.discard(name)
        self._forced.discard(name)

    # --- what the world is

    def changed(self, world: Mapping[str, E], names: Collection[str] | None, revision: int) -> None:
        """Take a new world; `names` differ from the one before (None: any may)."""
        self.world = world
        if names is None:
            self.everything_may_differ()
            names = self._dirty
        elif self.wildcard:
            self._dirty.update(names)
        else:
            self._dirty.update(name for name in names if name in self.names)
        for name in names:
            if name in world:
                self._denied.discard(name)
                continue
            self.rejected.pop(name, None)
            if name in self.has:
                self._gone.setdefault(name, revision)

    def everything_may_differ(self) -> None:
        """Compare all names at the next plan."""
        self._dirty.update(self.has)
        self._dirty.update(self.names)
        if self.wildcard and self.world is not None:
            self._dirty.update(self.world)

    def force(self, names: Iterable[str]) -> None:
        """Send these again although the client has them: a changed cluster waits for its endpoints anew."""
        if not self.requested:
            # After a reconnect the first request may say that it has them: they are sent all the same.
            self._forced.update(names)
            return
        for name in names:
            if name in self.names or (self.wildcard and name in self.has):
                self._dirty.add(name)
                self._forced.add(name)

    def awaits(self, name: str) -> bool:
        """Say whether the client may wait for an answer about this name before it goes on."""
        return name not in self.has or name in self._forced

    # --- what must be sent

    def plan(self) -> Plan[E]:
        """What differs now. Names that turn out equal are dropped from the list of suspects."""
        if self.world is None or not self.requested or not self._dirty:
            return Plan()
        adds: list[tuple[str, E]] = []
        removals: list[str] = []
        for name in sorted(self._dirty):
            entry = self.world.get(name)
            if entry is not None and self._must_send(name, entry.version):
                adds.append((name, entry))
            elif entry is None and self._must_remove(name):
                removals.append(name)
            else:
                self._dirty.discard(name)
                self._forced.discard(name)
                self._gone.pop(name, None)
        return Plan(tuple(adds), tuple(removals))

    def _must_send(self, name: str, version: str) -> bool:
        refusal = self.rejected.get(name)
        if refusal is not None:
            if refusal.version == version:
                return False
            del self.rejected[name]
            if not self.keeps:
                self._forced.add(name)
        return self.wants(name) and (self.has.get(name) != version or name in self._forced)

    def _must_remove(self, name: str) -> bool:
        if name in self.has:
            return True
        # Who waits for it anew is told anew that there is none.
        return name in self.names and (name not in self._denied or name in self._forced)

    def gone_since(self, name: str, revision: int) -> int:
        """The change in which a removed name went; a name that was never there counts as gone now."""
        return self._gone.get(name, revision if name in self.has else -1)

    @property
    def isolating(self) -> bool:
        """True while a rejected response is being split to find who is to blame."""
        return bool(self._batches)

    def batch(self, adds: tuple[tuple[str, E], ...]) -> tuple[tuple[str, E], ...]:
        """The part of `adds` to send now: all, unless a rejected response is being split."""
        while self._batches:
            part = tuple((name, entry) for name, entry in adds if name in self._batches[0])
            if part:
                return part
            self._batches.popleft()
        return adds

    def sent(self, adds: tuple[tuple[str, E], ...], removals: tuple[str, ...], revision: int) -> Pending:
        """Note a response that goes out now, and number it."""
        self._count += 1
        versions = {name: entry.version for name, entry in adds}
        names = [*versions, *removals]
        self._dirty.difference_update(names)
        self._forced.difference_update(names)
        covers = -1 if self.isolating else revision
        self.greeting = False
        self.overdue = False
        self.pending = Pending(str(self._count), versions, removals, covers, adds=bool(adds))
        return self.pending

    # --- what the client says of it

    def accepted(self, done: Pending) -> tuple[dict[str, str], tuple[str, ...]]:
        """Take an ACK; returns what the client has from now on, and what it has no more."""
        self.pending = None
        versions = {name: version for name, version in done.versions.items() if self.wants(name)}
        self.has.update(versions)
        for name in versions:
            self.rejected.pop(name, None)
        self._take_removals(done)
        # What the world became meanwhile was compared with what the client had before this.
        self._dirty.update(versions)
        self.settled = max(self.settled, done.covers)
        if self._batches and self._batches[0] <= set(done.versions):
            self._batches.popleft()
        return versions, done.removed

    def _take_removals(self, done: Pending) -> None:
        for name in done.removed:
            self._dirty.add(name)
            self.has.pop(name, None)
            self._gone.pop(name, None)
            self.rejected.pop(name, None)
            if name in self.names:
                self._denied.add(name)

    def refused(self, done: Pending, reason: str) -> dict[str, str]:
        """Take a NACK; returns whom it is known to accuse (empty while that is still being found out)."""
        self.pending = None
        guilty = accused(done.versions, reason) or (tuple(done.versions) if len(done.versions) == 1 else ())
        self._dirty.update(done.versions)
        # Some may have been sent although the client had them, for a cluster that still waits.
        self._forced.update(done.versions)
        self._take_removals(done)
        if self._batches and self._batches[0] <= set(done.versions):
            self._batches.popleft()
        if not guilty and done.versions:
            self._split(sorted(done.versions))
        for name in guilty:
            self.rejected[name] = Refusal(done.versions[name], reason)
        return {name: done.versions[name] for name in guilty}

    def _split(self, names: list[str]) -> None:
        middle = len(names) // 2
        self._batches.appendleft(frozenset(names[middle:]))
        self._batches.appendleft(frozenset(names[:middle]))

    @property
    def holds_refused(self) -> bool:
        """True if the client goes on with an old version of something: what that leans on must stay."""
        return any(name in self.has for name in self.rejected)
