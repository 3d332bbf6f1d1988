"""The machine beneath `Db` and `Engine`: recording reads, looking before running, stopping early.

A change marks its readers STALE and everything above them MAYBE (a marked node is not marked again).
Whoever pulls a MAYBE memo looks at its reads in the order of the last run; the first that changed makes it
STALE and it runs; if none did, it is CLEAN again and nothing above runs. A memo whose new value equals the
old one tells its readers nothing. So a node that is not CLEAN has no CLEAN reader, which is all the
book-keeping there is: no revisions in nodes.

A refresh goes up by height instead, and marks nothing: a memo is higher than all that it reads, so when the lowest
stale memo is run, all that it may read is settled; if its value differs, its readers are stale, and wait for
their turn. That is what keeps a service more from making anyone look at the hundred others of its namespace. A memo
that comes to read something as high as itself is broken off and lifted above it. Where that does not help (it may be
a circle), the way above it is marked and looked along.
Whoever asks in between only has the projections run (memos of facts alone), and the rest marked.

A cycle is found when a running memo is read. Every memo on the way gets the same `Failure`, whatever it does
with the error, and reads what they all read, so that no edge of the graph ever closes a circle and any change
that may break the cycle is seen by all of them. Each memo waits for one other at a time, so which cycle is
found does not depend on where it was entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from meltemi.query.db import Db

LIFTS: Final = 4
"""How often a memo may come to read something as high as itself in one refresh: in a circle it would for ever."""
FAULTS: Final = 1000
"""Memos that raised are remembered up to this many, until somebody asks for them."""
MUTABLE: Final = frozenset({list, dict, set, bytearray})


class Frame:
    """A memo being run: `reads` fills."""

    # What is rarely set is set on the class only: one is made for every run.
    rest: Iterator[Node] | None = None
    reports: dict[Any, None] | None = None
    poison: Failure | None = None
    union: dict[Node, None] | None = None

    def __init__(self, memo: Memo, reads: dict[Node, None]) -> None:
        self.memo = memo
        self.reads = reads


class Look(Frame):
    """A memo being looked at: `rest` are the reads that still have to be."""

    def __init__(self, memo: Memo) -> None:
        self.memo = memo
        self.rest = iter(memo.reads)


class UnfinishedError(BaseException):
    """A run is broken off and will be made again from its start; queries are pure. No query may catch this."""


class NotSettledError(UnfinishedError):
    """A memo run by its height has come to read what may not be settled yet: something `height` high."""

    def __init__(self, height: int | None = None) -> None:
        super().__init__()
        self.height = height


class PauseError(UnfinishedError):
    """The slice is used up. What was finished stays; whoever was waiting for it runs again in the next one."""


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


class Machine:
    """One graph. `db` is what its queries are given."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self.facts = Facts()
        self.tables = Tables()
        self.frames: list[Frame] = []
        self.reads: dict[Node, None] | None = None
        # Nodes that lost their last reader, and roots that are no longer CLEAN; dicts, for their order is seen.
        self.orphans: dict[Node, None] = {}
        self.pending: dict[Memo, None] = {}
        # Stale memos above which nothing is marked yet, lowest first; while one runs, `level` is its height.
        self.queue: list[tuple[int, int, Memo]] = []
        self.queued = 0
        self.level: int | None = None
        self.fresh: set[Memo] = set()
        # Memos that raised by themselves since somebody last asked; the newest, where nobody does.
        self.faults: dict[Memo, None] = {}
        # How many more runs this slice may finish before the next one must wait; None is without limit.
        self.fuel: int | None = None
        self.trial: Trial | None = None

    def pull(self, table: Table, args: tuple[Any, ...], memo: Memo | None) -> Memo:
        """Bring a memo up to date, making it if need be."""
        if self.level is not None:
            if memo is not None and memo.state != STALE:
                raise NotSettledError
            memo = memo or self.make(table, args)
            self.run(memo)
            self.fresh.add(memo)
        elif memo is None:
            memo = self.make(table, args)
            self.run(memo)
        elif memo.state == RUNNING:
            raise self.cycle(memo)
        else:
            for _ in self.steps(memo):
                pass
        return memo

    def make(self, table: Table, args: tuple[Any, ...]) -> Memo:
        """Enter a memo that has not run yet."""
        memo = table[args] = Memo(table, args)
        if self.trial is not None:
            self.trial.made(memo)
        return memo

    def steps(self, memo: Memo, fuel: int | None = None) -> Iterator[None]:
        """Bring a memo up to date; stop after each run, and after `fuel` runs that it took in turn."""
        frames = self.frames
        floor = len(frames)
        frames.append(Look(memo))
        try:
            while len(frames) > floor:
                frame = frames[-1]
                memo = frame.memo
                if memo.state == MAYBE:
                    if type(memo.value) is Failure and memo.value.cycle:
                        # What it is recorded to read is what the whole cycle read: no way to look along.
                        self.save(memo)
                        memo.state = STALE
                        continue
                    below = self.look(frame)
                    if below is not None:
                        frames.append(Look(below))
                        continue
                frames.pop()
                if memo.state == STALE:
                    if fuel is None:
                        self.run(memo)
                    else:
                        self.slice(memo, fuel)
                    yield
        finally:
            del frames[floor:]

    def slice(self, memo: Memo, fuel: int) -> None:
        """Run a memo, or as much of what it needs as the fuel is enough for: then it is still to be run."""
        self.fuel = fuel
        try:
            self.run(memo)
        except PauseError:
            self.frames.append(Look(memo))
        finally:
            self.fuel = None

    def look(self, frame: Frame) -> Memo | None:
        """Find the next read that must be looked at first; else the frame's memo is now CLEAN or STALE."""
        memo = frame.memo
        for read in frame.rest or ():
            if read.state == CLEAN or not isinstance(read, Memo):
                continue
            if read.state != RUNNING:
                return read
            # It waits for one that waits for it: let it run into the cycle.
            self.save(memo)
            memo.state = STALE
            return None
        self.save(memo)
        memo.state = CLEAN
        return None

    def drain(self, fuel: int | None = None, top: int | None = None) -> Iterator[None]:
        """Run what is stale, from the lowest to height `top`; one memo a step, with what it needs up to `fuel`."""
        queue = self.queue
        lifted: dict[Memo, int] = {}
        while queue and (top is None or queue[0][0] <= top):
            height, _, memo = heappop(queue)
            if memo.state != STALE or memo.table.get(memo.args) is not memo:
                continue
            if memo.root is None and all(reader.state == STALE for reader in readers_of(memo)):
                # Whoever reads it is run anyway, and knows whether it is still needed.
                continue
            if memo.height > height:
                # It was lifted since it came here.
                self.enqueue(memo)
                continue
            if any(read.state == MAYBE for read in memo.reads):
                self.wave([memo])
                continue
            self.level, self.fuel, self.fresh = height, fuel, set()
            try:
                self.run(memo)
            except PauseError:
                self.enqueue(memo)
            except NotSettledError as error:
                lifted[memo] = times = lifted.get(memo, 0) + 1
                if error.height is None or times > LIFTS:
                    self.wave([memo])
                else:
                    memo.height = max(memo.height, error.height + 1)
                    self.lift(memo)
                    self.enqueue(memo)
            except RecursionError:
                self.wave([memo])
            finally:
                self.level = self.fuel = None
            yield

    def enqueue(self, memo: Memo) -> None:
        """Let a stale memo, above which nothing is marked, wait for its turn."""
        self.queued += 1
        heappush(self.queue, (memo.height, self.queued, memo))

    def settle(self) -> None:
        """Run the projections, and mark what is above all else that is stale, so that anything may be asked."""
        for _ in self.drain(top=0):
            pass
        self.wave([memo for _, _, memo in self.queue if memo.state == STALE])
        self.queue.clear()

    def run(self, memo: Memo) -> None:
        """Run a memo's function and take in what came of it."""
        if self.fuel is not None and self.fuel <= 0 and self.frames:
            self.orphans[memo] = None
            raise PauseError
        if self.trial is not None:
            self.trial.save(memo)
        reads: dict[Node, None] = {}
        frame, table = Frame(memo, reads), memo.table
        outer, self.reads = self.reads, reads
        self.frames.append(frame)
        memo.state = RUNNING
        table.runs += 1
        try:
            value = table.function(self.db, *memo.args)
            if type(value) in MUTABLE:
                raise TypeError(f"a query must return a frozen value, not a {type(value).__name__}")  # noqa: TRY301
        except RecursionError:
            # No fault of this query but of the way down to it: from elsewhere it may succeed.
            self.abort(frame)
            raise
        except Exception as error:  # noqa: BLE001 - one object's fault must not take the others
            value = self.fault(memo, error)
        except BaseException as error:
            if isinstance(error, UnfinishedError):
                table.runs -= 1
            self.abort(frame)
            raise
        finally:
            self.frames.pop()
            self.reads = outer
        if self.level is not None:
            self.check(frame, self.level)
        if frame.poison is not None:
            value = frame.poison
            # How far a member got depends on where the cycle was entered: it reports nothing.
            frame.reports = None
            self.unread(frame)
        memo.reports = () if frame.reports is None else tuple(frame.reports)
        read = tuple(reads if frame.union is None else frame.union)
        if memo.value is UNSET:
            self.set_first(memo, read)
            memo.value = value
        else:
            if read != memo.reads:
                self.set_reads(memo, read)
                self.rise(memo)
            self.set_value(memo, value)
        memo.state = CLEAN
        if self.fuel is not None:
            self.fuel -= 1

    def fault(self, memo: Memo, error: Exception) -> Failure:
        """Make a value of what a memo raised, and note who raised by itself."""
        if not isinstance(error, QueryError):
            self.faults[memo] = None
            if len(self.faults) > FAULTS:
                del self.faults[next(iter(self.faults))]
        return captured(memo.call, error)

    def check(self, frame: Frame, level: int) -> None:
        """Take back a run by height that has read what may not be settled, as what is lower or just made is."""
        high = [node.height for node in frame.reads if node.height >= level and node not in self.fresh]
        if high:
            frame.memo.table.runs -= 1
            self.abort(frame)
            raise NotSettledError(max(high))

    def abort(self, frame: Frame) -> None:
        """Leave a memo as if it had not been run."""
        frame.memo.state = STALE
        self.unread(frame)

    def unread(self, frame: Frame) -> None:
        """See to it that what a broken run leaves without an edge is freed."""
        self.orphans[frame.memo] = None
        self.orphans.update(frame.reads)

    def set_value(self, memo: Memo, value: Any) -> None:
        """Take in a new value, and tell the readers if it is another."""
        old = memo.value
        if old is value:
            return
        if type(old) is type(value) and old == value:
            # Equal: keep the old one, that others share; unless it carries something that is not compared.
            adopt = getattr(value, "__adopt__", None)
            if adopt is not None:
                memo.value = adopt(old)
        else:
            memo.value = value
            for reader in readers_of(memo):
                if reader.state == MAYBE:
                    self.save(reader)
                    reader.state = STALE
                elif reader.state == CLEAN:
                    # Above what is run by its height nothing is marked.
                    self.mark(reader, STALE)
                    if self.level is None:
                        self.wave([reader])
                    else:
                        self.enqueue(reader)

    def set_first(self, memo: Memo, reads: tuple[Node, ...]) -> None:
        """Set the edges and the height of a memo that had none: all of them, in a cold start."""
        memo.reads = reads
        height = -1
        for node in reads:
            readers = node.readers
            if readers is None:
                node.readers = memo
            elif type(readers) is dict:
                readers[memo] = None
            else:
                add_reader(node, memo)
            if node.height > height:  # noqa: PLR1730 - a call of max for every edge there is
                height = node.height
        memo.height = height + 1
        if memo.readers is not None:
            self.lift(memo)

    def set_reads(self, memo: Memo, reads: tuple[Node, ...]) -> None:
        """Replace the edges down from a memo."""
        old = memo.reads
        memo.reads = reads
        if not old:
            for node in reads:
                if node.readers is None:
                    node.readers = memo
                else:
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
                    self.orphans[node] = None

    def rise(self, memo: Memo) -> None:
        """Set the height of a memo that has other reads, and lift what is above it over it."""
        old = memo.height
        memo.height = height = 1 + max([read.height for read in memo.reads], default=-1)
        if height > old and memo.readers is not None:
            self.lift(memo)

    def lift(self, memo: Memo) -> None:
        """Lift what is above a memo over it."""
        lifted = [memo]
        while lifted:
            below = lifted.pop()
            for reader in readers_of(below):
                if reader.height <= below.height:
                    self.save(reader)
                    reader.height = below.height + 1
                    lifted.append(reader)

    def failed(self, memo: Memo) -> QueryError:
        """Make what the reader of a failed memo gets; a reader that is a member of the cycle cannot escape it."""
        failure: Failure = memo.value
        if failure.cycle and self.frames:
            frame = self.frames[-1]
            if frame.poison is None and frame.memo.call in failure.cycle:
                frame.poison, frame.union = failure, dict.fromkeys(memo.reads)
        return raised(failure)

    def cycle(self, memo: Memo) -> QueryError:
        """Fail every memo on the way from a running memo to itself, and make what the reader gets."""
        start = next(i for i, frame in enumerate(self.frames) if frame.memo is memo and frame.rest is None)
        members = self.frames[start:]
        failure, start = circle([frame.memo.call for frame in members])
        members = members[start:] + members[:start]
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

    def changed(self, node: Node) -> None:
        """Mark what read a fact STALE, and let it wait for its turn."""
        for reader in readers_of(node):
            if reader.state == CLEAN:
                self.mark(reader, STALE)
                self.enqueue(reader)
            elif reader.state == MAYBE:
                self.mark(reader, STALE)

    def wave(self, above: list[Memo]) -> None:
        """Mark everything above some memos MAYBE."""
        while above:
            for reader in readers_of(above.pop()):
                if reader.state == CLEAN:
                    self.mark(reader, MAYBE)
                    above.append(reader)

    def mark(self, memo: Memo, state: int) -> None:
        """Mark one memo; a root is to be refreshed."""
        self.save(memo)
        memo.state = state
        if memo.root is not None:
            self.pending[memo] = None

    def save(self, memo: Memo) -> None:
        """Note a memo for the dry run under way, if any."""
        if self.trial is not None:
            self.trial.save(memo)

    def reap(self) -> None:
        """Free every memo that nobody reads and nobody holds, and what only they read."""
        orphans = self.orphans
        while orphans:
            node, _ = orphans.popitem()
            if node.readers is not None:
                continue
            if not isinstance(node, Memo):
                self.facts.forget(node)
            elif node.root is None and node.table.get(node.args) is node:
                del node.table[node.args]
                reads, node.reads = node.reads, ()
                for read in reads:
                    if drop_reader(read, node):
                        orphans[read] = None

    def idle(self, what: str) -> None:
        """Raise BusyError unless the graph is at rest."""
        if self.reads is not None or self.trial is not None:
            raise BusyError(f"{what} while a query or a dry run is under way")
