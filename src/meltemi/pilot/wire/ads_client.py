"""The delta ADS state machine of one client: what the agent speaks to Pilot, over any number of streams in turn.

Subscriptions and what was accepted outlive a stream; a new one begins with `initial_resource_versions`. A verdict on a
response is told by the owner, when it knows (the agent waits for its Envoy). No I/O, no clock.

=========================  ============================================================================================
event                      what follows
=========================  ============================================================================================
`Connected`                one first request per subscribed type, in the order of pushes, with what is held
`Subscribe`, `Unsubscribe` a request if connected, and remembered; a wildcard is the name `*`
`Response`                 `Received`: the owner looks at it, and answers later with `Accept` or `Refuse`
`Accept`                   what the response brought is held from now on; an ACK, if its stream is still open
`Refuse`                   what was held stays; a NACK with the reason, if its stream is still open
`Lost`                     what was held of these names is not any more: the next stream asks for them anew
`Disconnected`             open responses are forgotten: the next stream brings them again
=========================  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from meltemi.pilot.wire.messages import Entry, Request, Response
from meltemi.pilot.wire.subscription import ALL
from meltemi.pilot.wire.types import ORDER, WILDCARD


@dataclass(frozen=True, slots=True)
class Connected:
    """A stream is open."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream is gone."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask for names of a type; `*` for all."""

    type: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Take names back."""

    type: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accept:
    """The owner took the response."""

    type: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The owner could not take the response, with the reason for the server."""

    type: str
    nonce: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The owner has let go of what it held."""

    type: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request to the server."""

    request: Request


@dataclass(frozen=True, slots=True)
class Received:
    """A response to look at; answer it with `Accept` or `Refuse`."""

    response: Response


Event = Connected | Disconnected | Subscribe | Unsubscribe | Response | Accept | Refuse | Lost
Command = Send | Received


@dataclass
class _Type:
    names: set[str] = field(default_factory=set)
    has: dict[str, Entry] = field(default_factory=dict)
    open: dict[str, Response] = field(default_factory=dict)
    asked: bool = False

    def wants(self, name: str) -> bool:
        return ALL in self.names or name in self.names


class AdsClient:
    """One client; see the module. `held` is what it has from an earlier life, per type."""

    def __init__(self, held: Mapping[str, Iterable[Entry]] | None = None) -> None:
        self._types: dict[str, _Type] = {type_url: _Type() for type_url in ORDER}
        self._connected = False
        for type_url, entries in (held or {}).items():
            self._type(type_url).has = {entry.name: entry for entry in entries}

    def receive(self, event: Event) -> tuple[Command, ...]:
        """Take one event; returns what follows, in order."""
        match event:
            case Connected():
                self._connected = True
                return tuple(self._first_requests())
            case Disconnected():
                self._connected = False
                for state in self._types.values():
                    state.asked = False
                    state.open.clear()
                return ()
            case Subscribe():
                return tuple(self._subscribe(event))
            case Unsubscribe():
                return tuple(self._unsubscribe(event))
            case Response():
                self._type(event.type).open[event.nonce] = event
                return (Received(event),)
            case Lost():
                for name in event.names:
                    self._type(event.type).has.pop(name, None)
                return ()
            case Accept() | Refuse():
                return tuple(self._answer(event))

    def held(self, type_url: str) -> Mapping[str, Entry]:
        """What was accepted of a type and is still subscribed or was brought from an earlier life."""
        return self._type(type_url).has

    def subscribed(self, type_url: str) -> tuple[str, ...]:
        """The names subscribed now, sorted; `*` among them for a wildcard."""
        return tuple(sorted(self._type(type_url).names))

    @property
    def connected(self) -> bool:
        """Say whether a stream is open."""
        return self._connected

    def _type(self, type_url: str) -> _Type:
        return self._types.setdefault(type_url, _Type())

    def _first_requests(self) -> Iterator[Command]:
        for type_url, state in self._types.items():
            if state.names:
                yield self._first_request(type_url, state)

    def _first_request(self, type_url: str, state: _Type) -> Send:
        state.asked = True
        legacy = type_url in WILDCARD and state.names == {ALL}
        return Send(
            Request(
                type=type_url,
                subscribe=() if legacy else tuple(sorted(state.names)),
                initial_resource_versions={
                    name: entry.version for name, entry in sorted(state.has.items()) if state.wants(name)
                },
            )
        )

    def _subscribe(self, event: Subscribe) -> Iterator[Command]:
        state = self._type(event.type)
        new = tuple(name for name in dict.fromkeys(event.names) if name not in state.names)
        state.names.update(new)
        if not self._connected or not state.names:
            return
        if not state.asked:
            yield self._first_request(event.type, state)
        elif event.names:
            # Names that are subscribed already are asked for all the same: that is how to get them again.
            yield Send(Request(event.type, subscribe=tuple(dict.fromkeys(event.names))))

    def _unsubscribe(self, event: Unsubscribe) -> Iterator[Command]:
        state = self._type(event.type)
        gone = tuple(name for name in dict.fromkeys(event.names) if name in state.names)
        state.names.difference_update(gone)
        for name in [name for name in state.has if not state.wants(name)]:
            del state.has[name]
        if gone and self._connected and state.asked:
            yield Send(Request(event.type, unsubscribe=gone))

    def _answer(self, event: Accept | Refuse) -> Iterator[Command]:
        state = self._type(event.type)
        response = state.open.pop(event.nonce, None)
        if response is None:
            return
        if isinstance(event, Refuse):
            yield Send(Request(event.type, nonce=event.nonce, error=event.reason))
            return
        state.has.update({entry.name: entry for entry in response.resources if state.wants(entry.name)})
        for name in response.removed:
            state.has.pop(name, None)
        yield Send(Request(event.type, nonce=event.nonce))
