"""Istio's tasks on bookinfo, in a mesh of its own: what each task's reader must see."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.live import meshes
from tests.live.books import Shop, bookinfo

from meltemi.samples.http import BrokenError, fetch

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

NO_REVIEWS = "Sorry, product reviews are currently unavailable for this book."
NO_RATINGS = "Ratings service is currently unavailable"
VIRTUAL_SERVICES = ("productpage", "reviews", "ratings", "details")


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """The mesh of this file."""
    with bookinfo("books") as made:
        yield made


@pytest.fixture(autouse=True)
def everything_to_v1(shop: Shop) -> None:
    """Each test begins with the first task's rules."""
    shop.all_v1()


def test_the_page_is_there_and_names_who_answered(shop: Shop) -> None:
    seen = shop.page()
    assert seen.answer.status == 200
    assert "<title>Simple Bookstore App</title>" in seen.text
    assert "Book Details" in seen.text
    assert seen.versions == {"productpage": "v1", "details": "v1", "reviews": "v1"}


def test_all_v1_never_has_stars(shop: Shop) -> None:
    seen = shop.pages(20)
    assert Counter(one.answer.status for one in seen) == {200: 20}
    assert [one.colours for one in seen] == [[]] * 20


def test_without_rules_all_versions_take_turns(shop: Shop) -> None:
    shop.mesh.kubectl("delete", "virtualservice", *VIRTUAL_SERVICES).good()
    meshes.until(
        lambda: {"v1", "v2", "v3"} <= {one.versions.get("reviews") for one in shop.pages(12)},
        20,
        "reviews come from all versions",
    )


def test_jason_sees_black_stars_and_nobody_else(shop: Shop) -> None:
    shop.apply("virtual-service-reviews-test-v2")
    assert shop.login("jason") == "session=jason"
    assert [shop.page("jason").colours for _ in range(5)] == [["black", "black"]] * 5
    assert [shop.page("grace").colours for _ in range(5)] == [[]] * 5
    assert shop.page().colours == []


@pytest.mark.long
def test_a_delay_for_jason_shows_the_bug_of_the_limits(shop: Shop) -> None:
    shop.apply("virtual-service-reviews-test-v2", "virtual-service-ratings-test-delay")
    seen = shop.page("jason")
    assert "Error fetching product reviews!" in seen.text
    assert NO_REVIEWS in seen.text
    assert 5.8 < seen.seconds < 9
    other = shop.page()
    assert "Book Reviews" in other.text
    assert other.seconds < 3


def test_an_abort_for_jason_loses_only_his_ratings(shop: Shop) -> None:
    shop.apply("virtual-service-reviews-test-v2", "virtual-service-ratings-test-abort")
    seen = shop.page("jason")
    assert seen.text.count(NO_RATINGS) == 2
    assert "Book Reviews" in seen.text
    assert seen.seconds < 3
    assert NO_RATINGS not in shop.page("grace").text


def test_half_of_the_pages_have_red_stars_and_then_all(shop: Shop) -> None:
    shop.apply("virtual-service-reviews-50-v3")
    seen = Counter(one.versions.get("reviews") for one in shop.pages(200))
    assert sum(seen.values()) == seen["v1"] + seen["v3"] == 200, seen
    assert 72 <= seen["v3"] <= 128
    shop.apply("virtual-service-reviews-v3")
    assert [one.colours for one in shop.pages(20)] == [["red", "red"]] * 20


def test_a_request_timeout_of_half_a_second(shop: Shop) -> None:
    shop.apply("virtual-service-reviews-v2", "virtual-service-ratings-delay-2s")
    slow = shop.page()
    assert slow.colours == ["black", "black"]
    assert slow.seconds >= 2
    shop.apply("virtual-service-reviews-timeout")
    seen = shop.page()
    assert NO_REVIEWS in seen.text
    # Twice 0.5 s: the page asks a second time.
    assert 1.0 <= seen.seconds < 2
    assert "status 504" in seen.text


