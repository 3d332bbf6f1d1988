"""What may be a query, and how one is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from meltemi.query import Change, Db, Engine, FactKind, query

NUMBERS: FactKind[int] = FactKind("numbers")


@query
def scaled(q: Db, name: str, factor: int = 2) -> int:
    """Doc of scaled."""
    return (q.fact(NUMBERS, "", name) or 0) * factor


def test_a_query_keeps_its_name_doc_and_types() -> None:
    assert scaled.__name__ == "scaled"
    assert scaled.__doc__ == "Doc of scaled."
    assert scaled.__annotations__["name"] == "str"


def test_defaults_and_keywords_name_the_same_memo() -> None:
    engine = Engine()
    engine.apply([Change(NUMBERS, "", "a", 21)])
    engine.hold(scaled, "a")
    engine.hold(scaled, "a", 2)
    engine.hold(scaled, name="a", factor=2)
    assert [change.new for change in engine.refresh()] == [42]
    assert engine.memos() == {"tests.query.test_declare.scaled": 1}


@query
def by_keyword(q: Db, name: str) -> int:
    return scaled(q, factor=3, name=name)


def test_a_query_may_call_by_keyword() -> None:
    engine = Engine()
    engine.apply([Change(NUMBERS, "", "a", 2)])
    assert engine.get(by_keyword, "a") == 6


def test_a_wrong_argument_list_raises_as_a_function_does() -> None:
    with pytest.raises(TypeError, match="factr"):
        Engine().get(scaled, "a", factr=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unhashable"):
        Engine().get(scaled, ["a"])  # type: ignore[arg-type]


async def waits(q: Db) -> int:
    return 1


def yields(q: Db) -> Iterator[int]:
    yield 1


def no_db(name: str) -> int:
    return 1


def wrong_type(q: Engine) -> int:
    return 1


def keyword_only(q: Db, *, name: str) -> int:
    return 1


def variadic(q: Db, *names: str) -> int:
    return 1


def mutable_default(q: Db, names=[]) -> int:  # type: ignore[no-untyped-def]  # noqa: B006
    return 1


def mutable_parameter(q: Db, names: list[str]) -> int:
    return 1


def untyped(q: Db, name) -> int:  # type: ignore[no-untyped-def]
    return 1


def returns_list(q: Db) -> list[int]:
    return [1]


def returns_nothing_known(q: Db):  # type: ignore[no-untyped-def]
    return 1


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (waits, "plain function"),
        (yields, "plain function"),
        (no_db, "first parameter must be `q: Db`"),
        (wrong_type, "first parameter must be `q: Db`"),
        (keyword_only, "name must be positional"),
        (variadic, "names must be positional"),
        (mutable_default, "names has no type"),
        (mutable_parameter, "names must be frozen"),
        (untyped, "name has no type"),
        (returns_list, "return a frozen value"),
        (returns_nothing_known, "return a frozen value"),
    ],
)
def test_what_cannot_be_a_query_is_refused_at_import(function: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        query(function)


def test_a_typed_mutable_default_is_refused() -> None:
    def bad(q: Db, names: object = {}) -> int:
        return 1

    with pytest.raises(TypeError, match="frozen"):
        query(bad)


def test_the_engine_takes_queries_only() -> None:
    with pytest.raises(TypeError, match="decorate it with @query"):
        Engine().get(no_db)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="decorate it with @query"):
        Engine().hold(no_db)  # type: ignore[arg-type]


def test_a_fact_must_be_frozen() -> None:
    kind: FactKind[list[int]] = FactKind("lists")
    engine = Engine()
    with pytest.raises(TypeError, match="lists a/b is a list"):
        engine.apply([Change(NUMBERS, "", "a", 1), Change(kind, "a", "b", [1])])
    assert engine.fact(NUMBERS, "", "a") is None, "a refused transaction changes nothing"
