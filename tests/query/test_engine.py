"""Facts, roots and cutoff: what runs, what does not, what is delivered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from meltemi.query import BusyError, Change, Db, Engine, FactKind, RootChange, query
from meltemi.query.machine import Frame
from meltemi.query.nodes import MAYBE, Memo

TEXT: FactKind[str] = FactKind("text")


@query
def length(q: Db, name: str) -> int:
    return len(q.fact(TEXT, "n", name) or "")


@query
def total(q: Db, namespace: str) -> int:
    return sum(length(q, name) for name in q.names(TEXT, namespace))


@query
def places(q: Db) -> tuple[str, ...]:
    return q.namespaces(TEXT)


@query
def asks(q: Db, name: str) -> bool:
    return q.fact(TEXT, "n", name) is not None


def put(name: str, value: str | None, namespace: str = "n") -> Change[str]:
    return Change(TEXT, namespace, name, value)


def test_a_root_is_delivered_once_and_then_when_it_changes() -> None:
    engine = Engine()
    engine.apply([put("a", "xx")])
    engine.hold(total, "n")
    assert engine.refresh() == (RootChange(total, ("n",), None, 2),)
    assert engine.refresh() == ()
    engine.apply([put("a", "xxx"), put("b", "y")])
    assert engine.refresh() == (RootChange(total, ("n",), 2, 4),)


def test_only_what_read_the_fact_runs() -> None:
    engine = Engine()
    engine.apply([put(str(i), "x") for i in range(100)])
    engine.hold(total, "n")
    engine.refresh()
    engine.take_runs()
    engine.apply([put("7", "xx")])
    engine.refresh()
    assert engine.take_runs() == {"length": 1, "total": 1}


def test_an_equal_value_stops_the_wave() -> None:
    engine = Engine()
    engine.apply([put("a", "one")])
    engine.hold(total, "n")
    engine.refresh()
    engine.take_runs()
    engine.apply([put("a", "two")])
    assert engine.refresh() == ()
    assert engine.take_runs() == {"length": 1}


def test_an_equal_fact_changes_nothing() -> None:
    engine = Engine()
    revision = engine.apply([put("a", "one")])
    engine.hold(total, "n")
    engine.refresh()
    engine.take_runs()
    assert engine.apply([put("a", "one")]) == revision
    assert engine.apply([put("zzz", None)]) == revision
    assert engine.apply([put("a", "two"), put("a", "one")]) == revision, "the last change of a fact counts"
    assert engine.refresh() == ()
    assert engine.take_runs() == {}


def test_an_unread_fact_runs_nothing() -> None:
    engine = Engine()
    engine.apply([put("a", "one")])
    engine.hold(length, "a")
    engine.refresh()
    engine.take_runs()
    engine.apply([put("b", "x")])
    assert engine.refresh() == ()
    assert engine.take_runs() == {}


def test_a_missing_fact_is_read_too() -> None:
    engine = Engine()
    engine.hold(asks, "a")
    engine.refresh()
    engine.apply([put("a", "x")])
    assert [change.new for change in engine.refresh()] == [True]
    engine.apply([put("a", None)])
    assert [change.new for change in engine.refresh()] == [False]


def test_membership_is_read_too() -> None:
    engine = Engine()
    engine.hold(places)
    engine.hold(total, "m")
    engine.refresh()
    engine.apply([put("b", "x", "m"), put("a", "x", "l")])
    assert engine.get(places) == ("l", "m")
    engine.take_runs()
    engine.apply([put("c", "x", "m")])
    engine.refresh()
    assert "places" not in engine.take_runs(), "a second name is no second namespace"
    engine.apply([put("b", None, "m"), put("c", None, "m")])
    assert engine.get(places) == ("l",)


def test_kinds_of_equal_name_are_one() -> None:
    other: FactKind[str] = FactKind("text")
    engine = Engine()
    engine.apply([Change(other, "n", "a", "xyz")])
    assert engine.get(length, "a") == 3


def test_roots_come_in_the_order_of_their_holds() -> None:
    engine = Engine()
    for name in ("z", "a", "m"):
        engine.hold(length, name)
    engine.refresh()
    engine.apply([put(name, "x") for name in ("a", "m", "z")])
    assert [change.args for change in engine.refresh()] == [("z",), ("a",), ("m",)]


def test_holds_are_counted() -> None:
    engine = Engine()
    engine.hold(length, "a")
    engine.hold(length, "a")
    engine.refresh()
    engine.release(length, "a")
    engine.apply([put("a", "x")])
    assert len(engine.refresh()) == 1
    engine.release(length, "a")
    engine.apply([put("a", "xx")])
    assert engine.refresh() == ()
    with pytest.raises(KeyError, match="not held"):
        engine.release(length, "a")


def test_a_root_held_again_is_delivered_again() -> None:
    engine = Engine()
    engine.hold(length, "a")
    engine.refresh()
    engine.release(length, "a")
    engine.hold(length, "a")
    assert engine.refresh() == (RootChange(length, ("a",), None, 0),)


def test_a_value_that_comes_back_before_it_was_delivered_is_no_change() -> None:
    engine = Engine()
    engine.apply([put("a", "x")])
    engine.hold(length, "a")
    engine.refresh()
    engine.apply([put("a", "xx")])
    engine.get(length, "a")
    engine.apply([put("a", "y")])
    assert engine.refresh() == ()


def test_true_is_not_one() -> None:
    @query
    def first(q: Db) -> object:
        return q.fact(ANY, "", "x")

    engine = Engine()
    engine.apply([Change(ANY, "", "x", 1)])
    engine.hold(first)
    engine.refresh()
    engine.apply([Change(ANY, "", "x", True)])
    assert [change.new for change in engine.refresh()] == [True]


ANY: FactKind[object] = FactKind("any")


@dataclass(frozen=True)
class Noted:
    """A value with a part that is not compared."""

    value: int
    note: str = field(compare=False)
    body: object = field(compare=False, default=None)

    def __adopt__(self, old: Noted) -> Noted:
        return Noted(old.value, self.note, old.body)


@query
def noted(q: Db) -> Noted:
    text = q.fact(TEXT, "n", "a") or ""
    return Noted(len(text), text, object())


@query
def reader(q: Db) -> int:
    return noted(q).value


def test_an_equal_value_may_keep_its_new_notes_and_the_old_bytes() -> None:
    engine = Engine()
    engine.apply([put("a", "one")])
    engine.hold(reader)
    engine.refresh()
    body = engine.get(noted).body
    engine.take_runs()
    engine.apply([put("a", "two")])
    engine.refresh()
    assert engine.get(noted).note == "two"
    assert engine.get(noted).body is body
    assert engine.take_runs() == {"noted": 1}


@query
def meddles(q: Db) -> int:
    HOLDER[0].apply([put("a", "x")])
    return 1


@query
def asks_engine(q: Db) -> int:
    return HOLDER[0].get(length, "a")


HOLDER: list[Engine] = []


def test_a_query_may_not_change_facts_or_ask_past_q() -> None:
    engine = Engine()
    HOLDER[:] = [engine]
    for name in ("meddles", "asks_engine"):
        assert "BusyError" in engine.get(try_it, name)
    assert engine.fact(TEXT, "n", "a") is None


@query
def try_it(q: Db, name: str) -> str:
    return str(q.try_({"meddles": meddles, "asks_engine": asks_engine}[name]))


def test_apply_waits_for_the_end_of_a_refresh() -> None:
    engine = Engine()
    for name in "abc":
        engine.hold(length, name)
    slices = engine.slices()
    next(slices)
    with pytest.raises(BusyError, match="refresh"):
        engine.apply([put("a", "x")])
    with pytest.raises(BusyError, match="under way"):
        engine.refresh()
    slices.close()
    engine.apply([put("a", "x")])
    assert len(engine.refresh()) == 3


def test_between_slices_one_may_ask_hold_and_let_go() -> None:
    engine = Engine()
    engine.apply([put("a", "xx")])
    for name in "abc":
        engine.hold(length, name)
    slices = engine.slices()
    next(slices)
    assert engine.get(length, "a") == 2
    assert engine.dry_run([put("a", "yyy")], lambda e: e.get(length, "a")) == 3
    engine.hold(total, "n")
    engine.release(length, "c")
    rest = [change for change in slices if change is not None]
    assert [change.args for change in rest] == [("a",), ("b",), ("n",)]
    assert engine.audit() == ()


def test_a_slice_finishes_no_more_than_its_fuel() -> None:
    engine = Engine()
    engine.apply([put(str(i), "x") for i in range(50)])
    engine.hold(total, "n")
    most, ran, steps = 0, 0, 0
    for _ in engine.slices(fuel=8):
        finished = sum(engine.take_runs().values())
        most, ran, steps = max(most, finished), ran + finished, steps + 1
    assert (most, ran) == (8, 51), "nothing runs twice for being cut"
    assert steps == 8
    # Equal lengths: all fifty are looked at one by one, and nothing above runs.
    engine.apply([put(str(i), "y") for i in range(50)])
    assert max(sum(engine.take_runs().values()) for _ in engine.slices()) == 1
    assert engine.audit() == ()


def test_what_a_cut_refresh_had_begun_is_freed_if_nobody_comes_for_it() -> None:
    engine = Engine()
    engine.apply([put(str(i), "x") for i in range(50)])
    engine.hold(total, "n")
    slices = engine.slices(fuel=8)
    next(slices)
    assert engine.counts().memos > 5
    engine.release(total, "n")
    slices.close()
    assert engine.counts().memos == 0
    assert engine.audit() == ()


def test_counts() -> None:
    engine = Engine()
    engine.apply([put("a", "x"), put("b", "x")])
    engine.hold(total, "n")
    engine.refresh()
    counts = engine.counts()
    assert (counts.memos, counts.edges, counts.facts) == (3, 5, 2)


@query
def initial(q: Db, name: str) -> str:
    return (q.fact(TEXT, "n", name) or "-")[0]


@query
def initials(q: Db) -> tuple[str, ...]:
    return tuple(initial(q, name) for name in q.names(TEXT, "n"))


@query
def position(q: Db, name: str) -> int:
    return sorted(initials(q)).index(initial(q, name))


def test_behind_a_projection_that_stays_nothing_is_even_looked_at() -> None:
    engine = Engine()
    engine.apply([put(str(i), f"{i}x") for i in range(10)])
    for i in range(10):
        engine.hold(position, str(i))
    engine.refresh()
    engine.apply([put("3", "3y")])
    assert len(list(engine.slices())) == 1, "one step: the projection itself"
    engine.apply([put("3", "9y")])
    assert len(engine.refresh()) == 7


@query
def link(q: Db, name: str) -> str:
    text = q.fact(TEXT, "n", name) or ""
    return link(q, text) if text in q.names(TEXT, "n") else text


def test_a_projection_that_begins_to_read_queries_takes_its_turn() -> None:
    engine = Engine()
    engine.apply([put("a", "b"), put("b", "x"), put("c", "a")])
    for name in "abc":
        engine.hold(link, name)
    engine.refresh()
    engine.take_runs()
    # `b` read facts only; now it closes a circle with what is above it.
    engine.apply([put("b", "c")])
    assert all("CycleError" in str(change.new) for change in engine.refresh())
    assert engine.take_runs() == {"link": 3}
    assert engine.audit() == ()
    engine.apply([put("b", "y")])
    assert [change.new for change in engine.refresh()] == ["y", "y", "y"]


@query
def own_length(q: Db, name: str) -> int:
    return initial_order(q).index(initial(q, name)) + length(q, name)


@query
def initial_order(q: Db) -> tuple[str, ...]:
    return tuple(sorted(set(initials(q))))


def test_a_refresh_runs_by_height_what_has_changed_and_looks_at_nothing_else() -> None:
    engine = Engine()
    engine.apply([put(str(i), f"{i}x") for i in range(10)])
    for i in range(10):
        engine.hold(own_length, str(i))
    engine.refresh()
    engine.take_runs()
    looks = _count_looks(engine)
    # One more, which is the last: the lists grow, and every root sees them, but only one that is held has new ones.
    engine.apply([put("a", "axx")])
    engine.hold(own_length, "a")
    assert [change.args for change in engine.refresh()] == [("a",)]
    assert engine.take_runs() == {
        "initial": 1,
        "initial_order": 1,
        "initials": 1,
        "length": 1,
        "own_length": 11,
    }
    engine.apply([put("3", "3xyz")])
    assert [change.args for change in engine.refresh()] == [("3",)]
    assert engine.take_runs() == {"initial": 1, "length": 1, "own_length": 1}
    assert looks() == 0
    assert engine.audit() == ()


def _count_looks(engine: Engine) -> Callable[[], int]:
    """Count the memos that a refresh looked at without running them."""
    found: list[Frame] = []
    machine = engine._machine
    look = machine.look

    def counted(frame: Frame) -> Memo | None:
        if frame.memo.state == MAYBE:
            found.append(frame)
        return look(frame)

    machine.look = counted  # type: ignore[method-assign]
    return lambda: len(found)


def test_what_is_no_longer_needed_is_not_run_on_the_way() -> None:
    engine = Engine()
    engine.apply([put("a", "xx"), put("b", "x")])
    engine.hold(total, "n")
    engine.refresh()
    engine.take_runs()
    engine.apply([put("a", None)])
    assert len(engine.refresh()) == 1
    assert engine.take_runs().get("length", 0) == 0
    assert engine.audit() == ()
