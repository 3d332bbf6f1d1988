from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.agent.core.addresses import ExhaustedError, Leases, from_document, lease, release, short_id

NETWORK = "198.18.0.0/28"
RESERVED = ("198.18.0.9",)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh")), max_size=60))
def test_addresses_are_unique_stable_and_inside(steps: list[tuple[bool, str]]) -> None:
    leases = Leases()
    given_out: dict[str, str] = {}
    for take, uid in steps:
        if take:
            leases, ip = lease(leases, uid, NETWORK, RESERVED)
            assert given_out.setdefault(uid, ip) == ip
            assert ipaddress.ip_address(ip) in ipaddress.ip_network(NETWORK)
            assert ip not in (*RESERVED, "198.18.0.0", "198.18.0.1", "198.18.0.15")
        else:
            leases = release(leases, uid)
            given_out.pop(uid, None)
        assert len(set(leases.held.values())) == len(leases.held)
        assert dict(leases.held) == given_out
    assert from_document(leases.document()) == leases


def test_an_address_is_not_given_again_at_once() -> None:
    leases, first = lease(Leases(), "a", NETWORK)
    leases, second = lease(release(leases, "a"), "b", NETWORK)
    assert second != first


def test_a_full_network_says_so() -> None:
    leases = Leases()
    for number in range(12):
        leases, _ = lease(leases, str(number), NETWORK, RESERVED)
    with pytest.raises(ExhaustedError, match=re.escape("198.18.0.0/28")):
        lease(leases, "one more", NETWORK, RESERVED)


def test_damage_is_an_empty_table() -> None:
    assert from_document({"held": [1, 2]}) == Leases()


def test_short_ids_are_short_and_differ() -> None:
    one = short_id("0f3a9c1e-aaaa-bbbb-cccc-ddddeeeeffff")
    other = short_id("0f3a9c1e-aaaa-bbbb-cccc-ddddeeeeffff", (one,))
    assert one == "0f3a9c1eaa"
    assert other != one
    assert len(other) == 10
