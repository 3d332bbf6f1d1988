"""Tables, ages, YAML, spans of time."""

from __future__ import annotations

import click
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from meltemi.ctl.durations import Duration
from meltemi.ctl.output import age, render, since, to_yaml

CELLS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


def test_a_table_is_laid_out() -> None:
    assert render(["NAME", "AGE"], [["cart", "3m"], ["a-long-name", "12s"]]) == [
        "NAME          AGE",
        "cart          3m",
        "a-long-name   12s",
    ]


@settings(deadline=None)
@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=6))
def test_a_table_fits_its_width(rows: list[list[str]]) -> None:
    lines = render(["A", "B", "C", "D"], rows, 60)
    assert len(lines) == len(rows) + 1
    assert all(len(line) <= 60 for line in lines)


def test_what_a_program_reads_is_never_cut() -> None:
    assert render(["A"], [["x" * 500]])[1] == "x" * 500


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (3600, "1h"),
        (11520, "3h12m"),
        (86399, "23h"),
        (172800, "2d"),
        (-5, "0s"),
    ],
)
def test_ages_are_kubectls(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


def test_the_age_of_a_timestamp() -> None:
    assert since("1970-01-01T00:01:00Z", 65) == "5s"
    assert since("", 65) == ""


def test_yaml_keeps_order_and_shows_lines_as_blocks() -> None:
    text = to_yaml({"b": 1, "a": "one\ntwo\n", "n": "yes"})
    assert text == "b: 1\na: |\n  one\n  two\nn: 'yes'\n"
    assert yaml.safe_load(text) == {"b": 1, "a": "one\ntwo\n", "n": "yes"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("500ms", 0.5), ("1m30s", 90), ("2h", 7200), ("1.5s", 1.5)]
)
def test_spans_of_time(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "x", "5d", "1m x", "-3s", "s"])
def test_no_span_of_time(text: str) -> None:
    with pytest.raises(click.UsageError, match="no span of time"):
        Duration().convert(text, None, None)
