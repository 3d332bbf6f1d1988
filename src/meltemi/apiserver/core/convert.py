"""Between the version an object is kept in and the one it is served in.

Versions of one kind differ in `apiVersion`, and in a few fields that only an older version knows: what they say is
kept in today's words. One resource is served under a second group as well: events, with other names for some fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from meltemi.api.decode import decode
from meltemi.api.encode import encode_value
from meltemi.api.kind import Kind
from meltemi.api.problems import UNKNOWN_FIELD

EVENTS_GROUP: Final = "events.k8s.io"

_EVENT_NAMES: Final[Mapping[str, str]] = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_NAMES: Final[Mapping[str, str]] = {core: name for name, core in _EVENT_NAMES.items()}


class Alias(Kind[Any]):
    """A kind whose objects are those of the core group's kind of the same plural."""

    @property
    def resource(self) -> str:
        """The resource it is kept, selected and allowed as."""
        return self.plural

    @property
    def api_version(self) -> str:
        """The version it is kept in."""
        return "v1"


def events_alias(kind: Kind[Any]) -> Alias:
    """Return the second name of core events."""
    same = {field.name: getattr(kind, field.name) for field in fields(kind)}
    return Alias(**{**same, "group": EVENTS_GROUP, "versions": ("v1",), "storage": "", "short": ()})


def stored(kind: Kind[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a served document as it is kept."""
    found = _renamed(document, _EVENT_NAMES) if isinstance(kind, Alias) else dict(document)
    return {**found, "apiVersion": kind.api_version}


def served(kind: Kind[Any], version: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kept document as it is served; `version` is `group/version`."""
    found = _renamed(document, _CORE_NAMES) if isinstance(kind, Alias) else dict(document)
    return {**found, "apiVersion": version}


def modern(kind: Kind[Any], version: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a written document without the fields that only its older version knows, and with what they say.

    A document that uses none stays as it was written, and so does one with mistakes: they are told in its own words.
    """
    same = dict(document)
    if (
        version == kind.storage_version
        or isinstance(kind, Alias)
        or not isinstance(document.get("spec"), dict)
    ):
        return same
    _, today = decode(kind, {**same, "apiVersion": kind.api_version}, kind.storage_version)
    if not any(one.code == UNKNOWN_FIELD for one in today):
        return same
    made, _ = decode(kind, same, version)
    return same if made is None else {**same, "spec": encode_value(made.spec)}


def _renamed(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in document.items()}
