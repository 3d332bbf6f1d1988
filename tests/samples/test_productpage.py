"""The product page: what it asks and passes on, how long it waits, what it shows."""

from __future__ import annotations

import pytest
from tests.samples.conftest import Client, Fake, Start

from meltemi.samples.bookinfo import page, productpage, reviews, serving
from meltemi.samples.bookinfo.reading import read

ME = serving.Who("productpage", "v1", "productpage-pod")
STARRED = {
    "id": "0",
    "reviews": [
        {"reviewer": "R1", "text": "good <script>", "rating": {"stars": 5, "color": "red"}},
        {"reviewer": "R2", "text": "fine", "rating": {"error": reviews.UNAVAILABLE["error"]}},
        {"reviewer": "R3", "text": "plain"},
    ],
}
DETAILS = {
    "id": 0,
    "author": "W. S.",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "P & Q",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}


class Shop:
    """A product page with faked services."""

    def __init__(self, details: Fake, reviews: Fake, ratings: Fake) -> None:
        self.details, self.reviews, self.ratings = details, reviews, ratings

    async def open(self, start: Start, **env: str) -> Client:
        """Start all of it."""
        for name in ("details", "reviews", "ratings"):
            env |= (await start.fake(getattr(self, name))).env(name)
        return await start.app(productpage.application(ME, env))


def shop() -> Shop:
    return Shop(Fake(DETAILS), Fake(STARRED), Fake({"id": 0, "ratings": {"Reviewer1": 5}}))


async def test_the_page_shows_details_and_reviews_with_stars_of_their_colour(start: Start) -> None:
    client = await shop().open(start)
    response = await client.get("/productpage")
    text = await response.text()
    assert response.status == 200
    assert "<title>Simple Bookstore App</title>" in text
    assert "1234567890" in text
    assert "P &amp; Q" in text
    assert "good &lt;script&gt;" in text
    assert text.count('class="stars"') == 1
    assert 'data-color="red" style="color: red"' in text
    assert "★★★★★<" in text
    assert text.count("Ratings service is currently unavailable") == 1


async def test_the_page_needs_nothing_from_elsewhere(start: Start) -> None:
    text = await (await (await shop().open(start)).get("/productpage")).text()
    assert "<script" not in text
    assert 'src="' not in text
    assert 'rel="stylesheet"' not in text


async def test_tracing_and_session_are_passed_on_and_nothing_else(start: Start) -> None:
    made = shop()
    client = await made.open(start)
    sent = {
        name: f"value-of-{name}" for name in ("x-request-id", "x-b3-traceid", "x-b3-sampled", "traceparent")
    }
    sent |= {"tracestate": "a=b", "authorization": "Bearer x", "user-agent": "me", "x-ot-span-context": "o"}
    await client.get("/productpage", headers={**sent, "x-own": "no", "x-envoy-attempt-count": "1"})
    for fake in (made.details, made.reviews):
        ((_, heard),) = fake.asked
        assert {name: heard.get(name) for name in sent} == sent
        assert "x-own" not in heard
        assert "x-envoy-attempt-count" not in heard


async def test_who_signs_in_is_the_end_user_until_signing_out(start: Start) -> None:
    made = shop()
    client = await made.open(start)
    response = await client.post("/login", data={"username": "jason", "passwd": ""}, allow_redirects=False)
    assert (response.status, response.headers["location"]) == (302, "productpage")
    assert "jason" in await (await client.get("/productpage")).text()
    assert made.details.asked[-1][1]["end-user"] == "jason"
    assert made.reviews.asked[-1][1]["end-user"] == "jason"
    assert "session=jason" in made.reviews.asked[-1][1]["cookie"]
    assert (await client.get("/logout", allow_redirects=False)).status == 302
    await client.get("/productpage")
    assert "end-user" not in made.reviews.asked[-1][1]


async def test_a_visitor_cannot_claim_to_be_someone_by_a_header(start: Start) -> None:
    made = shop()
    client = await made.open(start)
    await client.get("/productpage", headers={"end-user": "jason"})
    assert "end-user" not in made.reviews.asked[-1][1]


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "a" * 65, "\x00"])
async def test_a_name_that_no_header_can_bear_is_refused(start: Start, name: str) -> None:
    made = shop()
    client = await made.open(start)
    response = await client.post("/login", params={"username": name}, allow_redirects=False)
    assert response.status == 400
    await client.get("/productpage", headers={"cookie": "session=a%0D%0Ax-evil%3A%201"})
    assert "end-user" not in made.details.asked[-1][1]
    assert "x-evil" not in made.details.asked[-1][1]


async def test_a_name_is_shown_as_text(start: Start) -> None:
    client = await shop().open(start)
    await client.post("/login", data={"username": "<b>jörg"})
    assert "&lt;b&gt;jörg" in await (await client.get("/productpage")).text()


