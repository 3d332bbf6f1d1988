"""Servers that are asked whether requests may pass."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.envoy.ext_authz import OWN, ExternalAuth, differs

names = st.text("acehnost-:", max_size=8)


@given(st.lists(names.filter(lambda name: not name.startswith(":")), max_size=4), names)
def test_an_expression_for_all_but_some_words(words: list[str], name: str) -> None:
    held = re.fullmatch(differs(tuple(words)), name) is not None
    assert held == (name not in words and not name.startswith(":"))


@pytest.mark.parametrize("name", ["authorization", "x-user", "hosts", "content-language", "set-cookie"])
def test_what_an_answer_says_of_the_user_goes_with_the_request(name: str) -> None:
    assert re.fullmatch(differs(OWN), name)


def test_a_filter_has_a_name_for_each_way_to_ask() -> None:
    plain = ExternalAuth("c", "h")
    others = [
        ExternalAuth("c", "h", grpc=True),
        ExternalAuth("c", "h", headers=("a",)),
        ExternalAuth("d", "h"),
    ]
    assert len({one.name for one in (plain, *others)}) == 4
    assert plain.name == ExternalAuth("c", "h").name
