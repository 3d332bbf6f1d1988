"""The frozen values that cross the engine's border: kinds of facts, changes, names of queries, what a root became."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FactKind(Generic[T_co]):
    """A kind of input. Its `name` is its identity: two of equal name are one; `T_co` is what its facts are."""

    name: str


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One fact set to `value`, or removed with None. `namespace` is "" for what has none."""

    kind: FactKind[T]
    namespace: str
    name: str
    value: T | None


@dataclass(frozen=True, slots=True)
class FactRef:
    """A fact, or a membership, that a value depends on.

    `what` is `fact`, or `names` (which names `namespace` has; `name` is ""), or `namespaces` (both are "").
    `present` is False for a fact that was asked for and is not there.
    """

    kind: str
    namespace: str = ""
    name: str = ""
    what: str = "fact"
    present: bool = True

    def __str__(self) -> str:
        if self.what != "fact":
            return f"{self.what}({self.kind}{', ' + self.namespace if self.namespace else ''})"
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}{'' if self.present else ' (missing)'}"


@dataclass(frozen=True, slots=True)
class Call:
    """A query and its arguments. `query` is its dotted name below `meltemi`, as `pilot.core.clusters.cluster`."""

    query: str
    arguments: tuple[Hashable, ...] = ()

    @property
    def short(self) -> str:
        """The function's own name, without its module."""
        return self.query.rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.short}({', '.join(map(repr, self.arguments))})"


@dataclass(frozen=True, slots=True)
class RootChange:
    """A held root whose value is no longer the one last delivered.

    `function` is the query function given to `Engine.hold`. `old` is None the first time.
    `new` is a `Failure` when the query raised: keep what is in force, and tell.
    """

    function: Any
    args: tuple[Any, ...]
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Counts:
    """How large the graph is. `edges` are reads; `facts` counts facts that exist."""

    memos: int
    edges: int
    facts: int
