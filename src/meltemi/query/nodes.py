"""The nodes of the graph: memos, facts and memberships. Edges are references between them.

A node knows its readers, a memo also its reads. Readers are kept as lazily as they come (most nodes
have one): None, then the memo itself, then a list, then a dict; in the order in which they came, for that is the order
in which they are run. Nodes compare and hash by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from meltemi.query.values import Call

CLEAN: Final = 0
"""The value holds."""
MAYBE: Final = 1
"""Something below may have changed; look before running."""
STALE: Final = 2
"""Something it read has changed; run."""
RUNNING: Final = 3
"""Its function is on the stack."""

LIST_LIMIT: Final = 8


class Unset:
    """The type of the value of a memo that never ran."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Node:
    """What can be read. `readers` is None, one Memo, a list of up to eight, or a dict."""

    __slots__ = ("readers", "value")

    state: int
    reads: tuple[Node, ...]
    height: int
    """Above that of all it reads; a fact's is -1."""

    def __init__(self, value: object) -> None:
        self.value: Any = value
        self.readers: Memo | list[Memo] | dict[Memo, None] | None = None


class Fact(Node):
    """One fact; its value is None while it is missing but somebody asked for it."""

    __slots__ = ("kind", "name", "namespace")

    state = CLEAN
    reads = ()
    height = -1

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        super().__init__(None)
        self.kind = kind
        self.namespace = namespace
        self.name = name


class Members(Node):
    """A sorted list of names: of a namespace's facts of a kind, or (`namespace` None) of the kind's namespaces."""

    __slots__ = ("kind", "namespace", "sorted")

    state = CLEAN
    reads = ()
    height = -1

    def __init__(self, kind: str, namespace: str | None) -> None:
        super().__init__(None)
        self.kind = kind
        self.namespace = namespace
        self.sorted: list[str] = []

    def tuple(self) -> tuple[str, ...]:
        """The names, made once per change."""
        if self.value is None:
            self.value = tuple(self.sorted)
        return self.value  # type: ignore[no-any-return]


class Table(dict[tuple[Hashable, ...], "Memo"]):
    """All memos of one query, by its arguments; `runs` counts executions."""

    __slots__ = ("function", "name", "public", "runs")

    def __init__(self, public: Callable[..., Any], function: Callable[..., Any], name: str) -> None:
        super().__init__()
        self.public = public
        self.function = function
        self.name = name
        self.runs = 0


class Root:
    """What makes a memo a root: its place in the order of holds, how often it is held, what was delivered last."""

    __slots__ = ("delivered", "holds", "order")

    def __init__(self, order: int) -> None:
        self.order = order
        self.holds = 0
        self.delivered: Any = UNSET


class Memo(Node):
    """One call of a query: its value, what it read and in which order, and what it reported."""

    __slots__ = ("args", "height", "reads", "reports", "root", "state", "table")

    def __init__(self, table: Table, args: tuple[Hashable, ...]) -> None:
        self.value = UNSET
        self.readers = None
        self.table = table
        self.args = args
        self.reads: tuple[Node, ...] = ()
        self.reports: tuple[Any, ...] = ()
        self.state: int = STALE
        self.height = 0
        self.root: Root | None = None

    @property
    def call(self) -> Call:
        """Its name, for people."""
        return Call(self.table.name, self.args)


def readers_of(node: Node) -> Iterable[Memo]:
    """List who read a node, in the order in which they came."""
    readers = node.readers
    if readers is None:
        return ()
    if type(readers) is Memo:
        return (readers,)
    return readers  # type: ignore[return-value]


def add_reader(node: Node, memo: Memo) -> None:
    """Record one edge; the caller knows that it is new."""
    readers = node.readers
    if readers is None:
        node.readers = memo
    elif type(readers) is dict:
        readers[memo] = None
    elif type(readers) is list:
        if len(readers) < LIST_LIMIT:
            readers.append(memo)
        else:
            node.readers = dict.fromkeys((*readers, memo))
    else:
        node.readers = [readers, memo]  # type: ignore[list-item]


def drop_reader(node: Node, memo: Memo) -> bool:
    """Remove one edge that exists; True when that was the last reader."""
    readers = node.readers
    if readers is memo:
        node.readers = None
        return True
    if type(readers) is dict:
        del readers[memo]
    else:
        readers.remove(memo)  # type: ignore[union-attr]
    if readers:
        return False
    node.readers = None
    return True
