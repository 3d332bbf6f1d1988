"""What can be set about Pilot's shell; every bound of a stream is here."""

from __future__ import annotations

from dataclasses import dataclass, field

from meltemi.pilot.wire.ads import Limits


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds, sizes in bytes."""

    quiet: float = 0.1
    """Changes that follow another are merged until so long without one..."""
    longest: float = 10.0
    """...but never longer than this."""
    slice: float = 0.008
    """The engine works so long before it lets others have the loop (the design says 10 ms)."""
    overdue: float = 5.0
    """LDS and RDS wait no longer than this for the ACK of clusters."""
    steady: float = 5.0
    """After so long a client has asked for every type that it uses."""
    pod_wait: float = 10.0
    """A stream may be there before its Pod has come by watch; it waits so long."""
    first_request: float = 10.0
    """A stream that asks for nothing within this time ends."""
    authentication: float = 10.0
    """As long may checking a token take."""
    authenticating: int = 64
    """So many tokens are checked at once; others wait."""
    linger: float = 30.0
    """What a View needs is kept so long after its last stream, for those that reconnect."""
    connections: int = 10_000
    """Streams in all."""
    connections_per_pod: int = 4
    """Streams of one pod: a proxy that reconnects overlaps with itself."""
    message: int = 16 * 1024 * 1024
    """A request's size: a reconnecting proxy lists the versions of all that it has."""
    metadata: int = 32 * 1024
    """Headers of a call: a token, and little else."""
    keepalive: float = 30.0
    """A half-open connection is found by a ping after this..."""
    keepalive_timeout: float = 10.0
    """...and this."""
    validation: float = 10.0
    """`envoy --mode validate` gets so long for one resource."""
    trial: float = 8.0
    """What EnvoyFilters make is tried so long, in a turn that has some, before it is left to the proxies."""
    limits: Limits = field(default_factory=Limits)
    """What a stream may ask for."""
