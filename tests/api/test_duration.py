from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api import duration
from meltemi.api.duration import LIMIT, Duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1.5s", 1_500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("300ms", 300_000_000),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("7ns", 7),
        ("-2s", -2_000_000_000),
        (".5s", 500_000_000),
        ("0.000000001s", 1),
    ],
)
def test_what_proto_json_and_go_write_is_read_exactly(text: str, nanoseconds: int) -> None:
    assert duration.parse(text) == Duration(nanoseconds)


@pytest.mark.parametrize(
    "text", ["", "s", "5", "1.s.s", "1d", "5 s", "٣s", "1e3s", "--1s", "400000000000s", "1" * 80]
)
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration.parse(text) is None


@given(st.integers(-LIMIT, LIMIT))
def test_a_duration_survives_its_text(nanoseconds: int) -> None:
    assert duration.parse(str(Duration(nanoseconds))) == Duration(nanoseconds)


@given(st.integers(-LIMIT, LIMIT))
def test_parts_have_one_sign_and_add_up(nanoseconds: int) -> None:
    seconds, rest = Duration(nanoseconds).parts
    assert seconds * duration.SECOND + rest == nanoseconds
    assert seconds * rest >= 0


@given(st.text(max_size=20))
def test_no_text_raises(text: str) -> None:
    duration.parse(text)


def test_seconds_makes_whole_nanoseconds() -> None:
    assert duration.seconds(1.5) == Duration(1_500_000_000)
    assert Duration(2_500_000).milliseconds == 2.5
