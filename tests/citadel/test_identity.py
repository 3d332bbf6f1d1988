"""SPIFFE ids and bearer tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.citadel.core.identity import SpiffeId, Unauthenticated, bearer_token, parse_spiffe_id, spiffe_id

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


def test_an_id_has_istios_form() -> None:
    assert str(spiffe_id("cluster.local", "default", "sleep")) == "spiffe://cluster.local/ns/default/sa/sleep"


@given(names, names, names)
def test_an_id_survives_being_written_down(domain: str, namespace: str, account: str) -> None:
    made = spiffe_id(domain, namespace, account)
    assert parse_spiffe_id(str(made)) == made


@pytest.mark.parametrize(
    ("domain", "namespace", "account"),
    [
        ("cluster.local", "default/sa/admin", "x"),
        ("cluster.local", "default", "x/../admin"),
        ("cluster.local", "", "x"),
        ("cluster.local", "default", ""),
        ("cluster.local", "Default", "x"),
        ("cluster local", "default", "x"),
        ("cluster.local/ns/a", "default", "x"),
        ("cluster.local", "default", "x\n"),
        ("cluster.local", "default", "x?y"),
    ],
)
def test_what_would_forge_another_id_is_refused(domain: str, namespace: str, account: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        spiffe_id(domain, namespace, account)


@given(st.text(max_size=60))
def test_a_text_is_an_id_or_refused(text: str) -> None:
    try:
        made = parse_spiffe_id(text)
    except ValueError:
        return
    assert isinstance(made, SpiffeId)
    assert str(made) == text


def test_a_token_is_taken_from_its_header() -> None:
    assert bearer_token("Bearer abc") == "abc"
    assert bearer_token("bearer  abc ") == "abc"
    for header in ("", "Bearer", "Bearer ", "Basic abc", "abc"):
        with pytest.raises(Unauthenticated):
            bearer_token(header)