def test_a_fault_of_details_is_shown_with_its_status(shop: Shop) -> None:
    shop.apply("fault-injection-details-v1")
    seen = shop.page()
    assert "Error fetching product details!" in seen.text
    assert "status 555" in seen.text
    assert "Book Reviews" in seen.text


def test_a_version_without_pods_is_unavailable(shop: Shop) -> None:
    shop.apply("virtual-service-details-v2")
    assert "status 503" in shop.page().text


def test_the_circuit_breaker_opens_and_its_counter_agrees(shop: Shop) -> None:
    shop.apply("destination-rule-breaker")
    try:
        url = "http://productpage:9080/productpage"
        overflow = r"cluster\.outbound\|9080\|.*productpage.*upstream_rq_pending_overflow"
        before = shop.stat("sleep", overflow)
        alone = burst(shop, url, connections=1)
        assert alone["statuses"] == {"200": alone["sent"]}, alone
        assert shop.stat("sleep", overflow) == before
        three = burst(shop, url, connections=3)
        refused = three["statuses"].get("503", 0)
        assert three["errors"] == {}
        assert refused > 0
        assert three["statuses"].get("200", 0) + refused == three["sent"]
        assert three["overflowed"] == refused
        assert shop.stat("sleep", overflow) - before == refused
    finally:
        shop.apply("destination-rule-all")
    assert burst(shop, url, connections=3)["statuses"].keys() == {"200"}


def burst(shop: Shop, url: str, connections: int) -> Any:
    """Run the circuit breaker's client in the mesh."""
    module = (sys.executable, "-m", "meltemi.samples.breaker", "--connections", str(connections))
    done = shop.mesh.meltemi("exec", "sleep", "--", *module, "--rounds", "20", "--every", "0.1", url)
    (line,) = (line for line in done.out.splitlines() if line.startswith("{"))
    return json.loads(line)


def test_a_mirror_sees_every_request_and_nobody_sees_the_mirror(shop: Shop) -> None:
    before = len(shop.lines("reviews-v3", "reviews", "/reviews/0"))
    shop.apply("virtual-service-reviews-mirror-v3")
    seen = shop.pages(20)
    assert [one.versions.get("reviews") for one in seen] == ["v1"] * 20
    mirrored: list[str] = []

    def all_there() -> bool:
        mirrored[:] = shop.lines("reviews-v3", "reviews", "/reviews/0")[before:]
        return len(mirrored) >= 20

    meshes.until(all_there, 10, "the mirror has printed every request")
    assert len(mirrored) == 20
    # The copy bears the very host of the request: Istio's default since 1.28, where 1.0 added `-shadow`.
    assert {line.split()[3] for line in mirrored} == {"reviews:9080"}


def test_asking_for_mutual_tls_in_so_many_words_changes_nothing(shop: Shop) -> None:
    strict = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "default"},
        "spec": {"mtls": {"mode": "STRICT"}},
    }
    shop.mesh.apply(strict)
    try:
        shop.wait("peerauthentication/default")
        shop.apply("destination-rule-all-mtls")
        assert Counter(one.answer.status for one in shop.pages(10)) == {200: 10}
    finally:
        shop.mesh.kubectl("delete", "peerauthentication", "default").good()
        shop.apply("destination-rule-all")


@pytest.mark.long
def test_pages_go_on_while_routes_change(shop: Shop) -> None:
    """Under load a change of every route loses no request."""
    problems: list[str] = []

    async def visit(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                answer = await fetch(f"{shop.mesh.hands.ingress}/productpage", limit=20)
            except (OSError, BrokenError, TimeoutError) as error:
                problems.append(repr(error))
            else:
                text = answer.body.decode()
                if answer.status != 200 or "Error fetching" in text or NO_RATINGS in text:
                    problems.append(f"{answer.status} {re.findall(r'status [0-9]+', text)}")

    async def change() -> int:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(visit(stop))
            for name in ("reviews-v3", "reviews-50-v3", "reviews-v2-v3", "all-v1"):
                await asyncio.to_thread(shop.apply, f"virtual-service-{name}")
            stop.set()
        return len(problems)

    assert asyncio.run(change()) == 0, problems[:5]
