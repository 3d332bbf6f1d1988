"""What configuration comes from: one interface for the API server, a directory of YAML, and memory.

A source tells what it holds as batches of events: the first batch is everything that is there, at once, so that nobody
acts on half of it; each later one is what changed together. Events of one object come in order, and an object that is
the same as before makes none. A source that cannot be read says so in `errors` and keeps what it gave last.
`tests/conformance` holds every source to this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from meltemi.api.diagnostics import Diagnostic, Position
from meltemi.api.kind import Kind
from meltemi.galley.core.facts import Document, Key, key_of

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One object was ADDED, MODIFIED or DELETED (`document` is then what was known of it last)."""

    type: str
    kind: Kind[Any]
    document: Document

    @property
    def key(self) -> Key:
        """Resource, namespace (empty for kinds without) and name."""
        return self.kind.resource, *key_of(self.document)


Deliver = Callable[[tuple[SourceEvent, ...]], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a kind is followed: all of it, or one namespace, or one object."""

    kind: Kind[Any]
    namespace: str = ""
    name: str = ""

    def takes(self, namespace: str, name: str) -> bool:
        """Say whether an object of the kind is within."""
        return self.namespace in ("", namespace) and self.name in ("", name)


def every(kinds: Iterable[Kind[Any]]) -> tuple[Scope, ...]:
    """Follow all objects of some kinds."""
    return tuple(Scope(kind) for kind in kinds)


class Source(Protocol):
    """See the module. `name` is what people call it by."""

    @property
    def name(self) -> str:
        """A word, and where it is: `kubernetes`, `directory /etc/mesh`."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether Kubernetes' own kinds were checked by whoever stored them."""
        ...

    @property
    def errors(self) -> tuple[str, ...]:
        """What stands between us and the source now; empty while all is well."""
        ...

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the texts that objects are read from; faults of objects are found by who takes them."""
        ...

    def holds(self, key: Key) -> bool:
        """Say whether the source has an object now."""
        ...

    def position(self, key: Key, path: str = "") -> Position | None:
        """Give the place of a path of an object in its text; None where it has none."""
        ...

    async def run(self, deliver: Deliver) -> None:
        """Tell what there is and what changes until cancelled; called again, go on from there.

        `deliver` is called in the event loop and must not block.
        """
        ...
