"""What the engine tells of queries that raised: which, whether anybody needs them, and what they stood on."""

from __future__ import annotations

from meltemi.query import Call, Change, Db, Engine, FactKind, query

NUMBERS: FactKind[int] = FactKind("numbers")
WORDS: FactKind[str] = FactKind("words")


@query
def inverse(q: Db, name: str) -> int:
    q.fact(WORDS, "", "first")
    return 100 // (q.fact(NUMBERS, "", name) or 0)


@query
def total(q: Db, careful: bool) -> int:
    q.fact(WORDS, "", "wide")
    names = q.names(NUMBERS, "")
    if careful:
        return sum(found for name in names if isinstance(found := q.try_(inverse, name), int))
    return sum(inverse(q, name) for name in names)


def put(engine: Engine, **numbers: int | None) -> None:
    engine.apply([Change(NUMBERS, "", name, value) for name, value in numbers.items()])
    engine.refresh()


def made(*, careful: bool = True) -> Engine:
    engine = Engine()
    engine.apply([Change(WORDS, "", name, name) for name in ("first", "wide")])
    engine.hold(total, careful)
    put(engine, a=1, b=2)
    return engine


def where(name: str) -> Call:
    return Call(inverse.__query__[1], (name,))  # type: ignore[attr-defined]


def test_who_raised_is_told_once_whether_it_was_caught_or_not() -> None:
    for careful in (True, False):
        engine = made(careful=careful)
        assert engine.take_failures() == ()
        put(engine, b=0)
        (failure,) = engine.take_failures()
        assert (failure.where, failure.error) == (where("b"), "ZeroDivisionError")
        assert engine.failing(where("b"))
        assert engine.take_failures() == ()


def test_what_nobody_needs_or_fails_no_more_is_not_told() -> None:
    engine = made()
    put(engine, b=0)
    put(engine, b=None)
    assert engine.take_failures() == ()
    assert not engine.failing(where("b"))
    put(engine, a=0)
    put(engine, a=5)
    assert engine.take_failures() == ()
    assert not engine.failing(where("a"))
    assert not engine.failing(Call("no.such.query", ()))


def test_in_a_dry_run_one_sees_whether_it_would_fail() -> None:
    engine = made()
    put(engine, b=0)
    engine.take_failures()

    def look(trial: Engine) -> bool:
        trial.refresh()
        return trial.failing(where("b"))

    assert engine.dry_run([Change(NUMBERS, "", "b", 4)], look) is False
    assert engine.dry_run([Change(NUMBERS, "", "a", 4)], look) is True
    assert engine.dry_run([Change(NUMBERS, "", "a", 0)], lambda trial: (trial.refresh(), None)[1]) is None
    assert engine.failing(where("b"))
    # What raised in a dry run did not happen.
    assert engine.take_failures() == ()
    assert engine.audit() == ()


def test_what_it_stood_on_comes_before_what_its_readers_stand_on() -> None:
    engine = made()
    put(engine, b=0)
    named = [(ref.kind, ref.name) for ref in engine.grounds(where("b"))]
    assert named[:2] == [("numbers", "b"), ("words", "first")]
    assert set(named[2:]) == {("words", "wide"), ("numbers", "a")}
    assert list(engine.grounds(Call("no.such.query", ()))) == []
