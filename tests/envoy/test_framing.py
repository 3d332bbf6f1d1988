"""Protobuf's wire format by hand: as protobuf has it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from meltemi.envoy import encoding, framing
from meltemi.envoy.framing import framed, tag, text, varint


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (1 << 21, b"\x80\x80\x80\x01")],
)
def test_varint(number: int, encoded: bytes) -> None:
    assert varint(number) == encoded


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="byte"):
        varint(-1)


def test_a_tag_says_how_its_field_is_encoded() -> None:
    assert framed(tag(Value, "string_value"), b"a") == Value(string_value="a").SerializeToString()
    assert framed(tag(Struct, "fields"), b"") == b"\n\0"
    assert tag(Value, "bool_value") + varint(1) == Value(bool_value=True).SerializeToString()


def test_an_empty_text_is_left_out() -> None:
    assert text(tag(ListValue, "values"), "") == b""
    assert text(b"\n", "ä") == b"\n\x02\xc3\xa4"


words = st.text(max_size=5)


@given(
    st.dictionaries(
        words, words | st.lists(st.dictionaries(words, words, max_size=3), max_size=3).map(tuple), max_size=4
    )
)
def test_structs(fields: dict[str, Any]) -> None:
    ordered: Any = {
        key: fields[key] if isinstance(fields[key], str) else tuple(map(by_key, fields[key]))
        for key in sorted(fields, key=order)
    }
    assert framing.struct(ordered) == encoding.encode(encoding.struct(fields))


def by_key(fields: dict[str, str]) -> dict[str, str]:
    return {key: fields[key] for key in sorted(fields, key=order)}


def order(key: str) -> bytes:
    return key.encode() + b"\xff"
