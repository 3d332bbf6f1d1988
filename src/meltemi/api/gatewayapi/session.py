"""SessionPersistence: requests of one session go to one endpoint (experimental)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.values import Json


class SessionType(Enum):
    """What bears the session."""

    Cookie = "Cookie"
    Header = "Header"


class CookieLifetime(Enum):
    """How long a client keeps the cookie."""

    Session = "Session"
    Permanent = "Permanent"


@dataclass(frozen=True, slots=True)
class CookieConfig:
    """The cookie."""

    lifetime_type: CookieLifetime = field(
        "How long a client keeps it.", CookieLifetime.Session, filled=Json.of("Session")
    )


def _ends(given: Mapping[str, Any]) -> bool:
    cookie = given.get("cookie_config")
    return (
        cookie is None or cookie.lifetime_type is not CookieLifetime.Permanent or "absolute_timeout" in given
    )


@dataclass(frozen=True, slots=True)
class SessionPersistence:
    """How requests of one session are told."""

    session_name: str = field("Name of the cookie or header.", "", max_length=128)
    absolute_timeout: str = field("The session ends after this.", "", **words.DURATION)
    idle_timeout: str = field("The session ends after this without a request.", "", **words.DURATION)
    type: SessionType = field("What bears the session.", SessionType.Cookie, filled=Json.of("Cookie"))
    cookie_config: CookieConfig | None = field("The cookie.", None)

    RULES = (
        Rule(
            "!has(self.cookieConfig) || !has(self.cookieConfig.lifetimeType) || "
            "self.cookieConfig.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
            "a permanent cookie needs absoluteTimeout: it says when it ends",
            _ends,
            "absoluteTimeout",
        ),
    )
