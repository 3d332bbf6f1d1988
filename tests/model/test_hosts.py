"""Host names: short names, patterns, export lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.model.hosts import closest, complete, covers, exported, overlap, public

LABEL = st.sampled_from(["a", "b", "c", "shop", "example"])
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
PATTERN = st.one_of(NAME, NAME.map(lambda name: f"*.{name}"), st.just("*"))


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("reviews", "reviews.shop.svc.cluster.local"),
        ("Reviews", "reviews.shop.svc.cluster.local"),
        ("reviews.other", "reviews.other"),
        ("example.com.", "example.com"),
        ("*", "*"),
        ("*.example.com", "*.example.com"),
    ],
)
def test_only_a_bare_name_is_completed(host: str, full: str) -> None:
    assert complete(host, "shop", "cluster.local") == full


@pytest.mark.parametrize(
    ("pattern", "host", "is_covered"),
    [
        ("*", "a.b", True),
        ("a.b", "a.b", True),
        ("*.b", "a.b", True),
        ("*.b", "a.a.b", True),
        ("*.b", "b", False),
        ("*.b", "ab", False),
        ("*.b", "*.a.b", True),
        ("*.a.b", "*.b", False),
        ("a.b", "*.b", False),
    ],
)
def test_what_a_pattern_covers(pattern: str, host: str, is_covered: bool) -> None:
    assert covers(pattern, host) is is_covered


@given(PATTERN, PATTERN)
def test_overlap_is_the_narrower_of_the_two_either_way(one: str, other: str) -> None:
    found = overlap(one, other)
    assert found == overlap(other, one)
    assert found is None or (covers(one, found) and covers(other, found) and found in (one, other))


@given(st.lists(PATTERN, max_size=6), NAME)
def test_the_closest_pattern_covers_and_no_longer_one_does(patterns: list[str], host: str) -> None:
    found = closest(patterns, host)
    covering = [pattern for pattern in patterns if covers(pattern, host)]
    assert (found is None) == (not covering)
    if found is not None:
        assert found == host if host in covering else len(found) == max(map(len, covering))


def test_export_lists() -> None:
    assert exported(("*",), "a", "b")
    assert exported((".",), "a", "a")
    assert not exported((".",), "a", "b")
    assert exported(("b", "c"), "a", "c")
    assert not exported(("~",), "a", "a")
    assert public(("*",))
    assert not public((".", "b"))
