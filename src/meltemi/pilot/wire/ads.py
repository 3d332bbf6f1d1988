"""The delta ADS state machine of one stream, server side: events in, commands out. No I/O, no clock.

The same machine serves proxies (Pilot; the world comes from the roots of a View) and one Envoy (the agent's relay; the
world comes from upstream or from disk).

    ads = AdsStream()
    for command in ads.receive(event): ...

==================================  ==================================================================================
event                               what follows
==================================  ==================================================================================
`Request`, first of its type        subscribes. CDS, LDS without names, or the name `*`: everything (wildcard).
                                    `initial_resource_versions` say what the client has: only what differs is sent,
                                    removals included. A wildcard without them is answered even if with nothing.
`Request`, later                    adds or takes back names. A name asked for again is sent again.
`Request` with the pending nonce    ACK (`Accepted`) or NACK. Any other nonce is stale: names count, the verdict not.
NACK that names resources           these are `Rejected`: the client keeps its old version, nothing is sent until the
                                    resource changes (or is asked for anew); the rest of the response is sent again.
NACK that names nobody              the response is split in halves and sent again, until the guilty one stands alone.
`Changed`                           the world is another one; the newest state wins, nothing is queued.
`Overdue`                           the owner says that a CDS response got no answer for long: LDS and RDS wait no
                                    longer for it, so that one cluster that never warms stops nobody; and all
                                    endpoints are sent again, for a cluster whose warming a reconnect interrupted.
`Steady`                            the owner says that the client had time to ask for all that it uses. Until then
                                    clusters are removed only if LDS and RDS were both asked for: after a reconnect
                                    CDS is asked for first, while the client's routes still name what is gone.
==================================  ==================================================================================

What is sent, after each event, at most one un-ACKed response per type:

* order CDS, EDS, LDS, RDS, others;
* **EDS of each cluster in a CDS response, if subscribed, right behind it**, changed or not: Envoy withholds the ACK
  of a changed cluster until its endpoints come again, and does not ask for them;
* LDS and RDS additions wait until CDS additions are accepted (Envoy ACKs CDS when the clusters are warm);
* removals last: of clusters, when LDS and RDS have accepted a state at least as new as the one without the cluster,
  and no refused listener or route lives on in an older version; of endpoints after the clusters, of routes after the
  listeners. Listeners go in the same response as new ones: two may not hold one address;
* a name that was asked for and does not exist is answered with a removal once: Envoy then stops waiting for it;
* before the first `Changed` of a type nothing is answered: not knowing yet is not knowing that there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic

from meltemi.pilot.wire.messages import Request
from meltemi.pilot.wire.subscription import E, Plan, Refusal, Subscription, Versioned
from meltemi.pilot.wire.types import CDS, EDS, LDS, ORDER, RDS, WILDCARD

__all__ = [
    "Accepted",
    "AdsStream",
    "Changed",
    "Command",
    "Event",
    "Limits",
    "Overdue",
    "Refuse",
    "Rejected",
    "Request",
    "Respond",
    "Steady",
    "TypeState",
    "Update",
    "Versioned",
]


@dataclass(frozen=True, slots=True)
class Update(Generic[E]):
    """One type's new world, and the names that may differ from the last one told (None: any may).

    The mapping may be shared by many streams and changed in place, if each change is told before any other event.
    """

    type: str
    world: Mapping[str, E]
    names: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Changed(Generic[E]):
    """The world changed, in all these types at once."""

    updates: tuple[Update[E], ...]


@dataclass(frozen=True, slots=True)
class Overdue:
    """A response has waited long enough for its answer."""

    type: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Steady:
    """The stream has been open for long enough that every type in use was asked for."""


@dataclass(frozen=True, slots=True)
class Respond(Generic[E]):
    """Send a response."""

    type: str
    nonce: str
    resources: tuple[tuple[str, E], ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client has these versions now, and no longer what was removed."""

    type: str
    versions: Mapping[str, str]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client refused these versions with these words, and goes on with what it had."""

    type: str
    versions: Mapping[str, str]
    reason: str

    @property
    def names(self) -> tuple[str, ...]:
        """The refused names, sorted."""
        return tuple(sorted(self.versions))


@dataclass(frozen=True, slots=True)
class Refuse:
    """The client asks for more than anyone may: end the stream with these words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What one stream may ask for."""

    types: int = 16
    names: int = 100_000
    name_length: int = 1024


@dataclass(frozen=True, slots=True)
class TypeState:
    """One type of a stream, as `proxy-status` tells it. `waiting`: changes that are not accepted yet."""

    type: str
    requested: bool
    has: Mapping[str, str]
    waiting: bool
    rejected: Mapping[str, Refusal]


Event = Request | Changed[E] | Overdue | Steady
Command = Respond[E] | Accepted | Rejected | Refuse


class AdsStream(Generic[E]):
    """One stream; see the module. `keeps` is as in `Subscription`: an Envoy does, who stands before one may not."""

    def __init__(self, limits: Limits | None = None, *, keeps: bool = True) -> None:
        self._limits = limits if limits is not None else Limits()
        self._keeps = keeps
        self._types: dict[str, Subscription[E]] = {}
        for type_url in ORDER:
            self._of(type_url)
        self._revision = 0
        self._steady = False

    def receive(self, event: Event[E]) -> tuple[Command[E], ...]:
        """Take one event; returns what follows, in order."""
        match event:
            case Request():
                refusal = self._over_limit(event)
                if refusal is not None:
                    return (refusal,)
                return (*self._requested(event), *self._flush())
            case Changed():
                self._changed(event)
            case Steady():
                self._steady = True
            case Overdue():
                state = self._types.get(event.type)
                if state is not None and state.pending is not None and state.pending.nonce == event.nonce:
                    state.overdue = True
                    if event.type == CDS:
                        # It may wait for endpoints that an older stream had begun to bring.
                        endpoints = self._types[EDS]
                        endpoints.force(tuple(endpoints.names))
        return tuple(self._flush())

    def state(self, type_url: str) -> TypeState:
        """How one type stands."""
        kept = self._types.get(type_url)
        if kept is None:
            return TypeState(type_url, requested=False, has={}, waiting=False, rejected={})
        plan = kept.plan()
        waiting = kept.pending is not None or bool(plan.adds or plan.removals)
        return TypeState(type_url, kept.requested, kept.has, waiting, kept.rejected)

    @property
    def types(self) -> tuple[str, ...]:
        """All types that the stream knows, in the order of pushes."""
        return tuple(self._types)

    @property
    def asked(self) -> bool:
        """Say whether the client has asked for what it lives on: clusters and listeners, or all that it ever will."""
        return self._steady or all(self._types[type_url].requested for type_url in WILDCARD)

    @property
    def rejected(self) -> dict[str, Mapping[str, Refusal]]:
        """What the client refuses, by type and name."""
        return {state.type: state.rejected for state in self._types.values() if state.rejected}

    @property
    def revision(self) -> int:
        """How many `Changed` were told."""
        return self._revision

    @property
    def settled(self) -> int:
        """Up to which `Changed` the client has accepted, or refused for good, all that it asked for."""
        asked = [state for state in self._types.values() if state.requested and state.world is not None]
        return min((self._settled_at(state) for state in asked), default=self._revision)

    def _settled_at(self, state: Subscription[E]) -> int:
        return self._revision if self._settled(state, self._revision) else state.settled

    def _of(self, type_url: str) -> Subscription[E]:
        state = self._types.get(type_url)
        if state is None:
            state = self._types[type_url] = Subscription(type_url, self._keeps)
        return state

    # --- events

    def _over_limit(self, request: Request) -> Refuse | None:
        limits = self._limits
        if request.type not in self._types and len(self._types) >= limits.types:
            return Refuse(f"more than {limits.types} types on one stream")
        known = self._types.get(request.type)
        held = len(known.names) if known is not None else 0
        if max(held + len(request.subscribe), len(request.initial_resource_versions)) > limits.names:
            return Refuse(f"more than {limits.names} names of one type")
        if any(len(name) > limits.name_length for name in request.subscribe):
            return Refuse(f"a resource name of more than {limits.name_length} characters")
        return None

    def _requested(self, request: Request) -> Iterator[Command[E]]:
        state = self._of(request.type)
        yield from self._verdict(state, request)
        if not state.requested:
            legacy = request.type in WILDCARD
            state.start(request.subscribe, request.initial_resource_versions, legacy_wildcard=legacy)
            return
        # Envoy may take a name back and ask for it anew in one request: then it wants it.
        state.unsubscribe(request.unsubscribe)
        state.subscribe(request.subscribe)

    def _verdict(self, state: Subscription[E], request: Request) -> Iterator[Command[E]]:
        done = state.pending
        if done is None or not request.nonce or request.nonce != done.nonce:
            return
        if request.error is None:
            versions, removed = state.accepted(done)
            yield Accepted(state.type, versions, removed)
            return
        guilty = state.refused(done, request.error)
        if guilty:
            yield Rejected(state.type, guilty, request.error)

    def _changed(self, event: Changed[E]) -> None:
        self._revision += 1
        for update in event.updates:
            state = self._of(update.type)
            state.changed(update.world, update.names, self._revision)

    # --- what follows

    def _flush(self) -> Iterator[Command[E]]:
        for state in self._types.values():
            if state.pending is not None or not state.requested or state.world is None:
                continue
            plan = state.plan()
            adds = state.batch(plan.adds) if self._may_add(state.type) else ()
            removals = self._removable(state, plan, adds)
            held = self._in_use(state, plan)
            if not adds and not removals and not (state.greeting and self._may_add(state.type)):
                if not plan.adds and not held:
                    state.settled = self._revision
                continue
            complete = len(adds) == len(plan.adds) and not held
            sent = state.sent(adds, removals, self._revision if complete else -1)
            if state.type == CDS:
                self._types[EDS].force(name for name, _ in adds)
            yield Respond(state.type, sent.nonce, adds, removals)

    def _may_add(self, type_url: str) -> bool:
        if type_url not in (LDS, RDS):
            return True
        clusters = self._types[CDS]
        if not clusters.requested or clusters.overdue:
            return True
        waits = clusters.pending is not None and clusters.pending.adds
        return not waits and not clusters.plan().adds

    def _removable(
        self, state: Subscription[E], plan: Plan[E], adds: tuple[tuple[str, E], ...]
    ) -> tuple[str, ...]:
        match state.type:
            case _ if not plan.removals:
                return ()
            case t if t == CDS:
                return tuple(name for name in plan.removals if self._nobody_leans_on(state, name))
            case t if t == EDS:
                clusters = self._types[CDS]
                idle = clusters.overdue or not self._busy_removing(clusters)
                # A cluster that warms waits for them, and its ACK for the cluster.
                awaited = tuple(name for name in plan.removals if state.awaits(name))
                return plan.removals if idle else awaited
            case t if t == LDS:
                return plan.removals if adds or not plan.adds else ()
            case t if t == RDS:
                never_had = tuple(name for name in plan.removals if name not in state.has)
                return plan.removals if not self._in_use(state, plan) else never_had
            case _:
                return plan.removals

    def _nobody_leans_on(self, state: Subscription[E], name: str) -> bool:
        if name not in state.has:
            return True
        since = state.gone_since(name, self._revision)
        for type_url in (LDS, RDS):
            user = self._types[type_url]
            if not user.requested:
                if self._steady:
                    continue
                return False
            if user.holds_refused or not self._settled(user, since):
                return False
        return True

    def _settled(self, state: Subscription[E], since: int) -> bool:
        if state.settled >= since:
            return True
        if state.pending is not None or state.world is None:
            return False
        plan = state.plan()
        return not plan.adds and not (state.type == LDS and plan.removals) and not self._in_use(state, plan)

    def _in_use(self, state: Subscription[E], plan: Plan[E]) -> bool:
        """Say whether routes that go may be in use, as the client has them: until all listeners are as meant."""
        if state.type != RDS or not plan.removals:
            return False
        listeners = self._types[LDS]
        wanted = listeners.plan()
        return listeners.pending is not None or bool(wanted.adds or wanted.removals)

    def _busy_removing(self, state: Subscription[E]) -> bool:
        removing = state.pending is not None and bool(state.pending.removed)
        return state.requested and (removing or bool(state.plan().removals))
