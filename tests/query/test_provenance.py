"""Reports, why, affects, touches, dry runs."""

from __future__ import annotations

import pytest

from meltemi.query import BusyError, Call, Change, Db, Engine, FactKind, FactRef, query

WEIGHTS: FactKind[int] = FactKind("weights")
HERE = "tests.query.test_provenance"


@query
def weight(q: Db, name: str) -> int:
    found = q.fact(WEIGHTS, "n", name)
    if found is None:
        q.report(f"{name} is missing")
    elif found > 10:
        q.report(f"{name} is heavy")
    return min(found or 0, 10)


@query
def pair(q: Db, left: str, right: str) -> int:
    q.report("pairs are old")
    return weight(q, left) + weight(q, right)


@query
def everything(q: Db) -> tuple[int, ...]:
    return tuple(weight(q, name) for name in q.names(WEIGHTS, "n"))


def weights(**values: int | None) -> list[Change[int]]:
    return [Change(WEIGHTS, "n", name, value) for name, value in values.items()]


def engine_of(**values: int) -> Engine:
    engine = Engine()
    engine.apply(weights(**values))
    engine.hold(pair, "a", "b")
    engine.hold(pair, "b", "c")
    engine.hold(everything)
    engine.refresh()
    return engine


def test_reports_are_collected_from_all_below_once_in_reading_order() -> None:
    engine = engine_of(a=1, b=20)
    assert engine.reports(pair, "b", "c") == ("pairs are old", "b is heavy", "c is missing")
    assert engine.all_reports() == ("pairs are old", "b is heavy", "c is missing")


def test_reports_follow_even_where_the_value_stays() -> None:
    engine = engine_of(a=1, b=10)
    engine.take_runs()
    engine.apply(weights(b=11))
    assert engine.refresh() == ()
    assert engine.take_runs() == {"weight": 1}
    assert "b is heavy" in engine.all_reports()


def test_report_is_for_queries() -> None:
    kept: list[Db] = []

    @query
    def leaks(q: Db) -> int:
        kept.append(q)
        return 1

    Engine().get(leaks)
    with pytest.raises(RuntimeError, match="no query is running"):
        kept[0].report("x")


def test_why_walks_down_to_facts() -> None:
    engine = engine_of(a=1, b=2)
    assert engine.why(pair, "b", "c") == (
        FactRef("weights", "n", "b"),
        FactRef("weights", "n", "c", present=False),
    )
    assert engine.why(everything)[0] == FactRef("weights", "n", what="names")
    assert str(engine.why(pair, "b", "c")[1]) == "weights n/c (missing)"


def test_affects_walks_up_to_roots_or_to_a_query() -> None:
    engine = engine_of(a=1, b=2)
    assert [str(call) for call in engine.affects(WEIGHTS, "n", "b")] == [
        "pair('a', 'b')",
        "pair('b', 'c')",
        "everything()",
    ]
    assert engine.affects(WEIGHTS, "n", "b", of=weight) == (Call(f"{HERE}.weight", ("b",)),)
    assert [str(call) for call in engine.affects(WEIGHTS, "n", "c")] == ["pair('b', 'c')"]
    assert engine.affects(WEIGHTS, "n", "zzz") == ()
    assert [str(call) for call in engine.affects(WEIGHTS, "n", "zzz", membership=True)] == ["everything()"]


def test_touches_says_what_would_change() -> None:
    engine = engine_of(a=1, b=2, c=0)
    changes = engine.touches(WEIGHTS, "n", "a")
    assert [(change.args, change.old, change.new) for change in changes] == [
        (("a", "b"), 3, 2),
        ((), (1, 2, 0), (2, 0)),
    ]
    assert engine.refresh() == ()


def test_below_lists_values() -> None:
    engine = engine_of(a=1, b=2)
    assert engine.below(pair, "a", "b") == (
        (Call(f"{HERE}.pair", ("a", "b")), 3),
        (Call(f"{HERE}.weight", ("a",)), 1),
        (Call(f"{HERE}.weight", ("b",)), 2),
    )


def test_a_dry_run_sees_the_change_and_leaves_what_was_not_yet_delivered() -> None:
    engine = engine_of(a=1, b=2)
    engine.apply(weights(a=5))
    seen = engine.dry_run(
        weights(b=7, c=1), lambda e: (e.get(pair, "a", "b"), e.get(pair, "b", "c"), e.refresh())
    )
    assert seen[:2] == (12, 8)
    assert len(seen[2]) == 3
    assert [change.args for change in engine.refresh()] == [("a", "b"), ()]
    assert engine.fact(WEIGHTS, "n", "b") == 2


def test_a_dry_run_that_raises_is_put_back_as_well() -> None:
    engine = engine_of(a=1, b=2)

    def look(inner: Engine) -> None:
        inner.refresh()
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        engine.dry_run(weights(a=None, d=4), look)
    assert engine.get(everything) == (1, 2)
    assert engine.audit() == ()


def test_a_dry_run_is_read_only_and_not_nested() -> None:
    engine = engine_of(a=1)
    for forbidden in (
        lambda e: e.apply([]),
        lambda e: e.hold(everything),
        lambda e: e.release(everything),
        lambda e: e.dry_run([], Engine.refresh),
    ):
        with pytest.raises(BusyError):
            engine.dry_run([], forbidden)
    assert engine.audit() == ()


def test_who_there_is_survives_a_dry_run_that_empties_and_fills_it() -> None:
    engine = Engine()
    engine.apply(weights(a=1))
    for _ in range(2):
        assert engine.dry_run(weights(a=None, b=2), lambda inner: inner.get(everything)) == (2,)
        assert engine.get(everything) == (1,)
    engine.apply(weights(a=None))
    assert engine.get(everything) == ()
