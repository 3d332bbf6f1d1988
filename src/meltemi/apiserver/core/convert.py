"""Between the version an object is kept in and the one it is served in.

Versions of one kind differ in `apiVersion`, and in a few fields that only an older version knows: what they say is
kept in today's words. An alias has a form of its own, and says itself how it becomes today's and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meltemi.api.decode import decode
from meltemi.api.encode import encode_value
from meltemi.api.kind import Alias, Kind
from meltemi.api.problems import UNKNOWN_FIELD


def stored(kind: Kind[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a served document as it is kept."""
    found = kind.ahead(document) if isinstance(kind, Alias) else dict(document)
    return {**found, "apiVersion": kind.api_version}


def served(kind: Kind[Any], version: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kept document as it is served; `version` is `group/version`."""
    found = kind.back(document) if isinstance(kind, Alias) else dict(document)
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
