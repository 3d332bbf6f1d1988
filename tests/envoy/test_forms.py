"""Forms: a message with blanks, filled in as bytes."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from meltemi.envoy.encoding import encode, pack
from meltemi.envoy.forms import form


def message(name: str, listed: list[str]) -> Value:
    """Nest a text, twice, and a list that may be empty."""
    inner = Value(list_value=ListValue(values=[Value(string_value=one) for one in listed]))
    return Value(struct_value=Struct(fields={"name": Value(string_value=name), "rest": inner}))


FILL = form(message("<name>", ["<one>"]), {"name": "<name>"}, {"listed": b"\x1a\x05<one>"})


@given(st.text(max_size=20_000), st.lists(st.text(max_size=200), max_size=3))
def test_what_is_filled_in_is_what_protobuf_would_have_made(name: str, listed: list[str]) -> None:
    fields = encode(ListValue(values=[Value(string_value=one) for one in listed]))
    assert FILL(name.encode(), fields) == encode(message(name, listed))


def test_a_blank_is_found_within_an_any() -> None:
    fill = form(pack(message("<name>", [])), {"name": "<name>"}, {})
    assert fill(b"x" * 300) == encode(pack(message("x" * 300, [])))


def test_numbers_stay() -> None:
    sample = Struct(
        fields={"a": Value(number_value=1.5), "b": Value(bool_value=True), "c": Value(string_value="<c>")}
    )
    fill = form(sample, {"c": "<c>"}, {})
    sample.fields["c"].string_value = "d"
    assert fill(b"d") == encode(sample)


def test_a_blank_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="other"):
        form(message("<name>", []), {"name": "<name>", "other": "<other>"}, {})


def test_a_part_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="part"):
        form(message("", ["<one>", "<one>"]), {}, {"part": b"\x1a\x05<one>"})
