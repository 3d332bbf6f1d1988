"""What a relay hears, and what it wants done: `wire.relay` says what follows from what."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.pilot.wire.messages import Entry, Request, Response


@dataclass(frozen=True, slots=True)
class EnvoyConnected:
    """Envoy opened a stream; an older one of the same pod is dead."""


@dataclass(frozen=True, slots=True)
class EnvoyDisconnected:
    """Envoy's stream ended."""


@dataclass(frozen=True, slots=True)
class EnvoyAsked:
    """Envoy sent a request, an ACK or a NACK."""

    request: Request


@dataclass(frozen=True, slots=True)
class EnvoyOverdue:
    """Envoy has not answered this response for long: what waits for it goes on without."""

    type: str
    nonce: str


@dataclass(frozen=True, slots=True)
class EnvoySteady:
    """Envoy's stream has been open for long enough that it has asked for all that it uses."""


@dataclass(frozen=True, slots=True)
class UpstreamConnected:
    """The stream to the control plane is open."""


@dataclass(frozen=True, slots=True)
class UpstreamDisconnected:
    """The stream to the control plane ended."""


@dataclass(frozen=True, slots=True)
class UpstreamAnswered:
    """The control plane sent a response."""

    response: Response


@dataclass(frozen=True, slots=True)
class Tick:
    """Some time has passed (the shell says it every half minute)."""


@dataclass(frozen=True, slots=True)
class ToEnvoy:
    """Send this response to Envoy."""

    type: str
    nonce: str
    resources: tuple[Entry, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToUpstream:
    """Send this request to the control plane."""

    request: Request


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept of a type changed: write `Relay.kept(type)` down."""

    type: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Envoy refused versions of these names; for the log."""

    type: str
    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class EndEnvoy:
    """End Envoy's stream with these words."""

    reason: str


Event = (
    EnvoyConnected
    | EnvoyDisconnected
    | EnvoyAsked
    | EnvoyOverdue
    | EnvoySteady
    | UpstreamConnected
    | UpstreamDisconnected
    | UpstreamAnswered
    | Tick
)
Command = ToEnvoy | ToUpstream | Keep | Refused | EndEnvoy
