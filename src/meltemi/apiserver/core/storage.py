"""What the store holds, as values: keys, entries, events, and how a document becomes bytes and back.

A stored body is JSON whose first two members are `apiVersion` and `kind`, so that an object is served in another
version by exchanging the first bytes only (versions of one kind differ in nothing else here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Key(NamedTuple):
    """An object's place. `resource` is `plural.group` (`plural` in the core group); namespace "" for cluster kinds."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An object at one revision: immutable bytes, and of them what is looked up without decoding."""

    key: Key
    revision: int
    body: bytes
    labels: Mapping[str, str]
    uid: str

    def document(self) -> dict[str, Any]:
        """Return a fresh copy, free to be changed."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass(frozen=True, slots=True)
class Event:
    """A change: `entry` is the new state (the last one, with the revision of its deletion, for DELETED)."""

    revision: int
    type: EventType
    entry: Entry
    previous: Entry | None


def entry_of(key: Key, document: Mapping[str, Any], revision: int) -> Entry:
    """Encode a document at a revision, which becomes its `metadata.resourceVersion`."""
    metadata = {**document["metadata"], "resourceVersion": str(revision)}
    ordered = {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": metadata}
    ordered.update((name, value) for name, value in document.items() if name not in ordered)
    return _entry(key, orjson.dumps(ordered), revision, metadata)


def entry_from(key: Key, body: bytes, revision: int) -> Entry:
    """Return the entry of a stored body."""
    return _entry(key, body, revision, orjson.loads(body)["metadata"])


def _entry(key: Key, body: bytes, revision: int, metadata: Mapping[str, Any]) -> Entry:
    return Entry(key, revision, body, metadata.get("labels") or {}, str(metadata.get("uid") or ""))


def in_version(body: bytes, stored: str, wanted: str) -> bytes:
    """Return the body with its apiVersion exchanged; both in the form `group/version`."""
    if stored == wanted:
        return body
    head = b'{"apiVersion":"' + stored.encode() + b'"'
    if not body.startswith(head):
        raise ValueError(f"the stored object does not begin with apiVersion {stored}")
    return b'{"apiVersion":"' + wanted.encode() + b'"' + body[len(head) :]
