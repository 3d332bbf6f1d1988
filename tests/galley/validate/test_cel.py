from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.galley.validate import cel

RIGHT = [
    "true",
    "request.headers['x-user'] == 'a' && response.code >= 400",
    "has(a.b) ? 1 : 2u",
    "[1, 2,].exists(x, x > 1.5e-3)",
    '{"a": 1, "b": [true, null]}',
    "a.b.C{d: 1, e: {}}",
    "!!a || --b < -1",
    "a in [0x1F, 017]",
    "x.map(y, y * 2)[0].z()",
    r"r'\d+' + b'\x01' + '''it's\n'''",
    '"""a"b"""',
    "'it\\'s'",
    "a // the rest is a comment",
    ".a.b",
    "a < b == c",
    "(((a)))",
    "a ? b : c ? d : e",
    "filter_state['x'].in",
    "(" * 60 + "1" + ")" * 60,
    "{,}",
    "[,] + [1,]",
    "a.B{,}",
    "a.B{`c-d`: 1}",
    "labels.`app.kubernetes.io/name` == 'a'",
]
WRONG = [
    "",
    "a ||",
    "a b",
    '"x',
    "'a\nb'",
    "(a",
    "a)",
    "a..b",
    "for",
    "a ? b",
    "1 +* 2",
    "1.",
    "@a",
    "!-a",
    "[1 2]",
    "{1}",
    "f(,)",
    "{,,}",
    "`a-b`",
    "a.``",
    "a = b",
    "a & b",
    "in",
    "(" * 70 + "1" + ")" * 70,
    "a" * 65537,
]


@pytest.mark.parametrize("text", RIGHT)
def test_expressions(text: str) -> None:
    assert cel.fault(text) == ""


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:20])
def test_what_is_no_expression(text: str) -> None:
    assert cel.fault(text).startswith(("must be a valid CEL expression: ", "a CEL expression may be"))


def test_the_fault_says_where() -> None:
    assert cel.fault("a b") == 'must be a valid CEL expression: "b" at character 3 cannot stand there'


TEXTS = st.text("ab.()[]{}?:,!-+<=&|'\"\\r019 \n", max_size=40)


@given(TEXTS)
def test_whatever_the_text_there_is_an_answer(text: str) -> None:
    assert isinstance(cel.fault(text), str)


@given(TEXTS)
def test_what_googles_own_parser_takes_is_right(text: str) -> None:
    expr = pytest.importorskip("cel_expr_python.cel", reason="CEL of Google is not here")
    try:
        expr.NewEnv().compile(text, disable_check=True)
    except Exception:  # noqa: BLE001 - whatever it says of what it does not take
        return
    assert cel.fault(text) == ""
