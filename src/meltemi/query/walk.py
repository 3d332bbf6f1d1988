"""Walks over the graph that change nothing: reports, provenance, impact, and the audit of its rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from meltemi.query.nodes import CLEAN, Fact, Members, Memo, Node, Table, readers_of
from meltemi.query.values import Call, FactRef

if TYPE_CHECKING:
    from meltemi.query.facts import Facts
    from meltemi.query.machine import Machine


def nodes(starts: Iterable[Node]) -> Iterator[Node]:
    """Go down from some nodes, each once: a node first, then what it read, in that order."""
    seen: set[Node] = set()
    stack = list(starts)[::-1]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(reversed(node.reads))


def memos(start: Memo) -> Iterator[Memo]:
    """Go through a memo and every memo below it."""
    return (node for node in nodes([start]) if isinstance(node, Memo))


def reports(starts: Iterable[Memo]) -> tuple[Any, ...]:
    """Collect the reports below some memos, without repetition."""
    found: dict[Any, None] = {}
    for node in nodes(starts):
        if isinstance(node, Memo) and node.reports:
            found.update(dict.fromkeys(node.reports))
    return tuple(found)


def facts(start: Memo) -> tuple[FactRef, ...]:
    """List the facts and memberships below a memo."""
    found = []
    for node in nodes([start]):
        if isinstance(node, Fact):
            found.append(FactRef(node.kind, node.namespace, node.name, present=node.value is not None))
        elif isinstance(node, Members):
            what = "namespaces" if node.namespace is None else "names"
            found.append(FactRef(node.kind, node.namespace or "", what=what))
    return tuple(found)


def grounds(start: Memo) -> Iterator[FactRef]:
    """Go through the facts that are there and below a memo, last read first; then those below its readers."""
    seen: set[Node] = set()
    level: list[Node] = [start]
    while level:
        for memo in level:
            below = [node for node in nodes([memo]) if node not in seen]
            seen.update(below)
            for node in reversed(below):
                if isinstance(node, Fact) and node.value is not None:
                    yield FactRef(node.kind, node.namespace, node.name)
        level = [reader for memo in level for reader in readers_of(memo) if reader not in seen]


def ground(store: Facts, kind: str, namespace: str, name: str, *, membership: bool) -> list[Node]:
    """List the nodes that a fact stands on the ground with."""
    fact = store.find(kind, namespace, name)
    found: list[Node] = [] if fact is None else [fact]
    if membership:
        found += [store.names(kind, namespace, keep=False), store.namespaces(kind, keep=False)]
    return found


def above(starts: Iterable[Node], table: Table | None) -> tuple[Call, ...]:
    """List the roots (or a table's memos) that some nodes lead up to: roots by order of hold, others by name."""
    seen: set[Node] = set()
    stack = list(starts)
    found: list[Memo] = []
    while stack:
        for reader in readers_of(stack.pop()):
            if reader in seen:
                continue
            seen.add(reader)
            stack.append(reader)
            if reader.root is not None if table is None else reader.table is table:
                found.append(reader)
    return tuple(memo.call for memo in sorted(found, key=_rank))


def _rank(memo: Memo) -> tuple[int, str, str]:
    return (0 if memo.root is None else memo.root.order, memo.table.name, repr(memo.args))


def audit(machine: Machine) -> tuple[str, ...]:
    """Check: edges go both ways, no CLEAN memo reads an unclean one, nothing is kept that nobody needs."""
    wrong: list[str] = []
    every = [memo for table in machine.tables.values() for memo in table.values()]
    alive = set(nodes(memo for memo in every if memo.root is not None))
    for memo in every:
        if memo not in alive:
            wrong.append(f"{memo.call} is kept, but nobody needs it")
        if len(set(memo.reads)) != len(memo.reads):
            wrong.append(f"{memo.call} reads something twice")
        for read in memo.reads:
            if memo not in readers_of(read):
                wrong.append(f"{memo.call} is not known as a reader of {_name(read)}")
            if memo.height <= read.height:
                wrong.append(f"{memo.call} is not higher than {_name(read)}")
            if memo.state == CLEAN and read.state != CLEAN:
                wrong.append(f"{memo.call} is clean above {_name(read)}")
            if isinstance(read, Memo) and read.table.get(read.args) is not read:
                wrong.append(f"{memo.call} reads {_name(read)}, which is gone")
    for node in (*every, *machine.facts.nodes()):
        wrong.extend(
            f"{_name(node)} has a reader {reader.call} that does not read it"
            for reader in readers_of(node)
            if node not in reader.reads
        )
        if isinstance(node, Fact) and node.value is None and node.readers is None:
            wrong.append(f"{_name(node)} is missing and not read, but kept")
    return tuple(wrong)


def _name(node: Node) -> str:
    if isinstance(node, Memo):
        return str(node.call)
    if isinstance(node, Fact):
        return f"{node.kind} {node.namespace}/{node.name}"
    return f"members of {getattr(node, 'kind', '?')}"
