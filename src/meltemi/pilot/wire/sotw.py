"""The state-of-the-world ADS machine of one stream, server side: events in, commands out. No I/O, no clock.

It is the delta machine (`ads`) in other clothes: a request that tells all names becomes one that adds and takes back,
and a response of what differs becomes one that says all where absence removes. What is sent when, who waits for whom,
who is to blame for a NACK and what that means for others is decided there, once.

==================================  ==================================================================================
state of the world                  delta
==================================  ==================================================================================
`StateRequest`, first of its type   subscribes to the names. CDS and LDS without names: everything, until names are
                                    told on this stream; from then on no names are none.
`StateRequest`, later               names that are new are asked for, names that are missing are taken back. The same
                                    names again ask for nothing: Envoy repeats them whenever a watch comes or goes.
with the pending nonce              ACK or NACK. Any other nonce is stale: names count, the verdict not. The version
                                    is not read: it says nothing that the nonce does not.
what differs, of CDS or LDS         **all** that the client is to have: what it accepted on this stream, without what
                                    is removed, with what is new. What may not go yet is in it though the world has it
                                    no more; what was refused is in it as it was accepted before.
what differs, of any other type     only that: absence removes nothing (the xDS protocol, "Deleting resources").
a removal of any other type         not sent, and taken for accepted: the client lets go of what it names no more.
if the owner gives `absent`         what stands for a resource that is not there is sent instead (endpoints: none), so
                                    that a cluster that goes while it warms stops nobody: Envoy would wait 15 s.
a NACK that names nobody            the halves are told one after the other, the other half as it was accepted before:
                                    Envoy takes CDS and LDS one by one and names whom it refuses, unless it cannot
                                    read the response, and then it has taken nothing.
==================================  ==================================================================================

**What the protocol cannot say**: a client that reconnects does not tell what it has. All is sent again, and two
promises of delta end at a reconnect: what the world lost meanwhile goes at once, though a route may still name it; and
of a resource that is refused the version before goes, unless it was accepted on this stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from meltemi.pilot.wire.ads import Accepted, AdsStream, Command, Event, Limits, Request, Respond
from meltemi.pilot.wire.subscription import ALL, E
from meltemi.pilot.wire.types import WILDCARD

WHOLE = WILDCARD
"""Types whose responses say all there is: what they leave out is removed (the xDS protocol, for LDS and CDS)."""


@dataclass(frozen=True, slots=True)
class StateRequest:
    """A DiscoveryRequest. `error` is None for an ACK, and the client's words for a NACK; `nonce` is "" for neither."""

    type: str
    names: tuple[str, ...] = ()
    nonce: str = ""
    error: str | None = None


class SotwStream(AdsStream[E]):
    """One stream; see the module. `absent` gives what stands for a resource (type, name) that does not exist.

    A `Respond` removes nothing by name.
    """

    def __init__(
        self, limits: Limits | None = None, absent: Callable[[str, str], E | None] = lambda _type, _name: None
    ) -> None:
        super().__init__(limits)
        self._absent = absent
        self._asked: dict[str, tuple[str, ...]] = {}
        self._named: set[str] = set()
        self._offered: dict[str, dict[str, E]] = {type_url: {} for type_url in WHOLE}
        self._kept: dict[str, dict[str, E]] = {type_url: {} for type_url in WHOLE}

    def receive(self, event: Event[E] | StateRequest) -> tuple[Command[E], ...]:
        """Take one event; returns what follows, in order."""
        told = self._as_delta(event) if isinstance(event, StateRequest) else event
        return tuple(self._as_state(super().receive(told)))

    def _as_delta(self, request: StateRequest) -> Request:
        names = request.names
        if names:
            self._named.add(request.type)
        elif request.type in WILDCARD and request.type not in self._named:
            names = (ALL,)
        before = self._asked.get(request.type, ())
        subscribe: tuple[str, ...] = ()
        unsubscribe: tuple[str, ...] = ()
        # An ACK of thousands of endpoints tells all their names once more.
        if names != before:
            self._asked[request.type] = names
            was, now = frozenset(before), frozenset(names)
            subscribe = tuple(name for name in dict.fromkeys(names) if name not in was)
            unsubscribe = tuple(name for name in dict.fromkeys(before) if name not in now)
        return Request(request.type, subscribe, unsubscribe, nonce=request.nonce, error=request.error)

    def _as_state(self, commands: Iterable[Command[E]]) -> Iterator[Command[E]]:
        for command in commands:
            if isinstance(command, Accepted) and command.type in WHOLE:
                offered = self._offered[command.type]
                self._kept[command.type].update((name, offered[name]) for name in command.versions)
                yield command
            elif not isinstance(command, Respond):
                yield command
            elif command.type in WHOLE:
                yield self._whole(command)
            else:
                yield from self._partial(command)

    def _partial(self, differs: Respond[E]) -> Iterator[Command[E]]:
        absent = ((name, self._absent(differs.type, name)) for name in differs.removed)
        answers = tuple((name, entry) for name, entry in absent if entry is not None)
        if differs.removed and not differs.resources and not answers:
            yield from self.receive(Request(differs.type, nonce=differs.nonce))
            return
        yield replace(differs, resources=differs.resources + answers, removed=())

    def _whole(self, differs: Respond[E]) -> Respond[E]:
        """Say all that the client is to have, instead of what differs."""
        has = self._types[differs.type].has
        kept = {name: e for name, e in self._kept[differs.type].items() if has.get(name) == e.version}
        self._kept[differs.type] = kept
        self._offered[differs.type] = dict(differs.resources)
        gone = frozenset(differs.removed)
        whole = {name: entry for name, entry in kept.items() if name not in gone}
        whole.update(differs.resources)
        return replace(differs, resources=tuple(sorted(whole.items())), removed=())
