"""One pod's relay between its Envoy and the control plane: both delta ADS machines, and what lies between them.

Towards Envoy it is a server (`pilot.wire.ads`) whose world is what upstream offers; towards the control plane a client
(`pilot.wire.ads_client`). Either side may come and go: the other's stream is not touched.

==================  ==================================================================================================
event               what follows
==================  ==================================================================================================
`EnvoyConnected`    a new stream: it is served from what is known, be upstream there or not
`EnvoyAsked`        names new to upstream are asked for there. A name whose answer is not known yet is held back from
                    Envoy's machine: not knowing yet is not knowing that there is none
`UpstreamAnswered`  the world moves; upstream's ACK waits until Envoy has taken or refused every resource of it
Envoy accepts       the resource is *kept* (`Keep`: write it down); a restarted Envoy is served from what is kept
Envoy refuses       the world goes back to what is kept; upstream gets the NACK with Envoy's words; the same version
                    again is refused without asking the same Envoy twice. Plain text is not gone back to from TLS
a cluster comes     whose TLS takes files, where Envoy has one that lets out plain text: it is closed first, and gets
                    the new one when that is accepted (`wire.closing`): its refusal may be long in coming
`Tick`              now and then: names that Envoy wanted no longer at the last tick either are given up upstream
==================  ==================================================================================================

No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meltemi.agent.wire import closing
from meltemi.agent.wire.relay_events import (
    Command,
    EndEnvoy,
    EnvoyAsked,
    EnvoyConnected,
    EnvoyDisconnected,
    EnvoyOverdue,
    EnvoySteady,
    Event,
    Keep,
    Refused,
    Tick,
    ToEnvoy,
    ToUpstream,
    UpstreamAnswered,
    UpstreamConnected,
    UpstreamDisconnected,
)
from meltemi.agent.wire.relay_state import Open, Type
from meltemi.pilot.wire import ads, ads_client
from meltemi.pilot.wire.blame import accused
from meltemi.pilot.wire.messages import Entry, Request, Response
from meltemi.pilot.wire.types import ORDER, WILDCARD

__all__ = [
    "Command",
    "EndEnvoy",
    "EnvoyAsked",
    "EnvoyConnected",
    "EnvoyDisconnected",
    "EnvoyOverdue",
    "EnvoySteady",
    "Event",
    "Keep",
    "Refused",
    "Relay",
    "Tick",
    "ToEnvoy",
    "ToUpstream",
    "UpstreamAnswered",
    "UpstreamConnected",
    "UpstreamDisconnected",
]

ALL = "*"


class Relay:
    """One pod's relay; see the module. `kept` is what was written down in an earlier life, by type."""

    def __init__(self, kept: Mapping[str, Iterable[Entry]] | None = None) -> None:
        held = {type_url: tuple(entries) for type_url, entries in (kept or {}).items()}
        self._client = ads_client.AdsClient(held)
        self._stream: ads.AdsStream[Entry] | None = None
        self._types: dict[str, Type] = {type_url: Type() for type_url in ORDER}
        for type_url, entries in held.items():
            state = self._types.setdefault(type_url, Type())
            state.known = state.noted = True
            state.kept = {entry.name: entry for entry in entries}
            state.world = dict(state.kept)

    @property
    def envoy_connected(self) -> bool:
        """Whether Envoy has a stream."""
        return self._stream is not None

    @property
    def upstream_connected(self) -> bool:
        """Whether the control plane's stream is open."""
        return self._client.connected

    def kept(self, type_url: str) -> tuple[Entry, ...]:
        """What Envoy accepted last, sorted by name."""
        state = self._types.get(type_url)
        return tuple(state.kept[name] for name in sorted(state.kept)) if state is not None else ()

    def receive(self, event: Event) -> tuple[Command, ...]:
        """Take one event; returns what follows, in order."""
        return tuple(self._receive(event))

    def _receive(self, event: Event) -> Iterator[Command]:
        match event:
            case EnvoyConnected():
                yield from self._envoy_connected()
            case EnvoyDisconnected():
                self._stream = None
                for state in self._types.values():
                    state.forget_stream()
            case EnvoyAsked():
                yield from self._envoy_asked(event.request)
            case EnvoyOverdue():
                yield from self._to_envoy(ads.Overdue(event.type, event.nonce))
            case EnvoySteady():
                yield from self._to_envoy(ads.Steady())
            case UpstreamConnected():
                yield from self._to_client(ads_client.Connected())
            case UpstreamDisconnected():
                for state in self._types.values():
                    state.opens.clear()
                yield from self._to_client(ads_client.Disconnected())
            case UpstreamAnswered():
                yield from self._upstream_answered(event.response)
            case Tick():
                yield from self._tick()

    # --- Envoy's side

    def _envoy_connected(self) -> Iterator[Command]:
        for type_url, state in self._types.items():
            state.forget_stream()
            # What upstream took back while it was told to an Envoy that is gone: nobody will say that it is gone.
            if stale := state.kept.keys() - state.world.keys():
                for name in stale:
                    del state.kept[name]
                yield Keep(type_url)
        self._stream = ads.AdsStream()
        known = tuple(ads.Update(t, state.world) for t, state in self._types.items() if state.known)
        if known:
            yield from self._to_envoy(ads.Changed(known))

    def _envoy_asked(self, request: Request) -> Iterator[Command]:
        if self._stream is None:
            return
        state = self._types.setdefault(request.type, Type())
        first = not state.requested
        state.requested = True
        names = [name for name in request.subscribe if name != ALL]
        legacy = first and not request.subscribe and request.type in WILDCARD
        state.wildcard = (
            (state.wildcard and ALL not in request.unsubscribe) or legacy or ALL in request.subscribe
        )
        for name in request.unsubscribe:
            state.asked.discard(name)
            state.held_back.discard(name)
            state.has.pop(name, None)
        state.asked.update(names)
        if first:
            state.has.update(
                (n, v)
                for n, v in request.initial_resource_versions.items()
                if state.wildcard or n in state.asked
            )
        yield from self._ask_upstream(request.type, state, names)
        passed = self._held_back(state, request, first=first)
        if passed is not None:
            yield from self._to_envoy(passed)
        yield from self._settle(request.type, state)
        yield from self._open(request.type, state)

    def _ask_upstream(self, type_url: str, state: Type, names: Iterable[str]) -> Iterator[Command]:
        new = [name for name in dict.fromkeys(names) if name not in state.wanted]
        if state.wildcard and ALL not in state.wanted:
            new.insert(0, ALL)
        if new:
            state.wanted.update(new)
            yield from self._to_client(ads_client.Subscribe(type_url, tuple(new)))

    def _held_back(self, state: Type, request: Request, *, first: bool) -> Request | None:
        """The request as Envoy's machine shall see it now: without the names whose answer is still to come."""
        unknown = {name for name in request.subscribe if name != ALL and not state.answered(name)}
        # A wildcard's world is whole once it is known: what is not in it does not exist.
        if state.wildcard and state.known:
            unknown = set()
        state.held_back.update(unknown)
        rest = tuple(name for name in request.subscribe if name not in unknown)
        if first and unknown and not rest and request.type in WILDCARD:
            # Without names it would read as "everything".
            return None
        return Request(
            request.type,
            rest,
            request.unsubscribe,
            request.initial_resource_versions,
            request.nonce,
            request.error,
        )

    def _to_envoy(self, event: ads.Event[Entry]) -> Iterator[Command]:
        if self._stream is None:
            return
        for command in self._stream.receive(event):
            match command:
                case ads.Respond():
                    state = self._types.setdefault(command.type, Type())
                    state.sent = dict(command.resources)
                    entries = tuple(entry for _, entry in command.resources)
                    yield ToEnvoy(command.type, command.nonce, entries, command.removed)
                case ads.Accepted():
                    yield from self._accepted(command)
                case ads.Rejected():
                    yield from self._rejected(command)
                case ads.Refuse():
                    yield EndEnvoy(command.reason)

    def _accepted(self, command: ads.Accepted) -> Iterator[Command]:
        state = self._types[command.type]
        # That there is nothing of a type is worth keeping, too: a restarted Envoy waits for an answer.
        changed, state.noted = not state.noted, True
        for name, version in command.versions.items():
            state.has[name] = version
            entry = state.sent.get(name)
            if entry is not None and entry.version == version and state.kept.get(name) != entry:
                state.kept[name] = entry
                changed = True
        for name in command.removed:
            state.has.pop(name, None)
            if name not in state.world:
                changed = state.kept.pop(name, None) is not None or changed
        if changed:
            yield Keep(command.type)
        yield from self._settle(command.type, state)
        yield from self._open(command.type, state)

    def _open(self, type_url: str, state: Type) -> Iterator[Command]:
        """Let Envoy have what was to follow closed clusters that it has by now."""
        ready = tuple(sorted(name for name in state.following if state.has.get(name) == closing.CLOSED))
        if ready:
            state.world.update((name, state.following.pop(name)) for name in ready)
            yield from self._world_moved(type_url, state, ready)

    def _rejected(self, command: ads.Rejected) -> Iterator[Command]:
        state = self._types[command.type]
        yield Refused(command.type, command.names, command.reason)
        back: list[str] = []
        for name, version in command.versions.items():
            state.refused[name] = (version, command.reason)
            current = state.world.get(name)
            if current is not None and current.version == version:
                old = state.kept.get(name)
                if old is not None and old.version != version:
                    state.world[name] = closing.instead(command.type, current, old)
                else:
                    del state.world[name]
                if state.world.get(name) != old:
                    if state.kept.pop(name, None) is not None:
                        yield Keep(command.type)
                    yield from self._to_client(ads_client.Lost(command.type, (name,)))
                back.append(name)
        yield from self._settle(command.type, state)
        if back:
            yield from self._to_envoy(ads.Changed((ads.Update(command.type, state.world, tuple(back)),)))

    # --- upstream's side

    def _to_client(self, event: ads_client.Event) -> Iterator[Command]:
        for command in self._client.receive(event):
            if isinstance(command, ads_client.Send):
                yield ToUpstream(command.request)

    def _upstream_answered(self, response: Response) -> Iterator[Command]:
        state = self._types.setdefault(response.type, Type())
        yield from self._to_client(response)
        opened = Open(response.nonce, {}, set())
        state.opens[response.nonce] = opened
        changed: list[str] = []
        for entry in response.resources:
            if (before := state.refused.get(entry.name)) is not None and before[0] == entry.version:
                opened.bad[entry.name] = before[1]
                continue
            state.refused.pop(entry.name, None)
            state.absent.discard(entry.name)
            opened.left[entry.name] = entry.version
            if (old := state.world.get(entry.name)) is not None and old.version == entry.version:
                state.following.pop(entry.name, None)
                continue
            changed.append(entry.name)
            if (stand_in := closing.first(response.type, entry, state.before(entry.name))) is None:
                state.following.pop(entry.name, None)
                state.world[entry.name] = entry
            else:
                state.following[entry.name] = entry
                state.world[entry.name] = stand_in
                yield from self._to_client(ads_client.Lost(response.type, (entry.name,)))
        for name in response.removed:
            opened.leaving.add(name)
            if name in state.wanted:
                state.absent.add(name)
            state.world.pop(name, None)
            state.following.pop(name, None)
            changed.append(name)
        state.known = True
        yield from self._world_moved(response.type, state, changed)
        yield from self._let_through(response.type, state)
        yield from self._settle(response.type, state)

    def _world_moved(self, type_url: str, state: Type, names: Iterable[str]) -> Iterator[Command]:
        yield from self._to_envoy(ads.Changed((ads.Update(type_url, state.world, tuple(names)),)))

    def _let_through(self, type_url: str, state: Type) -> Iterator[Command]:
        """Let Envoy's machine see the names whose answer has come."""
        ready = tuple(sorted(name for name in state.held_back if state.answered(name) or state.wildcard))
        if ready:
            state.held_back.difference_update(ready)
            yield from self._to_envoy(Request(type_url, subscribe=ready))

    def _settle(self, type_url: str, state: Type) -> Iterator[Command]:
        """Answer upstream's responses of which Envoy has said all there is to say."""
        for opened in tuple(state.opens.values()):
            for name, version in tuple(opened.left.items()):
                if (refusal := state.refused.get(name)) is not None and refusal[0] == version:
                    opened.bad[name] = refusal[1]
                    del opened.left[name]
                elif state.settled(name, version):
                    del opened.left[name]
            gone = {name for name in opened.leaving if name not in state.has}
            opened.leaving -= gone
            if any(state.kept.pop(name, None) is not None for name in gone if name not in state.world):
                yield Keep(type_url)
            if opened.left or opened.leaving:
                continue
            del state.opens[opened.nonce]
            if opened.bad:
                yield from self._to_client(ads_client.Refuse(type_url, opened.nonce, _words(opened.bad)))
            else:
                yield from self._to_client(ads_client.Accept(type_url, opened.nonce))

    def _tick(self) -> Iterator[Command]:
        if self._stream is None:
            return
        for type_url, state in self._types.items():
            if not state.requested:
                continue
            unwanted = {name for name in state.wanted if name != ALL and name not in state.asked}
            gone = tuple(sorted(unwanted & state.idle))
            state.idle = unwanted - set(gone)
            if not gone:
                continue
            state.wanted.difference_update(gone)
            yield from self._to_client(ads_client.Unsubscribe(type_url, gone))
            if state.wildcard:
                continue
            changed = False
            for name in gone:
                state.world.pop(name, None)
                state.absent.discard(name)
                changed = state.kept.pop(name, None) is not None or changed
            if changed:
                yield Keep(type_url)
            yield from self._settle(type_url, state)


def _words(bad: Mapping[str, str]) -> str:
    """Envoy's words, such that each refused name is named by them."""
    told: dict[str, None] = {}
    for name, reason in sorted(bad.items()):
        told[reason if accused((name,), reason) else f"{name}: {reason}"] = None
    return "; ".join(told)
