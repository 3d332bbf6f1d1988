from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meltemi.api import paths


def test_a_path_reads_as_people_write_it() -> None:
    assert (
        paths.text(("spec", "http", 0, "headers", "x-user", "exact"))
        == 'spec.http[0].headers["x-user"].exact'
    )


def test_a_quote_in_a_key_is_escaped() -> None:
    assert paths.text(("a", 'b"c\\')) == 'a["b\\"c\\\\"]'


@given(st.lists(st.one_of(st.integers(0, 10**6), st.text(min_size=1, max_size=8)), max_size=6))
def test_what_is_written_is_read_again(parts: list[str | int]) -> None:
    assert paths.parts(paths.text(parts)) == tuple(parts)


def test_what_is_no_path_ends_there() -> None:
    assert paths.parts("spec.http[zero]") == ("spec", "http")
