"""`Db`: what a query sees, and the machine beneath: recording reads, looking before running, stopping early.

A change marks its readers STALE and everything above them MAYBE (a marked node is not marked again).
Whoever pulls a MAYBE memo looks at its reads in the order of the last run; the first that changed makes it
STALE and it runs; if none did, it is CLEAN again and nothing above runs. A memo whose new value equals the
old one tells its readers nothing. So a node that is not CLEAN has no CLEAN reader, which is all the
book-keeping there is: no revisions in nodes.

A cycle is found when a running memo is read. Every memo on the way gets the same `Failure`, whatever it does
with the error, and reads what they all read, so that no edge of the graph ever closes a circle and any change
that may break the cycle is seen by all of them. Each memo waits for one other at a time, so which cycle is
found does not depend on where it was entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, final

from meltemi.query.errors import BusyError, Failure, QueryError, captured, circle, raised
from meltemi.query.facts import Facts
from meltemi.query.nodes import (
    CLEAN,
    MAYBE,
    RUNNING,
    STALE,
    UNSET,
    Memo,
    Node,
    Table,
    add_reader,
    drop_reader,
    readers_of,
)
from meltemi.query.trial import Trial
from meltemi.query.values import FactKind

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

MUTABLE: Final = frozenset({list, dict, set, bytearray})


class Frame:
    """A memo being run (`reads` fills), or being looked at (`rest` are the reads still to look at)."""

    __slots__ = ("memo", "poison", "reads", "reports", "rest", "union")

    def __init__(self, memo: Memo, rest: Iterator[Node] | None = None) -> None:
        self.memo = memo
        self.rest = rest
        self.reads: dict[Node, None] = {}
        self.reports: list[Any] = []
        self.poison: Failure | None = None
        self.union: dict[Node, None] | None = None


class Tables(dict[Callable[..., Any], Table]):
    """One table per query, made on its first call."""

    def __missing__(self, public: Callable[..., Any]) -> Table:
        declared = getattr(public, "__query__", None)
        if declared is None:
            raise TypeError(
                f"{getattr(public, '__qualname__', public)} is not a query: decorate it with @query"
            )
        table = self[public] = Table(public, *declared)
        return table


@final
class Db:
    """What a query may read. Made by `Engine`; everything with an underscore is the engine's own."""

    __slots__ = ("_facts", "_frames", "_orphans", "_pending", "_reads", "_tables", "_trial")

    def __init__(self) -> None:
        self._facts = Facts()
        self._tables = Tables()
        self._frames: list[Frame] = []
        self._reads: dict[Node, None] | None = None
        # Nodes that lost their last reader, and roots that are no longer CLEAN; dicts, for their order is seen.
        self._orphans: dict[Node, None] = {}
        self._pending: dict[Memo, None] = {}
        self._trial: Trial | None = None

    def fact(self, kind: FactKind[T], namespace: str, name: str) -> T | None:
        """Read a fact; None when there is none, which is recorded, too."""
        reads = self._reads
        if reads is None:
            return self._facts.value(kind.name, namespace, name)  # type: ignore[no-any-return]
        node = self._facts.fact(kind.name, namespace, name)
        reads[node] = None
        return node.value  # type: ignore[no-any-return]

    def names(self, kind: FactKind[Any], namespace: str) -> tuple[str, ...]:
        """List the names of a namespace's facts of a kind, sorted."""
        reads = self._reads
        node = self._facts.names(kind.name, namespace, keep=reads is not None)
        if reads is not None:
            reads[node] = None
        return node.tuple()

    def namespaces(self, kind: FactKind[Any]) -> tuple[str, ...]:
        """List the namespaces that have at least one fact of a kind, sorted."""
        reads = self._reads
        node = self._facts.namespaces(kind.name, keep=reads is not None)
        if reads is not None:
            reads[node] = None
        return node.tuple()

    def report(self, value: object) -> None:
        """Leave a finding (a frozen value) with the running query; it is part of the memo, not of its value."""
        if not self._frames:
            raise RuntimeError("q.report is for queries: no query is running")
        self._frames[-1].reports.append(value)

    def try_(
        self, function: Callable[Concatenate[Db, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R | Failure:
        """Read a query that may fail, and get its `Failure` as a value instead of the raise.

        A member of a cycle cannot catch its own cycle: the raise goes on.
        """
        try:
            return function(self, *args, **kwargs)
        except QueryError as error:
            if self._frames and self._frames[-1].poison is not None:
                raise
            return error.failure

    # The machine.

    def _pull(self, public: Callable[..., Any], args: tuple[Any, ...], memo: Memo | None) -> Memo:
        """Bring a memo up to date, making it if need be."""
        if memo is None:
            memo = self._make(public, args)
            self._run(memo)
        elif memo.state == RUNNING:
            raise self._cycle(memo)
        else:
            for _ in self._steps(memo):
                pass
        return memo

    def _make(self, public: Callable[..., Any], args: tuple[Any, ...]) -> Memo:
        table = self._tables[public]
        memo = table[args] = Memo(table, args)
        if self._trial is not None:
            self._trial.made(memo)
        return memo

    def _steps(self, memo: Memo) -> Iterator[None]:
        """Bring a memo up to date; stop after each query run, so that a long pull can be cut into slices."""
        frames = self._frames
        floor = len(frames)
        frames.append(Frame(memo, iter(memo.reads)))
        try:
            while len(frames) > floor:
                frame = frames[-1]
                memo = frame.memo
                if memo.state == MAYBE:
                    below = self._look(frame)
                    if below is not None:
                        frames.append(Frame(below, iter(below.reads)))
                        continue
                frames.pop()
                if memo.state == STALE:
                    self._run(memo)
                    yield
        finally:
            del frames[floor:]

    def _look(self, frame: Frame) -> Memo | None:
        """Find the next read that must be looked at first; else the frame's memo is now CLEAN or STALE."""
        memo = frame.memo
        assert frame.rest is not None
        for read in frame.rest:
            if read.state == CLEAN:
                continue
            assert isinstance(read, Memo)
            if read.state != RUNNING:
                return read
            # It waits for one that waits for it: let it run into the cycle.
            self._save(memo)
            memo.state = STALE
            return None
        self._save(memo)
        memo.state = CLEAN
        return None

    def _run(self, memo: Memo) -> None:
        """Run a memo's function and take in what came of it."""
        self._save(memo)
        frame = Frame(memo)
        outer, self._reads = self._reads, frame.reads
        self._frames.append(frame)
        memo.state = RUNNING
        table = memo.table
        table.runs += 1
        try:
            value = table.function(self, *memo.args)
            if type(value) in MUTABLE:
                raise TypeError(f"a query must return a frozen value, not a {type(value).__name__}")  # noqa: TRY301
        except RecursionError:
            # No fault of this query but of the way down to it: from elsewhere it may succeed.
            self._abort(frame)
            raise
        except Exception as error:  # noqa: BLE001 - one object's fault must not take the others
            value = captured(memo.call, error)
        except BaseException:
            self._abort(frame)
            raise
        finally:
            self._frames.pop()
            self._reads = outer
        if frame.poison is not None:
            value = frame.poison
            self._unread(frame)
        memo.reports = tuple(dict.fromkeys(frame.reports)) if frame.reports else ()
        self._set_reads(memo, tuple(frame.reads if frame.union is None else frame.union))
        self._set_value(memo, value)
        memo.state = CLEAN

    def _abort(self, frame: Frame) -> None:
        frame.memo.state = STALE
        self._unread(frame)

    def _unread(self, frame: Frame) -> None:
        """See to it that what a broken run leaves without an edge is freed."""
        self._orphans[frame.memo] = None
        self._orphans.update(frame.reads)

    def _set_value(self, memo: Memo, value: Any) -> None:
        old = memo.value
        if old is UNSET:
            memo.value = value
        elif old is value:
            pass
        elif type(old) is type(value) and old == value:
            # Equal: keep the old one, that others share; unless it carries something that is not compared.
            adopt = getattr(value, "__adopt__", None)
            if adopt is not None:
                memo.value = adopt(old)
        else:
            memo.value = value
            for reader in readers_of(memo):
                if reader.state == MAYBE:
                    self._save(reader)
                    reader.state = STALE

    def _set_reads(self, memo: Memo, reads: tuple[Node, ...]) -> None:
        old = memo.reads
        if old == reads:
            return
        memo.reads = reads
        if not old:
            for node in reads:
                add_reader(node, memo)
            return
        before = set(old)
        for node in reads:
            if node in before:
                before.discard(node)
            else:
                add_reader(node, memo)
        if before:
            for node in old:
                if node in before and drop_reader(node, memo):
                    self._orphans[node] = None

    def _failed(self, memo: Memo) -> QueryError:
        """Make what the reader of a failed memo gets; a reader that is a member of the cycle cannot escape it."""
        failure: Failure = memo.value
        if failure.cycle and self._frames:
            frame = self._frames[-1]
            if frame.poison is None and frame.memo.call in failure.cycle:
                frame.poison = failure
        return raised(failure)

    def _cycle(self, memo: Memo) -> QueryError:
        start = next(i for i, frame in enumerate(self._frames) if frame.memo is memo and frame.rest is None)
        members = self._frames[start:]
        failure = circle([frame.memo.call for frame in members])
        inside = {frame.memo for frame in members}
        union: dict[Node, None] = {}
        for frame in members:
            for node in frame.reads if frame.rest is None else frame.memo.reads:
                if node in inside:
                    # A memo that is being looked at has read this far and no further.
                    if frame.rest is not None:
                        break
                    continue
                union[node] = None
        for frame in members:
            if frame.rest is None and frame.poison is None:
                frame.poison, frame.union = failure, union
        return raised(failure)

    def _changed(self, node: Node) -> None:
        """Mark what read a fact: STALE the readers, MAYBE all above."""
        above: list[Memo] = []
        for reader in readers_of(node):
            if reader.state == CLEAN:
                self._mark(reader, STALE)
                above.append(reader)
            elif reader.state == MAYBE:
                self._mark(reader, STALE)
        while above:
            for reader in readers_of(above.pop()):
                if reader.state == CLEAN:
                    self._mark(reader, MAYBE)
                    above.append(reader)

    def _mark(self, memo: Memo, state: int) -> None:
        self._save(memo)
        memo.state = state
        if memo.root is not None:
            self._pending[memo] = None

    def _save(self, memo: Memo) -> None:
        if self._trial is not None:
            self._trial.save(memo)

    def _reap(self) -> None:
        """Free every memo that nobody reads and nobody holds, and what only they read."""
        orphans = self._orphans
        while orphans:
            node, _ = orphans.popitem()
            if node.readers is not None:
                continue
            if not isinstance(node, Memo):
                self._facts.forget(node)
            elif node.root is None and node.table.get(node.args) is node:
                del node.table[node.args]
                reads, node.reads = node.reads, ()
                for read in reads:
                    if drop_reader(read, node):
                        orphans[read] = None

    def _idle(self, what: str) -> None:
        if self._reads is not None or self._trial is not None:
            raise BusyError(f"{what} while a query or a dry run is under way")
