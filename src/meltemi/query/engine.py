"""`Engine`: transactions of facts in, changed roots out, and everything one may ask of the graph."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from meltemi.query import walk
from meltemi.query.db import Db
from meltemi.query.errors import BusyError, Failure, captured, raised
from meltemi.query.nodes import UNSET, Memo, Root
from meltemi.query.trial import Trial
from meltemi.query.values import Call, Change, Counts, FactKind, FactRef, RootChange

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

FUEL: Final = 32
"""Queries that a slice finishes: a few milliseconds of translation."""


class Engine:
    """The incremental engine. One thread; no clock: the shell decides when to refresh and how long a slice is."""

    def __init__(self) -> None:
        self._machine = Db()._machine  # noqa: SLF001 - the two faces of one thing
        self._revision = 0
        self._holds = 0
        self._refreshing = False
        # Roots too deep to be computed: they have no reads that would wake them.
        self._deep: dict[Memo, None] = {}
        self._counted: dict[str, int] = {}

    @property
    def revision(self) -> int:
        """How many transactions have changed something."""
        return self._revision

    def apply(self, changes: Iterable[Change[Any]]) -> int:
        """Set and remove facts in one transaction; return the revision (the same if nothing differs).

        Of several changes to one fact the last counts. Raises BusyError during a refresh or a dry run,
        TypeError for a fact that cannot be hashed.
        """
        self._machine.idle("apply")
        if self._refreshing:
            raise BusyError("apply while a refresh is under way: finish it or close it first")
        if self._write(changes):
            self._revision += 1
            self._machine.pending.update((memo, None) for memo in self._deep if memo.root is not None)
            self._deep.clear()
        return self._revision

    def hold(self, function: Callable[Concatenate[Db, P], Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Make a call a root: kept alive, and delivered by `refresh` now and whenever it changes. Holds are counted."""
        self._machine.idle("hold")
        memo = self._memo(function, args, kwargs)
        if memo.root is None:
            self._holds += 1
            memo.root = Root(self._holds)
            self._machine.pending[memo] = None
        memo.root.holds += 1

    def release(self, function: Callable[Concatenate[Db, P], Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Undo one `hold`; the last one frees what nobody else reads. Raises KeyError for what is not held."""
        self._machine.idle("release")
        memo = self._machine.tables[function].get(_positional(function, args, kwargs))
        if memo is None or memo.root is None:
            raise KeyError(f"{getattr(function, '__qualname__', function)}{args!r} is not held")
        memo.root.holds -= 1
        if memo.root.holds == 0:
            memo.root = None
            self._machine.pending.pop(memo, None)
            self._machine.orphans[memo] = None
            self._clean()

    def refresh(self) -> tuple[RootChange, ...]:
        """Bring all roots up to date; return those with another value than last delivered, in order of holds."""
        return tuple(change for change in self._slices(None) if change is not None)

    def slices(self, fuel: int = FUEL) -> Generator[RootChange | None, None, None]:
        """Refresh in small steps: each `next` runs at most about `fuel` queries; a change comes when its root is done.

        Facts stand still meanwhile (`apply` raises BusyError); `get` and `dry_run` are allowed between steps.
        Closing the iterator early leaves the rest to the next refresh. What a step does not finish is begun again
        in the next (with all that it already has), so small steps cost a little more in all.
        """
        return self._slices(max(1, fuel))

    def _slices(self, fuel: int | None) -> Generator[RootChange | None, None, None]:
        machine = self._machine
        if self._refreshing or machine.reads is not None:
            raise BusyError("a refresh is already under way")
        self._refreshing = True
        try:
            for _ in machine.drain(fuel):
                yield None
            while machine.pending:
                for memo in sorted(machine.pending, key=_order):
                    if memo in machine.pending:
                        yield from self._bring(memo, fuel)
        finally:
            self._refreshing = False
            self._clean()

    def get(self, function: Callable[Concatenate[Db, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask a query from outside. Raises QueryError if it failed. What it made is freed again unless held or read."""
        with self._asking(function, args, kwargs) as memo:
            if type(memo.value) is Failure:
                raise raised(memo.value)
            return memo.value  # type: ignore[no-any-return]

    def reports(
        self, function: Callable[Concatenate[Db, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[Any, ...]:
        """Collect what the query and all that it read have reported, without repetition, in order of the reads."""
        with self._asking(function, args, kwargs) as memo:
            return walk.reports([memo])

    def all_reports(self) -> tuple[Any, ...]:
        """Collect the reports below all roots; call it after `refresh`."""
        return walk.reports(self._roots())

    def why(
        self, function: Callable[Concatenate[Db, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[FactRef, ...]:
        """List every fact that the value depends on, in order of the reads."""
        with self._asking(function, args, kwargs) as memo:
            return walk.facts(memo)

    def below(
        self, function: Callable[Concatenate[Db, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[tuple[Call, Any], ...]:
        """List every query that the call has read, however far below, with its value: the call itself first."""
        with self._asking(function, args, kwargs) as memo:
            return tuple((found.call, found.value) for found in walk.memos(memo))

    def take_failures(self) -> tuple[Failure, ...]:
        """List what has raised by itself since this was last asked, and is needed, and fails still; after `refresh`.

        In a dry run: what has raised in it.
        """
        faults, self._machine.faults = self._machine.faults, {}
        found = (memo.value for memo in faults if self._needed(memo))
        return tuple(value for value in found if type(value) is Failure)

    def failing(self, where: Call) -> bool:
        """Say whether a call fails and a root depends on it; after `refresh`, also in a dry run."""
        memo = self._found(where)
        return memo is not None and type(memo.value) is Failure and self._needed(memo)

    def grounds(self, where: Call) -> Iterator[FactRef]:
        """List the facts that are there and that a call has read, the last ones first; then its readers', and so up.

        What made a call fail is among the first, for it stopped there.
        """
        memo = self._found(where)
        return iter(()) if memo is None else walk.grounds(memo)

    def affects(
        self,
        kind: FactKind[Any],
        namespace: str,
        name: str,
        *,
        of: Callable[..., Any] | None = None,
        membership: bool = False,
    ) -> tuple[Call, ...]:
        """List the roots (or, with `of`, the calls of that query) that depend on a fact, directly or not.

        With `membership` also those that only list the names of its namespace. This is what may change;
        `touches` says what would.
        """
        self._settle()
        nodes = walk.ground(self._machine.facts, kind.name, namespace, name, membership=membership)
        return walk.above(nodes, None if of is None else self._machine.tables[of])

    def touches(self, kind: FactKind[Any], namespace: str, name: str) -> tuple[RootChange, ...]:
        """Say which roots would change, and how, if the fact were not there (a dry run of its removal)."""
        return self.dry_run([Change(kind, namespace, name, None)], Engine.refresh)

    def dry_run(self, changes: Iterable[Change[Any]], look: Callable[[Engine], T]) -> T:
        """Apply changes, let `look` ask (`get`, `reports`, `why`, `refresh`...), and put everything back exactly.

        A `refresh` inside delivers nothing: the next real one compares with what was delivered before.
        """
        machine = self._machine
        if machine.trial is not None:
            raise BusyError("a dry run is already under way")
        if machine.reads is not None:
            raise BusyError("dry run inside a query")
        self._settle()
        trial, runs = Trial(), {public: table.runs for public, table in machine.tables.items()}
        pending, orphans, refreshing = dict(machine.pending), machine.orphans, self._refreshing
        delivered = [(memo.root, memo.root.delivered) for memo in self._roots() if memo.root is not None]
        machine.trial, machine.orphans, self._refreshing = trial, {}, False
        frames, machine.frames[:] = list(machine.frames), []
        faults, machine.faults = machine.faults, {}
        try:
            self._write(changes)
            self._settle()
            return look(self)
        finally:
            self._undo(trial)
            orphans.update(machine.orphans)
            machine.trial, machine.orphans, machine.pending, self._refreshing = (
                None,
                orphans,
                pending,
                refreshing,
            )
            machine.frames[:], machine.faults = frames, faults
            for root, value in delivered:
                root.delivered = value
            for public, table in machine.tables.items():
                table.runs = runs.get(public, 0)
            self._clean()

    def fact(self, kind: FactKind[T], namespace: str, name: str) -> T | None:
        """Look at a fact."""
        return self._machine.facts.value(kind.name, namespace, name)  # type: ignore[no-any-return]

    def take_runs(self) -> dict[str, int]:
        """How often each query that ran has run since this was last asked, by its short name."""
        now: dict[str, int] = {}
        for table in self._machine.tables.values():
            short = table.name.rpartition(".")[2]
            now[short] = now.get(short, 0) + table.runs
        ran = {name: count - self._counted.get(name, 0) for name, count in sorted(now.items())}
        self._counted = now
        return {name: count for name, count in ran.items() if count}

    def memos(self) -> dict[str, int]:
        """How many memos each query has, by its dotted name; empty ones are left out."""
        sizes: dict[str, int] = {}
        for table in self._machine.tables.values():
            if table:
                sizes[table.name] = sizes.get(table.name, 0) + len(table)
        return dict(sorted(sizes.items()))

    def counts(self) -> Counts:
        """Count memos, edges and facts; walks the whole graph."""
        tables = self._machine.tables.values()
        edges = sum(len(memo.reads) for table in tables for memo in table.values())
        return Counts(sum(map(len, tables)), edges, self._machine.facts.count)

    def audit(self) -> tuple[str, ...]:
        """Check the graph against its own rules; empty when all is well. For tests."""
        self._settle()
        return walk.audit(self._machine)

    def _bring(self, memo: Memo, fuel: int | None) -> Iterator[RootChange | None]:
        try:
            for _ in self._machine.steps(memo, fuel):
                yield None
        except RecursionError as error:
            # The others go on. It is tried again when anything changes.
            self._deep[memo] = None
            yield self._deliver(memo, captured(memo.call, error))
        else:
            yield self._deliver(memo, memo.value)

    def _deliver(self, memo: Memo, value: object) -> RootChange | None:
        self._machine.pending.pop(memo, None)
        root = memo.root
        if root is None:
            return None
        old, root.delivered = root.delivered, value
        if old is value or (type(old) is type(value) and old == value):
            return None
        return RootChange(memo.table.public, memo.args, None if old is UNSET else old, value)

    def _write(self, changes: Iterable[Change[Any]]) -> bool:
        machine = self._machine
        last = {(change.kind.name, change.namespace, change.name): change.value for change in changes}
        for (kind, namespace, name), value in last.items():
            if type(value).__hash__ is None:
                raise TypeError(
                    f"fact {kind} {namespace}/{name} is a {type(value).__name__}: facts are frozen"
                )
        differs = False
        for (kind, namespace, name), value in last.items():
            if machine.trial is not None:
                machine.trial.facts.append(
                    (kind, namespace, name, machine.facts.value(kind, namespace, name))
                )
            for node in machine.facts.write(kind, namespace, name, value):
                differs = True
                machine.changed(node)
        return differs

    def _undo(self, trial: Trial) -> None:
        machine = self._machine
        # Memos before facts: a fact's node must have its readers back when its value goes.
        for memo, was in trial.saved.items():
            if was is None:
                machine.set_reads(memo, ())
                if memo.table.get(memo.args) is memo:
                    del memo.table[memo.args]
            else:
                memo.value, _, memo.reports, memo.state, memo.height = was
                machine.set_reads(memo, was[1])
        for kind, namespace, name, value in reversed(trial.facts):
            machine.facts.write(kind, namespace, name, value)

    def _memo(self, function: Callable[..., Any], args: tuple[Hashable, ...], kwargs: dict[str, Any]) -> Memo:
        key = _positional(function, args, kwargs)
        table = self._machine.tables[function]
        memo = table.get(key)
        return self._machine.make(table, key) if memo is None else memo

    @contextmanager
    def _asking(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Iterator[Memo]:
        machine = self._machine
        if machine.reads is not None:
            raise BusyError("the engine was asked inside a query: queries call queries")
        self._settle()
        memo = self._memo(function, args, kwargs)
        machine.orphans[memo] = None
        try:
            for _ in machine.steps(memo):
                pass
            yield memo
        finally:
            self._clean()

    def _found(self, where: Call) -> Memo | None:
        for table in self._machine.tables.values():
            if table.name == where.query:
                return table.get(where.arguments)
        return None

    def _needed(self, memo: Memo) -> bool:
        alive = memo.table.get(memo.args) is memo
        return alive and (memo.root is not None or bool(walk.above([memo], None)))

    def _settle(self) -> None:
        self._machine.settle()

    def _clean(self) -> None:
        # During a refresh what lost its reader may find another; during a dry run nothing may go.
        if not self._refreshing and self._machine.trial is None:
            self._machine.reap()

    def _roots(self) -> list[Memo]:
        held = [
            memo
            for table in self._machine.tables.values()
            for memo in table.values()
            if memo.root is not None
        ]
        return sorted(held, key=_order)


def _order(memo: Memo) -> int:
    return 0 if memo.root is None else memo.root.order


def _positional(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> tuple[Hashable, ...]:
    declared = getattr(function, "__positional__", None)
    if declared is None:
        raise TypeError(
            f"{getattr(function, '__qualname__', function)} is not a query: decorate it with @query"
        )
    return declared(args, kwargs)  # type: ignore[no-any-return]
