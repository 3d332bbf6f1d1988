"""Times, trust bundles, who is served first, and the messages of the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.citadel.core import template
from meltemi.citadel.core.bundle import config_map_data, trust_bundle
from meltemi.citadel.core.rotation import renew_at, retry_after
from meltemi.citadel.core.throttle import Throttle
from meltemi.citadel.shell.authority import CertificateAuthority
from meltemi.citadel.shell.storage import MemoryStorage
from meltemi.citadel.wire import messages

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ca(trust_domain: str = "cluster.local") -> CertificateAuthority:
    return CertificateAuthority.open(MemoryStorage(), clock=lambda: NOW, trust_domain=trust_domain)


# --- how long certificates are good


def test_a_certificate_begins_ten_minutes_ago_and_lasts_as_asked() -> None:
    window = template.window(NOW, timedelta(hours=1), NOW + timedelta(days=9))
    assert (window.begin, window.end) == (NOW - timedelta(minutes=10), NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("asked", "given_"),
    [
        (None, timedelta(hours=24)),
        (timedelta(0), timedelta(hours=24)),
        (timedelta(days=4000), timedelta(days=90)),
        (timedelta(seconds=1), timedelta(minutes=1)),
    ],
)
def test_lifetimes_have_limits(asked: timedelta | None, given_: timedelta) -> None:
    assert template.window(NOW, asked, NOW + timedelta(days=3650)).end == NOW + given_


def test_no_certificate_outlives_its_issuer() -> None:
    assert template.window(NOW, None, NOW + timedelta(hours=2)).end == NOW + timedelta(hours=2)
    with pytest.raises(ValueError, match="ended"):
        template.window(NOW, None, NOW - timedelta(seconds=1))


# --- renewal


@given(st.integers(60, 90 * 86400), st.floats(0, 1, exclude_max=True))
def test_renewal_is_at_half_life_whatever_the_backdating(seconds: int, dice: float) -> None:
    window = template.window(NOW, timedelta(seconds=seconds), NOW + timedelta(days=3650))
    when = renew_at(window.begin, window.end, dice)
    assert timedelta(seconds=0.48 * seconds) < when - NOW < timedelta(seconds=0.52 * seconds)


def test_renewals_are_spread() -> None:
    window = template.window(NOW, None, NOW + timedelta(days=3650))
    times = {renew_at(window.begin, window.end, n / 100) for n in range(100)}
    assert max(times) - min(times) > timedelta(minutes=20)


def test_retries_double_up_to_a_minute() -> None:
    waits = [retry_after(failures, 0.99).total_seconds() for failures in range(1, 40)]
    assert waits == sorted(waits)
    assert 0.9 < waits[0] <= 1
    assert 59 < waits[-1] <= 60
    assert retry_after(3, 0.0) < retry_after(3, 0.9)


# --- trust bundles


def test_a_bundle_has_each_root_once() -> None:
    one, two = ca().bundle, ca("other").bundle
    both = one.and_also(two).and_also(one)
    assert both.roots == (*one.roots, *two.roots)
    assert trust_bundle([both.pem, one.pem]) == both
    assert config_map_data(both) == {"root-cert.pem": both.pem}


@pytest.mark.parametrize("texts", [[], [""], ["nonsense"]])
def test_a_bundle_without_a_root_is_none(texts: list[str]) -> None:
    with pytest.raises(ValueError):
        trust_bundle(texts)


# --- who is served first


def test_renewals_are_served_first() -> None:
    line: Throttle[str] = Throttle(rate=1, burst=1)
    line.arrive("new", renewal=False)
    line.arrive("renewal", renewal=True)
    assert line.take(0.0) == "renewal"
    assert line.take(0.0) is None
    assert line.wait(0.25) == 0.75
    assert line.take(1.0) == "new"
    assert line.wait(1.0) is None


def test_too_long_a_line_turns_new_ones_away_first() -> None:
    line: Throttle[str] = Throttle(rate=1, burst=1, waiting=2)
    assert line.arrive("a", renewal=True) == ()
    assert line.arrive("b", renewal=False) == ()
    assert line.arrive("c", renewal=True) == ("b",)
    assert line.arrive("d", renewal=False) == ("d",)
    assert line.arrive("e", renewal=True) == ("e",)
    assert line.retry_after() == 2.0


def test_who_gives_up_is_not_served() -> None:
    line: Throttle[str] = Throttle(rate=1, burst=5)
    line.arrive("a", renewal=True)
    line.arrive("b", renewal=False)
    line.leave("a")
    line.leave("zz")
    assert [line.take(0.0), line.take(0.0)] == ["b", None]


@given(st.lists(st.floats(0, 0.5), max_size=200))
def test_no_more_than_the_rate_is_served(gaps: list[float]) -> None:
    line: Throttle[int] = Throttle(rate=4, burst=3, waiting=1000)
    now, served = 0.0, 0
    for number, gap in enumerate(gaps):
        now += gap
        line.arrive(number, renewal=bool(number % 2))
        while line.take(now) is not None:
            served += 1
        assert served <= 3 + 4 * now + 1e-6


# --- messages


@given(st.text(), st.integers(-(2**63), 2**63 - 1))
def test_a_request_survives_the_wire(csr: str, seconds: int) -> None:
    request = messages.CertificateRequest(csr, seconds)
    assert messages.decode_request(messages.encode_request(request)) == request


@given(st.lists(st.text()).map(tuple))
def test_a_response_survives_the_wire(chain: tuple[str, ...]) -> None:
    assert messages.decode_response(messages.encode_response(chain)) == chain


def test_the_fields_have_istios_numbers() -> None:
    assert messages.encode_request(messages.CertificateRequest("x", 5)) == b"\x0a\x01x\x18\x05"
    assert messages.encode_response(("a", "b")) == b"\x0a\x01a\x0a\x01b"
    # A metadata struct, as Istio's agent sends one, is passed over.
    assert messages.decode_request(b"\x0a\x01x\x22\x00").csr == "x"


@given(st.binary(max_size=40))
def test_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for read in (messages.decode_request, messages.decode_response):
        try:
            read(data)
        except messages.Malformed:
            continue
