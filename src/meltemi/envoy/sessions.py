"""Requests of one session that go to one endpoint: Envoy's `stateful_session`, by a cookie or a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.stateful_session.v3.stateful_session_pb2 import (
    StatefulSession,
    StatefulSessionPerRoute,
)
from envoy.extensions.http.stateful_session.cookie.v3.cookie_pb2 import CookieBasedSessionState
from envoy.extensions.http.stateful_session.header.v3.header_pb2 import HeaderBasedSessionState
from envoy.type.http.v3.cookie_pb2 import Cookie
from google.protobuf.any_pb2 import Any

from meltemi.api.duration import SECOND, Duration
from meltemi.envoy.encoding import duration, pack

NAME: Final = "envoy.filters.http.stateful_session"


@dataclass(frozen=True, slots=True)
class Session:
    """What bears a session: a cookie, or with `header` a header. A cookie ends after `ttl`; None lets it last."""

    name: str
    header: bool = False
    ttl: Duration | None = None


def per_route(session: Session) -> Any:
    """Make the setting of a route."""
    if session.header:
        name, state = "header", pack(HeaderBasedSessionState(name=session.name))
    else:
        cookie = Cookie(name=session.name, path="/", ttl=duration(_whole(session.ttl)))
        name, state = "cookie", pack(CookieBasedSessionState(cookie=cookie))
    extension = TypedExtensionConfig(name=f"envoy.http.stateful_session.{name}", typed_config=state)
    return pack(StatefulSessionPerRoute(stateful_session=StatefulSession(session_state=extension)))


def _whole(span: Duration | None) -> Duration | None:
    """Round up to seconds: Envoy reads no less, and none at all would let the session last for ever."""
    return None if span is None else Duration(-(-span.nanoseconds // SECOND) * SECOND)
