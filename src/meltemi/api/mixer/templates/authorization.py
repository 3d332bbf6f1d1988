"""Authorization: who wants to do what (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks; fields are expressions."""

    user: str = field("Name of the user.", "")
    groups: str = field("Groups of the user.", "")
    properties: Map[str] = field("Whatever else is known of the user.", EMPTY)


@dataclass(frozen=True, slots=True)
class Action:
    """What is asked for; fields are expressions."""

    namespace: str = field("Namespace of the service.", "")
    service: str = field("The service.", "")
    method: str = field("What is done.", "")
    path: str = field("Path within the service.", "")
    properties: Map[str] = field("Whatever else is known of the action.", EMPTY)


@dataclass(frozen=True, slots=True)
class Authorization:
    """A question of access; fields are expressions."""

    subject: Subject | None = field("Who asks.", None)
    action: Action | None = field("What for.", None)


AUTHORIZATION: Kind[Authorization] = declared(
    "authorization", "authorizations", Authorization, "Who wants to do what."
)
