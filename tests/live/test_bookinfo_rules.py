"""The parts of VirtualService and DestinationRule that Istio's tasks use beyond their files, on bookinfo."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.live import meshes
from tests.live.books import Shop, bookinfo

from meltemi.samples.bookinfo import manifests
from meltemi.samples.http import Answer, fetch

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(200)]

REVIEWS = "http://reviews:9080/reviews/0"
RATINGS = "http://ratings:9080/ratings/0"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """A mesh with bookinfo, and a second pod of ratings that answers 503 every other time."""
    with bookinfo("rules") as made:
        account = "bookinfo-ratings"
        pod = manifests.pod("ratings", "v-faulty", sys.executable, {}, namespace="default", account=account)
        made.mesh.put(pod)
        made.mesh.ready("ratings-v-faulty")
        yield made


@pytest.fixture(autouse=True)
def as_before(shop: Shop) -> None:
    """Each test begins with everything at v1."""
    shop.apply("bookinfo-gateway", "destination-rule-all", "virtual-service-all-v1")


def virtual_service(host: str, *rules: dict[str, Any]) -> dict[str, Any]:
    spec = {"hosts": [host], "http": list(rules)}
    return networking("VirtualService", host, spec)


def networking(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def to(host: str, subset: str = "") -> dict[str, Any]:
    return {"route": [{"destination": {"host": host, **({"subset": subset} if subset else {})}}]}


def apply(shop: Shop, *documents: dict[str, Any]) -> None:
    shop.apply_text("\n---\n".join(json.dumps(document) for document in documents))


def calls(shop: Shop, url: str, count: int = 1, **headers: str) -> list[dict[str, Any]]:
    """Ask from the client in the mesh."""
    given = [part for name, value in headers.items() for part in ("-H", f"{name.replace('_', '-')}={value}")]
    asked = (sys.executable, "-m", "meltemi.samples.call", "-n", str(count), *given, url)
    out = shop.mesh.meltemi("exec", "sleep", "--", *asked).out
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert len(found) == count, out
    return found


def versions(answers: list[dict[str, Any]]) -> Counter[str]:
    """Which versions answered first, or the status where it was not 200."""
    return Counter(
        one["headers"]["x-bookinfo-served-by"].split()[1]
        if one.get("status") == 200
        else str(one.get("status"))
        for one in answers
    )


def get(shop: Shop, path: str, **headers: str) -> Answer:
    """Ask through the gateway."""
    return asyncio.run(fetch(f"{shop.mesh.hands.ingress}{path}", headers=headers))


def gateway_rules(*rules: dict[str, Any]) -> dict[str, Any]:
    spec = {"hosts": ["*"], "gateways": ["bookinfo-gateway"], "http": list(rules)}
    return networking("VirtualService", "bookinfo", spec)


PRODUCTPAGE = {"route": [{"destination": {"host": "productpage", "port": {"number": 9080}}}]}


def test_rewrite_redirect_and_direct_answers(shop: Shop) -> None:
    apply(
        shop,
        gateway_rules(
            {"match": [{"uri": {"exact": "/book"}}], "rewrite": {"uri": "/productpage"}, **PRODUCTPAGE},
            {"match": [{"uri": {"prefix": "/api/v9/"}}], "rewrite": {"uri": "/api/v1/"}, **PRODUCTPAGE},
            {
                "match": [{"uri": {"regex": "/old/.*"}}],
                "redirect": {"uri": "/book", "authority": "books.example", "redirectCode": 308},
            },
            {
                "match": [{"uri": {"prefix": "/gone"}}],
                "directResponse": {"status": 410, "body": {"string": "x"}},
            },
        ),
    )
    assert b"<title>Simple Bookstore App</title>" in get(shop, "/book").body
    assert json.loads(get(shop, "/api/v9/products").body)[0]["id"] == 0
    moved = get(shop, "/old/page")
    assert (moved.status, moved.headers["location"]) == (308, "http://books.example/book")
    gone = get(shop, "/gone/away")
    assert (gone.status, gone.body) == (410, b"x")
    assert get(shop, "/productpage").status == 404


def test_headers_are_matched_set_added_and_removed(shop: Shop) -> None:
    spec = {
        "match": [{"headers": {"x-wanted": {"prefix": "yes"}}, "method": {"exact": "GET"}}],
        "headers": {
            "request": {"set": {"end-user": "grace"}, "remove": ["x-unwanted"]},
            "response": {"set": {"x-set": "1"}, "add": {"x-added": "2"}, "remove": ["x-bookinfo-served-by"]},
        },
        **to("reviews", "v2"),
    }
    apply(shop, virtual_service("reviews", spec, to("reviews", "v1")))
    (answer,) = calls(shop, REVIEWS, x_wanted="yes-please", end_user="jason")
    assert answer["status"] == 200
    assert (answer["headers"]["x-set"], answer["headers"]["x-added"]) == ("1", "2")
    assert "x-bookinfo-served-by" not in answer["headers"]
    assert json.loads(answer["body"])["podname"] == "reviews-v2"
    assert shop.lines("reviews-v2", "reviews", "/reviews/0")[-1].endswith(" grace")
    (other,) = calls(shop, REVIEWS, x_wanted="no")
    assert versions([other]) == {"v1": 1}
    assert "x-set" not in other["headers"]


def test_conditions_on_source_query_and_absence(shop: Shop) -> None:
    rules = (
        {"match": [{"queryParams": {"v": {"exact": "3"}}}], **to("reviews", "v3")},
        {
            "match": [{"sourceLabels": {"app": "sleep"}, "withoutHeaders": {"x-no": {}}}],
            **to("reviews", "v2"),
        },
        to("reviews", "v1"),
    )
    apply(shop, virtual_service("reviews", *rules))
    assert versions(calls(shop, f"{REVIEWS}?v=3", 3)) == {"v3": 3}
    assert versions(calls(shop, REVIEWS, 3)) == {"v2": 3}
    assert versions(calls(shop, REVIEWS, 3, x_no="1")) == {"v1": 3}
    # The product page is not `sleep`.
    assert shop.page().versions["reviews"] == "v1"


def test_retries_mend_what_is_faulty_every_other_time(shop: Shop) -> None:
    subset = {"name": "faulty", "labels": {"version": "v-faulty"}}
    apply(shop, networking("DestinationRule", "ratings", {"host": "ratings", "subsets": [subset]}))
    none = {**to("ratings", "faulty"), "retries": {"attempts": 0}}
    apply(shop, virtual_service("ratings", none))
    without = versions(calls(shop, RATINGS, 60))
    assert without["503"] >= 10
    before = len(shop.lines("ratings-v-faulty", "ratings", "/ratings/0"))
    many = {**to("ratings", "faulty"), "retries": {"attempts": 15, "perTryTimeout": "2s", "retryOn": "5xx"}}
    apply(shop, virtual_service("ratings", many))
    assert versions(calls(shop, RATINGS, 40)) == {"v-faulty": 40}
    assert len(shop.lines("ratings-v-faulty", "ratings", "/ratings/0")) - before > 45


def test_outlier_detection_ejects_the_faulty_pod(shop: Shop) -> None:
    policy = {
        "loadBalancer": {"simple": "ROUND_ROBIN"},
        "outlierDetection": {
            "consecutive5xxErrors": 1,
            "interval": "0.2s",
            "baseEjectionTime": "3m",
            "maxEjectionPercent": 100,
        },
    }
    apply(shop, networking("DestinationRule", "ratings", {"host": "ratings", "trafficPolicy": policy}))
    apply(shop, virtual_service("ratings", {**to("ratings"), "retries": {"attempts": 0}}))
    seen = versions(calls(shop, RATINGS, 40))
    assert seen["v1"] >= 20
    assert seen["503"] <= 2, seen
    assert versions(calls(shop, RATINGS, 20)) == {"v1": 20}


def test_round_robin_takes_turns_and_a_hash_sticks(shop: Shop) -> None:
    apply(shop, virtual_service("reviews", to("reviews")))
    in_turn = {"host": "reviews", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}}
    apply(shop, networking("DestinationRule", "reviews", in_turn))
    assert versions(calls(shop, REVIEWS, 30)) == {"v1": 10, "v2": 10, "v3": 10}
    by_user = {"loadBalancer": {"consistentHash": {"httpHeaderName": "end-user"}}}
    apply(shop, networking("DestinationRule", "reviews", {"host": "reviews", "trafficPolicy": by_user}))
    users = {user: versions(calls(shop, REVIEWS, 6, end_user=user)) for user in ("jason", "grace", "ada")}
    assert [len(seen) for seen in users.values()] == [1, 1, 1], users
    assert all(sum(seen.values()) == 6 and not set(seen) & {"503"} for seen in users.values())


def test_a_request_does_not_set_its_own_limit(shop: Shop) -> None:
    """A sidecar takes `x-envoy-upstream-rq-timeout-ms` from nobody: Istio's default (its flag is an exception)."""
    shop.apply("virtual-service-reviews-v2", "virtual-service-ratings-delay-2s")
    assert versions(calls(shop, REVIEWS, x_envoy_upstream_rq_timeout_ms="200")) == {"v2": 1}