async def test_slow_reviews_are_asked_twice_and_then_lost(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(productpage, "LIMIT", 0.05)
    made = shop()
    made.reviews.after = 5.0
    client = await made.open(start)
    response = await client.get("/productpage")
    text = await response.text()
    assert response.status == 200
    assert len(made.reviews.asked) == 2
    assert "Error fetching product reviews!" in text
    assert "Sorry, product reviews are currently unavailable for this book." in text
    assert "asked twice" in text


def test_the_limit_is_the_documented_one() -> None:
    assert productpage.LIMIT == 3.0


@pytest.mark.parametrize("service", ["details", "ratings"])
async def test_a_broken_connection_is_told_and_not_retried(start: Start, service: str) -> None:
    made = shop()
    broken: Fake = getattr(made, service)
    broken.breaks = True
    client = await made.open(start)
    path = "/api/v1/products/0" + ("" if service == "details" else f"/{service}")
    response = await client.get(path)
    assert response.status == 500
    assert await response.json() == {
        "error": f"Sorry, product {service} are currently unavailable for this book."
    }
    assert len(broken.asked) == 1


async def test_lost_details_are_told_and_reviews_shown(start: Start) -> None:
    made = shop()
    made.details.status = 555
    client = await made.open(start)
    text = await (await client.get("/productpage")).text()
    assert "Error fetching product details!" in text
    assert "Sorry, product details are currently unavailable for this book." in text
    assert "Book Reviews" in text
    seen = read(text)
    assert (seen.lost, seen.details_lost, seen.reviews_lost) == (
        {"details": 555},
        True,
        False,
    )
    assert (await client.get("/api/v1/products/0")).status == 555


async def test_the_api(start: Start) -> None:
    made = shop()
    client = await made.open(start)
    (product,) = await (await client.get("/api/v1/products")).json()
    assert (product["id"], product["title"]) == (0, "The Comedy of Errors")
    assert await (await client.get("/api/v1/products/0")).json() == DETAILS
    assert await (await client.get("/api/v1/products/0/reviews")).json() == STARRED
    assert (await (await client.get("/api/v1/products/0/ratings")).json())["ratings"] == {"Reviewer1": 5}
    assert (await client.get("/api/v1/products/0/details")).status == 404
    assert (await client.get("/api/v1/products/0/prices")).status == 404
    await client.get("/api/v1/products/a%2F..%2Fb/ratings")
    assert made.ratings.asked[-1][0] == "/ratings/a%2F..%2Fb"


async def test_health_front_page_icon_and_counters(start: Start) -> None:
    client = await shop().open(start)
    assert await (await client.get("/health")).text() == "Product page is healthy"
    assert "Who asks whom" in await (await client.get("/")).text()
    assert (await client.get("/static/bookinfo.svg")).content_type == "image/svg+xml"
    await client.get("/productpage")
    await client.get("/productpage")
    text = await (await client.get("/metrics")).text()
    assert 'request_result_total{destination_app="reviews",response_code="200"} 2' in text


async def test_flooding_asks_reviews_so_many_times_more(start: Start) -> None:
    made = shop()
    client = await made.open(start, FLOOD_FACTOR="4")
    await client.get("/productpage")
    assert (len(made.details.asked), len(made.reviews.asked)) == (1, 5)


async def test_one_visitors_cookies_do_not_reach_anothers_request(start: Start) -> None:
    made = shop()
    client = await made.open(start)
    await client.get("/productpage", headers={"cookie": "session=jason; secret=1"})
    await client.get("/productpage")
    assert "secret=1" in made.reviews.asked[0][1]["cookie"]
    assert "cookie" not in made.reviews.asked[1][1]


async def test_the_page_tells_which_version_and_pod_answered(start: Start) -> None:
    ratings = await start.fake(Fake({"id": 0, "ratings": {"Reviewer1": 1, "Reviewer2": 2}}))
    instance = serving.Who("reviews", "v2", "reviews-pod")
    behind = await start.app(
        reviews.application(instance, {"SERVICE_VERSION": "v2", **ratings.env("ratings")})
    )
    details = await start.fake(Fake(DETAILS))
    env = {"REVIEWS_HOSTNAME": "127.0.0.1", "REVIEWS_SERVICE_PORT": str(behind.port)}
    client = await start.app(productpage.application(ME, {**env, **details.env("details")}))
    text = await (await client.get("/productpage")).text()
    assert "<b>productpage</b> <i>v1</i> <code>productpage-pod</code>" in text
    assert "<b>reviews</b> <i>v2</i> <code>reviews-pod</code>" in text
    assert 'data-color="black"' in text
    seen = read(text)
    assert seen.answered == {"productpage": ("v1", "productpage-pod"), "reviews": ("v2", "reviews-pod")}
    assert (seen.stars, seen.version("reviews"), seen.version("details")) == (("black", "black"), "v2", "")
    assert (seen.lost, seen.details_lost, seen.reviews_lost, seen.ratings_lost) == ({}, False, False, False)
    assert "★☆☆☆☆" in text


def test_the_product_is_documented_html() -> None:
    assert set(page.PRODUCTS[0].document()) == {"id", "title", "descriptionHtml"}
