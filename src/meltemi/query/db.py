"""`Db`: what a query sees."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar, final

from meltemi.query.errors import Failure, QueryError
from meltemi.query.machine import Machine
from meltemi.query.values import FactKind

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@final
class Db:
    """What a query may read: facts, who there is, and (by calling them) other queries. Made by `Engine`."""

    __slots__ = ("_machine",)

    def __init__(self) -> None:
        self._machine = Machine(self)

    def fact(self, kind: FactKind[T], namespace: str, name: str) -> T | None:
        """Read a fact; None when there is none, which is recorded, too."""
        machine = self._machine
        reads = machine.reads
        if reads is None:
            return machine.facts.value(kind.name, namespace, name)  # type: ignore[no-any-return]
        try:
            node = machine.facts.facts[kind.name][namespace][name]
        except KeyError:
            node = machine.facts.fact(kind.name, namespace, name)
        reads[node] = None
        return node.value  # type: ignore[no-any-return]

    def names(self, kind: FactKind[Any], namespace: str) -> tuple[str, ...]:
        """List the names of a namespace's facts of a kind, sorted."""
        machine = self._machine
        reads = machine.reads
        node = machine.facts.names(kind.name, namespace, keep=reads is not None)
        if reads is not None:
            reads[node] = None
        return node.tuple()

    def namespaces(self, kind: FactKind[Any]) -> tuple[str, ...]:
        """List the namespaces that have at least one fact of a kind, sorted."""
        machine = self._machine
        reads = machine.reads
        node = machine.facts.namespaces(kind.name, keep=reads is not None)
        if reads is not None:
            reads[node] = None
        return node.tuple()

    def report(self, value: object) -> None:
        """Leave a finding (a frozen value) with the running query; it is part of the memo, not of its value."""
        if self._machine.reads is None:
            raise RuntimeError("q.report is for queries: no query is running")
        frame = self._machine.frames[-1]
        if frame.reports is None:
            frame.reports = {}
        frame.reports[value] = None

    def try_each(
        self, function: Callable[..., R], calls: Iterable[tuple[Hashable, ...]]
    ) -> list[R | Failure]:
        """Read a query with each of several tuples of arguments, as `try_` does one by one; much is known already.

        The arguments must be complete and positional. A list of a hundred is read in a fifth of the time.
        """
        machine = self._machine
        table, reads = machine.tables[function], machine.reads
        found: list[R | Failure] = []
        for args in calls:
            memo = table.get(args)
            if memo is None or memo.state or type(memo.value) is Failure:
                found.append(self.try_(function, *args))
                continue
            if reads is not None:
                reads[memo] = None
            found.append(memo.value)
        return found

    def try_(
        self, function: Callable[Concatenate[Db, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R | Failure:
        """Read a query that may fail, and get its `Failure` as a value instead of the raise.

        A member of a cycle cannot catch its own cycle: the raise goes on.
        """
        try:
            return function(self, *args, **kwargs)
        except QueryError as error:
            frames = self._machine.frames
            if frames and frames[-1].poison is not None:
                raise
            return error.failure
