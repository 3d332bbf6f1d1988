"""The engine's own laws, over random programs (`programs.py`): cycles, errors and cutoff included."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.query.programs import SIZE, node, numbers, transactions

from meltemi.query import Change, Engine, Failure, QueryError, RootChange

Work = list[list[Change[Any]]]

quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outcome(engine: Engine, number: int) -> object:
    try:
        return engine.get(node, number)
    except QueryError as error:
        return error.failure


def scratch(changes: list[Change[Any]]) -> Engine:
    engine = Engine()
    engine.apply(changes)
    return engine


@quick
@given(
    st.lists(transactions, min_size=1, max_size=8),
    st.lists(numbers, min_size=1, max_size=4),
    st.permutations(range(SIZE)),
)
def test_incremental_is_from_scratch(work: Work, roots: list[int], order: list[int]) -> None:
    engine = Engine()
    for root in roots:
        engine.hold(node, root)
    seen: dict[int, object] = {}
    done: list[Change[Any]] = []
    for transaction in work:
        done += transaction
        engine.apply(transaction)
        for change in engine.refresh():
            assert seen.get(change.args[0]) == change.old
            assert change.old != change.new
            seen[change.args[0]] = change.new
        assert engine.audit() == ()
        for number in order:
            # A new engine for each, so that every node is once the first to be asked.
            fresh = scratch(done)
            assert outcome(engine, number) == outcome(fresh, number)
            assert engine.reports(node, number) == fresh.reports(node, number)
            if number in seen:
                assert seen[number] == outcome(fresh, number)
        assert engine.audit() == ()


@quick
@given(
    st.lists(transactions, min_size=1, max_size=5), transactions, st.lists(numbers, min_size=1, max_size=3)
)
def test_a_dry_run_leaves_no_trace(work: Work, trial: list[Change[Any]], roots: list[int]) -> None:
    engine = Engine()
    for root in roots:
        engine.hold(node, root)
    done: list[Change[Any]] = []
    for i, transaction in enumerate(work):
        done += transaction
        engine.apply(transaction)
        if i % 2:
            engine.refresh()
        kept = [outcome(engine, root) for root in roots]
        before = (engine.counts(), engine.revision, engine.memos())
        engine.take_runs()
        fresh = scratch([*done, *trial])

        def look(inner: Engine, fresh: Engine = fresh) -> None:
            inner.refresh()
            for number in range(SIZE):
                assert outcome(inner, number) == outcome(fresh, number)

        engine.dry_run(trial, look)
        assert engine.take_runs() == {}
        assert engine.audit() == ()
        assert (engine.counts(), engine.revision, engine.memos()) == before
        again = [outcome(engine, root) for root in roots]
        assert all(a is b or isinstance(a, Failure) for a, b in zip(kept, again, strict=True))
        assert engine.take_runs() == {}


@quick
@given(st.lists(transactions, min_size=1, max_size=5), st.lists(numbers, min_size=1, max_size=4))
def test_nothing_is_left_when_nothing_is_held(work: Work, roots: list[int]) -> None:
    engine = Engine()
    for transaction in work:
        for root in roots:
            engine.hold(node, root)
        engine.apply(transaction)
        engine.refresh()
        for root in roots:
            engine.release(node, root)
        assert engine.counts().memos == 0
        assert engine.audit() == ()


@quick
@given(st.lists(transactions, min_size=1, max_size=5), st.data())
def test_a_refresh_may_be_cut_anywhere(work: Work, data: st.DataObject) -> None:
    whole, cut = Engine(), Engine()
    for root in range(SIZE):
        whole.hold(node, root)
        cut.hold(node, root)
    for transaction in work:
        whole.apply(transaction)
        cut.apply(transaction)
        expected = whole.refresh()
        got: list[RootChange] = []
        more, turns = True, 0
        while more:
            # What is begun and closed again is lost: at last one turn must be long enough.
            turns += 10
            slices = cut.slices(fuel=data.draw(st.integers(1, 5)))
            for _ in range(turns + data.draw(st.integers(1, 10))):
                try:
                    step = next(slices)
                except StopIteration:
                    more = False
                    break
                if step is not None:
                    got.append(step)
                cut.dry_run([], lambda engine: outcome(engine, data.draw(numbers)))
            slices.close()
        assert sorted(got, key=str) == sorted(expected, key=str)
        assert cut.audit() == ()
