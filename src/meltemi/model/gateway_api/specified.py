"""Routes of the Gateway API with what VirtualServices have no words for: sessions, and servers that are asked."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.duration import Duration
from meltemi.api.networking.virtual_service import HTTPRoute


@dataclass(frozen=True, slots=True)
class Persistence:
    """Requests of a session go to one endpoint; the session is known by a cookie or a header of this name.

    `ends` is how long a session may last.
    """

    name: str
    header: bool = False
    ends: Duration | None = None


@dataclass(frozen=True, slots=True)
class Authorizer:
    """The port of a service that is asked whether a request may pass, and what it is told: see `ExternalAuth`."""

    host: str
    port: int
    grpc: bool = False
    path: str = ""
    headers: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    body: int = 0


@dataclass(frozen=True, slots=True)
class SpecifiedRoute(HTTPRoute):
    """An HTTP route with these; nobody can write one."""

    session: Persistence | None = None
    authorizer: Authorizer | None = None
