from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api.duration import Duration
from meltemi.api.value_type import ValueType
from meltemi.lang.faults import Fault
from meltemi.lang.parser import DEEPEST, LONGEST, parse
from meltemi.lang.tree import (
    Attribute,
    Call,
    Constant,
    Expression,
    Index,
    Operation,
    Operator,
    attributes,
    text,
)


def tree(source: str) -> Expression:
    made = parse(source)
    assert not isinstance(made, Fault), made
    return made


def fault(source: str) -> Fault:
    made = parse(source)
    assert isinstance(made, Fault), made
    return made


def string(value: str) -> Constant:
    return Constant(ValueType.STRING, value)


A, B, C = Attribute("a"), Attribute("b"), Attribute("c")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a", A),
        ("source.workload.name", Attribute("source.workload.name")),
        ("$out.source_pod_ip", Attribute("$out.source_pod_ip")),
        ("true", Constant(ValueType.BOOL, True)),
        ("False", Constant(ValueType.BOOL, False)),
        ("200", Constant(ValueType.INT64, 200)),
        ("1.5", Constant(ValueType.DOUBLE, 1.5)),
        (".5e3", Constant(ValueType.DOUBLE, 500.0)),
        ('"x"', string("x")),
        ("`a\\n`", string("a\\n")),
        ("'x'", string("x")),
        (r'"\"\x41B\103\n"', string('"ABC\n')),
        ('"10ms"', Constant(ValueType.DURATION, Duration(10_000_000))),
        ('"0"', Constant(ValueType.DURATION, Duration(0))),
        ("a | b | c", Operation(Operator.OR, Operation(Operator.OR, A, B), C)),
        ("a | b == c", Operation(Operator.EQ, Operation(Operator.OR, A, B), C)),
        ("a == b && c", Operation(Operator.LAND, Operation(Operator.EQ, A, B), C)),
        ("a || b && c", Operation(Operator.LOR, A, Operation(Operator.LAND, B, C))),
        ("a | (b | c)", Operation(Operator.OR, A, Operation(Operator.OR, B, C))),
        ("a + b <= c", Operation(Operator.LEQ, Operation(Operator.ADD, A, B), C)),
        ('a["k"]', Index(A, string("k"))),
        ("f(a, b,)", Call("f", None, (A, B))),
        ("emptyStringMap()", Call("emptyStringMap", None, ())),
        ("a.b.f(c)", Call("f", Attribute("a.b"), (C,))),
        ('"x".f(a)', Call("f", string("x"), (A,))),
        ("(a | b).f(c)", Call("f", Operation(Operator.OR, A, B), (C,))),
        ('a["k"].f(b)', Call("f", Index(A, string("k")), (B,))),
        ("f(a)(b)", None),
    ],
)
def test_trees(source: str, wanted: Expression | None) -> None:
    made = parse(source)
    assert isinstance(made, Fault) if wanted is None else made == wanted


@pytest.mark.parametrize(
    ("source", "offset", "message"),
    [
        ("", 0, "must not be empty"),
        ("  ", 0, "must not be empty"),
        ("a ==", 4, "the end of the expression is unexpected: a value is wanted"),
        ("a = b", 2, 'no operator "="'),
        ("!a", 0, 'no operator "!"'),
        ("-1", 0, 'no operator "-"'),
        ("a b", 2, '"b" is unexpected'),
        ("(a", 2, '")" is wanted'),
        ('a["k"', 5, '"]" is wanted'),
        ("a.", 2, "a name is wanted"),
        ("f(a).b", 6, '"(" is wanted'),
        ('"a', 0, "does not end"),
        ("'ab'", 0, "only one character"),
        (r'"\q"', 0, "is not an escape"),
        ("10ms", 0, "followed by letters"),
        ("9223372036854775808", 0, "at most"),
        ("1e999", 0, "too large"),
        ("a \x00", 2, "no part of an expression"),
        ("a" * (LONGEST + 1), 0, "characters long"),
    ],
)
def test_faults_say_where_they_are(source: str, offset: int, message: str) -> None:
    found = fault(source)
    assert (found.offset, message in found.message) == (offset, True), found


def test_what_is_not_there_is_told_with_what_is_instead() -> None:
    assert fault("!a").hint == "write x == false"
    assert fault("10ms").hint == 'write a duration as a text: "10ms"'


def test_depth_is_bounded() -> None:
    assert "within each other" in fault("(" * 5000 + "a" + ")" * 5000).message
    assert "within each other" in fault("f(" * 5000).message
    chain = "a"
    for _ in range(DEEPEST - 1):
        chain += " || a"
    assert text(tree(chain)) == chain
    assert "levels deep" in fault(chain + " || a").message
    assert "levels deep" in fault("a" + '["k"]' * 3000).message
    assert "levels deep" in fault("a" + ".f()[a]" * 2000).message


def test_attributes_are_given_in_the_order_of_the_text() -> None:
    made = tree('f(a, b["k"]).g(c.d) == (e | "x")')
    assert [one.name for one in attributes(made)] == ["a", "b", "c.d", "e"]
    assert [one.offset for one in attributes(made)] == [2, 5, 15, 24]


NAMES = st.sampled_from(["a", "source.name", "$out.x", "true.x", "f", "_"])
CONSTANTS = st.one_of(
    st.booleans().map(lambda value: Constant(ValueType.BOOL, value)),
    st.integers(0, 2**63 - 1).map(lambda value: Constant(ValueType.INT64, value)),
    st.floats(0, allow_infinity=False).map(lambda value: Constant(ValueType.DOUBLE, value)),
    st.integers(-(10**15), 10**15).map(lambda value: Constant(ValueType.DURATION, Duration(value))),
    st.text().map(lambda value: "s" + value).map(string),
)


def deeper(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Operation, st.sampled_from(Operator), inner, inner),
        st.builds(Index, inner, inner),
        st.builds(
            Call,
            st.sampled_from(["f", "match"]),
            st.none() | inner,
            st.lists(inner, max_size=3).map(tuple),
        ),
    )


TREES: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(NAMES.map(Attribute), CONSTANTS), deeper, max_leaves=12
)


@given(TREES)
def test_a_tree_that_is_written_and_read_is_the_same(made: Expression) -> None:
    assert tree(text(made)) == made


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            [
                "a",
                ".",
                "(",
                ")",
                "[",
                "]",
                '"x"',
                "|",
                "==",
                "&&",
                ",",
                "1",
                "f(",
                "!",
                " ",
                '"',
                "`",
                "'",
                "\\",
            ]
        ),
        max_size=40,
    ).map("".join)
)
def test_no_text_raises(source: str) -> None:
    made = parse(source)
    if isinstance(made, Fault):
        assert 0 <= made.offset <= len(source)
    else:
        assert tree(text(made)) == made