def test_a_share_of_requests_is_delayed_or_aborted_or_mirrored(shop: Shop) -> None:
    half = {"percentage": {"value": 50}}
    fault = {**to("ratings", "v1"), "fault": {"abort": {**half, "httpStatus": 418}}}
    apply(shop, virtual_service("ratings", fault))
    seen = versions(calls(shop, RATINGS, 100))
    assert 28 <= seen["418"] <= 72
    assert seen["418"] + seen["v1"] == 100
    before = len(shop.lines("reviews-v3", "reviews", "/reviews/0"))
    mirrors = [{"destination": {"host": "reviews", "subset": "v3"}, **half}]
    apply(shop, virtual_service("reviews", {**to("reviews", "v1"), "mirrors": mirrors}))
    assert versions(calls(shop, REVIEWS, 100)) == {"v1": 100}

    def copied() -> int:
        return len(shop.lines("reviews-v3", "reviews", "/reviews/0")) - before

    meshes.until(lambda: copied() >= 28, 10, "half of the requests were copied")
    assert copied() <= 72


def test_an_app_that_binds_only_the_loopback_is_served(shop: Shop) -> None:
    pod = manifests.pod(
        "ratings",
        "v-local",
        sys.executable,
        {"BIND": "127.0.0.1"},
        namespace="default",
        account="bookinfo-ratings",
    )
    shop.mesh.put(pod)
    try:
        shop.mesh.ready("ratings-v-local")
        subset = {"name": "local", "labels": {"version": "v-local"}}
        apply(shop, networking("DestinationRule", "ratings", {"host": "ratings", "subsets": [subset]}))
        apply(shop, virtual_service("ratings", to("ratings", "local")))
        assert versions(calls(shop, RATINGS, 3)) == {"v-local": 3}
    finally:
        shop.mesh.kubectl("delete", "pod", "ratings-v-local", "--wait=false").good()


def test_a_change_shows_at_once_when_it_is_reconciled(shop: Shop) -> None:
    """`wait` means what it says: the very next request is routed by the new rules."""
    for version in ("v2", "v3", "v1", "v3", "v2"):
        apply(shop, virtual_service("reviews", to("reviews", version)))
        assert versions(calls(shop, REVIEWS, 5)) == {version: 5}
