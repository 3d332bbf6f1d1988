"""Queries that raise, and queries that go in circles."""

from __future__ import annotations

from typing import Any

import pytest

from meltemi.query import Change, CycleError, Db, Engine, FactKind, Failure, QueryError, query

NUMBERS: FactKind[int] = FactKind("numbers")
NEXT: FactKind[str] = FactKind("next")


@query
def inverse(q: Db, name: str) -> float:
    return 1 / (q.fact(NUMBERS, "", name) or 0)


@query
def all_strict(q: Db) -> tuple[float, ...]:
    return tuple(inverse(q, name) for name in q.names(NUMBERS, ""))


@query
def all_that_work(q: Db) -> tuple[float, ...]:
    found = []
    for name in q.names(NUMBERS, ""):
        value = q.try_(inverse, name)
        if isinstance(value, Failure):
            q.report(f"{name}: {value.error}")
        else:
            found.append(value)
    return tuple(found)


def numbers(**values: int | None) -> list[Change[int]]:
    return [Change(NUMBERS, "", name, value) for name, value in values.items()]


def test_one_fault_does_not_take_the_others() -> None:
    engine = Engine()
    engine.apply(numbers(a=2, b=0, c=4))
    engine.hold(all_that_work)
    assert [change.new for change in engine.refresh()] == [(0.5, 0.25)]
    assert engine.all_reports() == ("b: ZeroDivisionError",)
    engine.apply(numbers(b=1))
    assert [change.new for change in engine.refresh()] == [(0.5, 1.0, 0.25)]
    assert engine.all_reports() == ()


def test_a_failure_is_a_value_of_its_query() -> None:
    engine = Engine()
    engine.apply(numbers(a=0))
    engine.hold(all_strict)
    (change,) = engine.refresh()
    assert isinstance(change.new, Failure)
    assert str(change.new.where) == "inverse('a')"
    assert change.new.error == "ZeroDivisionError"
    assert any("test_errors" in line and "inverse" in line for line in change.new.trace)
    with pytest.raises(QueryError, match=r"inverse\('a'\): ZeroDivisionError"):
        engine.get(all_strict)


def test_an_equal_failure_stops_the_wave() -> None:
    engine = Engine()
    engine.apply(numbers(a=0))
    engine.hold(all_strict)
    engine.refresh()
    engine.take_runs()
    engine.apply(numbers(b=0))
    engine.apply(numbers(b=None))
    assert engine.refresh() == ()


def test_a_failed_query_is_not_run_again_until_something_changes() -> None:
    engine = Engine()
    engine.apply(numbers(a=0))
    engine.hold(all_strict)
    engine.refresh()
    engine.take_runs()
    with pytest.raises(QueryError):
        engine.get(all_strict)
    engine.refresh()
    assert engine.take_runs() == {}


@query
def returns_mutable(q: Db) -> object:
    return [1]


@query
def reports_mutable(q: Db) -> int:
    q.report([1])
    return 1


@pytest.mark.parametrize(
    ("function", "words"), [(returns_mutable, "frozen value"), (reports_mutable, "unhashable")]
)
def test_mutable_values_are_the_querys_own_fault(function: Any, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        Engine().get(function)


@query
def follow(q: Db, name: str) -> tuple[str, ...]:
    after = q.fact(NEXT, "", name)
    return (name,) if after is None else (name, *follow(q, after))


@query
def follow_all(q: Db) -> tuple[tuple[str, str], ...]:
    found = [(name, q.try_(follow, name)) for name in q.names(NEXT, "")]
    return tuple((name, "circle" if isinstance(value, Failure) else "/".join(value)) for name, value in found)


def links(**values: str | None) -> list[Change[str]]:
    return [Change(NEXT, "", name, value) for name, value in values.items()]


@pytest.mark.parametrize("entry", ["a", "b", "c", "into"])
def test_a_circle_is_named_by_its_path_wherever_it_is_entered(entry: str) -> None:
    engine = Engine()
    engine.apply(links(c="a", a="b", b="c", into="b"))
    with pytest.raises(CycleError) as caught:
        engine.get(follow, entry)
    assert caught.value.failure.message == "follow('a') -> follow('b') -> follow('c') -> follow('a')"
    assert [call.arguments for call in caught.value.failure.cycle] == [("a",), ("b",), ("c",)]
    assert engine.counts().memos == 0


def test_a_query_that_reads_itself() -> None:
    engine = Engine()
    engine.apply(links(a="a"))
    with pytest.raises(CycleError, match=r"follow\('a'\) -> follow\('a'\)"):
        engine.get(follow, "a")


def test_a_circle_that_is_opened_is_seen_by_all_in_it() -> None:
    engine = Engine()
    engine.apply(links(a="b", b="c", c="a", d="a", e="f"))
    engine.hold(follow_all)
    (change,) = engine.refresh()
    assert change.new == (("a", "circle"), ("b", "circle"), ("c", "circle"), ("d", "circle"), ("e", "e/f"))
    engine.apply(links(b=None))
    (change,) = engine.refresh()
    assert change.new == (("a", "a/b"), ("c", "c/a/b"), ("d", "d/a/b"), ("e", "e/f"))
    assert engine.audit() == ()


def test_a_circle_closed_by_a_change_is_found() -> None:
    engine = Engine()
    engine.apply(links(a="b", b="c", d="b"))
    engine.hold(follow_all)
    engine.refresh()
    engine.apply(links(c="a"))
    (change,) = engine.refresh()
    assert change.new == (("a", "circle"), ("b", "circle"), ("c", "circle"), ("d", "circle"))


def test_a_chain_too_deep_fails_alone() -> None:
    engine = Engine()
    engine.apply([Change(NEXT, "", f"{i:04}", f"{i + 1:04}") for i in range(2000)])
    engine.apply(numbers(a=2))
    engine.hold(follow, "0000")
    engine.hold(inverse, "a")
    first, second = engine.refresh()
    assert isinstance(first.new, Failure)
    assert first.new.error == "RecursionError"
    assert second.new == 0.5
    engine.apply(links(**{"0003": None}))
    (change,) = engine.refresh()
    assert change.new == ("0000", "0001", "0002", "0003")
    assert engine.audit() == ()
    assert engine.counts().memos == 5


def test_an_interrupt_is_not_swallowed_and_breaks_nothing() -> None:
    @query
    def interrupted(q: Db) -> int:
        if q.fact(NUMBERS, "", "a") is None:
            raise KeyboardInterrupt
        return 1

    engine = Engine()
    engine.hold(interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.refresh()
    engine.apply(numbers(a=1))
    assert [change.new for change in engine.refresh()] == [1]
    assert engine.audit() == ()
