"""Reviews, ratings and details: versions, colours, limits, and what they say when something is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from aiohttp import web
from tests.samples.conftest import Client, Fake, Start

from meltemi.samples.bookinfo import asking, details, ratings, reviews, serving

RATED = {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}


def reviews_app(fake: Fake, **env: str) -> web.Application:
    version = env.get("SERVICE_VERSION", "v1")
    return reviews.application(serving.Who("reviews", version, "pod"), {**fake.env("ratings"), **env})


async def told(client: Client, headers: dict[str, str] | None = None) -> list[Any]:
    response = await client.get("/reviews/0", headers=headers)
    assert response.status == 200
    document = await response.json()
    assert (document["id"], document["podname"]) == ("0", "pod")
    return [review.get("rating") for review in document["reviews"]]


async def test_v1_has_no_stars_and_asks_nobody(start: Start) -> None:
    fake = await start.fake(Fake(RATED))
    assert await told(await start.app(reviews_app(fake, SERVICE_VERSION="v1"))) == [None, None]
    assert fake.asked == []


@pytest.mark.parametrize(
    ("env", "colour"),
    [
        ({"SERVICE_VERSION": "v2"}, "black"),
        ({"SERVICE_VERSION": "v3"}, "red"),
        ({"ENABLE_RATINGS": "true"}, "black"),
        ({"ENABLE_RATINGS": "true", "STAR_COLOR": "green"}, "green"),
    ],
)
async def test_stars_have_the_versions_colour(start: Start, env: dict[str, str], colour: str) -> None:
    fake = await start.fake(Fake(RATED))
    client = await start.app(reviews_app(fake, **env))
    assert await told(client) == [{"stars": 5, "color": colour}, {"stars": 4, "color": colour}]
    assert fake.asked[0][0] == "/ratings/0"


async def test_ratings_can_be_switched_off_in_any_version(start: Start) -> None:
    fake = await start.fake(Fake(RATED))
    client = await start.app(reviews_app(fake, SERVICE_VERSION="v2", ENABLE_RATINGS="false"))
    assert await told(client) == [None, None]


@pytest.mark.parametrize("document", [None, [], {"ratings": None}, {"ratings": {"Reviewer1": "many"}}])
async def test_what_is_no_rating_is_unavailable(start: Start, document: Any) -> None:
    fake = await start.fake(Fake(document))
    client = await start.app(reviews_app(fake, SERVICE_VERSION="v3"))
    assert await told(client) == [{"error": "Ratings service is currently unavailable"}] * 2


@pytest.mark.parametrize("fault", [{"status": 500}, {"breaks": True}, {"after": 5.0}])
async def test_a_fault_of_ratings_is_told_and_not_retried(
    start: Start, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "IMPATIENCE", 0.05)
    fake = await start.fake(Fake(RATED, **fault))
    client = await start.app(reviews_app(fake, SERVICE_VERSION="v3"))
    assert await told(client) == [{"error": "Ratings service is currently unavailable"}] * 2
    assert len(fake.asked) == 1


def test_black_stars_are_waited_for_longer_than_the_page_waits() -> None:
    assert (reviews.PATIENCE["black"], reviews.IMPATIENCE) == (10.0, 2.5)


async def test_reviews_pass_on_the_user_and_the_trace(start: Start) -> None:
    fake = await start.fake(Fake(RATED))
    client = await start.app(reviews_app(fake, SERVICE_VERSION="v2"))
    await told(client, {"end-user": "jason", "x-b3-traceid": "1", "cookie": "session=jason", "x-own": "2"})
    heard = fake.asked[0][1]
    assert (heard["end-user"], heard["x-b3-traceid"], heard["cookie"]) == ("jason", "1", "session=jason")
    assert "x-own" not in heard


async def test_reviews_of_no_number_are_unknown(start: Start) -> None:
    client = await start.app(reviews_app(Fake(), SERVICE_VERSION="v1"))
    assert (await client.get("/reviews/x")).status == 404
    assert await (await client.get("/health")).json() == {"status": "Reviews is healthy"}


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, "http://ratings:9080"),
        ({"SERVICES_DOMAIN": "ns.svc"}, "http://ratings.ns.svc:9080"),
        ({"RATINGS_HOSTNAME": "stars", "RATINGS_SERVICE_PORT": "81"}, "http://stars:81"),
    ],
)
def test_where_a_service_is(env: dict[str, str], wanted: str) -> None:
    assert asking.address("ratings", env) == wanted


class Clock:
    """A clock and dice that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rolled = 0.0

    def mood(self, version: str) -> ratings.Mood:
        return ratings.Mood(version, lambda: self.now, lambda: self.rolled)


async def ratings_client(start: Start, mood: ratings.Mood) -> Client:
    return await start.app(ratings.application(serving.Who("ratings", mood.version, "pod"), mood))


async def test_ratings_are_told_and_can_be_posted(start: Start) -> None:
    client = await ratings_client(start, Clock().mood("v1"))
    assert await (await client.get("/ratings/0")).json() == RATED
    posted = await client.post("/ratings/7", json={"Reviewer1": 1})
    assert (posted.status, await posted.json()) == (200, {"id": 7, "ratings": {"Reviewer1": 1}})
    assert (await (await client.get("/ratings/7")).json())["ratings"] == {"Reviewer1": 1}
    assert await (await client.get("/ratings/0")).json() == RATED


@pytest.mark.parametrize("body", ["{", "[]", '{"Reviewer1": "5"}', '{"Reviewer1": 6}', '{"Reviewer1": true}'])
async def test_what_are_no_ratings_is_refused(start: Start, body: str) -> None:
    client = await ratings_client(start, Clock().mood("v1"))
    response = await client.post("/ratings/0", data=body)
    assert (response.status, await response.json()) == (400, {"error": "please provide valid ratings JSON"})


@pytest.mark.parametrize("method", ["get", "post"])
async def test_ratings_want_a_number(start: Start, method: str) -> None:
    client = await ratings_client(start, Clock().mood("v1"))
    response = await client.request(method, "/ratings/abc")
    assert (response.status, await response.json()) == (400, {"error": "please provide numeric product ID"})


async def test_posted_ratings_have_a_bound(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "PRODUCTS", 1)
    client = await ratings_client(start, Clock().mood("v1"))
    assert (await client.post("/ratings/1", json={})).status == 200
    assert (await client.post("/ratings/2", json={})).status == 507
    assert (await client.post("/ratings/1", json={"Reviewer1": 2})).status == 200


@pytest.mark.parametrize("version", ["v2", "v2-mysql", "v2-mysql-vm"])
async def test_ratings_of_a_database_say_that_there_is_none(start: Start, version: str) -> None:
    client = await ratings_client(start, Clock().mood(version))
    response = await client.get("/ratings/0")
    assert (response.status, await response.json()) == (
        500,
        {"error": "could not connect to ratings database"},
    )
    assert (await client.post("/ratings/0", json={"Reviewer1": 1})).status == 501
    assert (await client.get("/health")).status == 200


async def test_v_faulty_fails_by_the_dice(start: Start) -> None:
    clock = Clock()
    client = await ratings_client(start, clock.mood("v-faulty"))
    response = await client.get("/ratings/0")
    assert (response.status, await response.json()) == (503, {"error": "Service unavailable"})
    clock.rolled = 0.9
    assert (await client.get("/ratings/0")).status == 200
    assert (await client.get("/health")).status == 200


def test_v_delayed_waits_by_the_dice() -> None:
    clock = Clock()
    mood = clock.mood("v-delayed")
    assert mood.delay() == 7.0
    clock.rolled = 0.9
    assert mood.delay() == 0.0
    assert not mood.unavailable()


def test_the_dice_are_fair() -> None:
    mood = ratings.Mood("v-faulty")
    seen = Counter(mood.unavailable() for _ in range(1000))
    assert 400 < seen[True] < 600


async def test_v_unavailable_refuses_every_other_minute_and_stays_healthy(start: Start) -> None:
    clock = Clock()
    client = await ratings_client(start, clock.mood("v-unavailable"))
    seen = []
    for _ in range(4):
        seen.append((await client.get("/ratings/0")).status)
        assert (await client.get("/health")).status == 200
        clock.now += 60
    assert seen == [200, 503, 200, 503]


async def test_v_unhealthy_fails_its_check_every_other_quarter_of_an_hour(start: Start) -> None:
    clock = Clock()
    client = await ratings_client(start, clock.mood("v-unhealthy"))
    seen = []
    for _ in range(3):
        seen.append(((await client.get("/health")).status, (await client.get("/ratings/0")).status))
        clock.now += 900
    assert seen == [(200, 200), (500, 503), (200, 200)]


async def details_client(start: Start, **env: str) -> Client:
    return await start.app(details.application(serving.Who("details", "v1", "pod"), env))


async def test_details_v1_knows_by_heart(start: Start) -> None:
    client = await details_client(start)
    document = await (await client.get("/details/3")).json()
    assert (document["id"], document["ISBN-10"], document["year"]) == (3, "1234567890", 1595)
    response = await client.get("/details/three")
    assert (response.status, await response.json()) == (400, {"error": "please provide numeric product id"})
    assert await (await client.get("/health")).json() == {"status": "Details is healthy"}


VOLUME = {
    "authors": ["William Shakespeare"],
    "publishedDate": "2002",
    "printType": "BOOK",
    "pageCount": 64,
    "publisher": "Dover",
    "language": "en",
    "industryIdentifiers": [
        {"type": "ISBN_10", "identifier": "0486424618"},
        {"type": "ISBN_13", "identifier": "9780486424613"},
    ],
}


async def outside(start: Start, fake: Fake) -> Client:
    service = await start.fake(fake)
    return await details_client(
        start,
        ENABLE_EXTERNAL_BOOK_SERVICE="true",
        DO_NOT_ENCRYPT="true",
        BOOK_SERVICE=f"127.0.0.1:{service.port}",
    )


async def test_details_v2_looks_the_book_up(start: Start) -> None:
    fake = Fake({"items": [{"volumeInfo": VOLUME}]})
    client = await outside(start, fake)
    document = await (await client.get("/details/0", headers={"x-request-id": "r", "cookie": "no=1"})).json()
    assert document["ISBN-13"] == "9780486424613"
    assert (document["type"], document["language"], document["pages"]) == ("paperback", "English", 64)
    ((path, heard),) = fake.asked
    assert path == "/books/v1/volumes?q=isbn:0486424618"
    assert heard["x-request-id"] == "r"
    assert "cookie" not in heard


@pytest.mark.parametrize(
    "fault", [{"document": {"items": []}}, {"document": "?"}, {"breaks": True}, {"status": 503}]
)
async def test_details_v2_says_when_the_book_service_does_not_help(
    start: Start, fault: dict[str, Any]
) -> None:
    fake = Fake(**fault)
    response = await (await outside(start, fake)).get("/details/0")
    assert response.status == 502
    assert (await response.json())["error"]
    assert len(fake.asked) == 1


async def test_every_answer_says_who_gave_it_and_is_printed(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    client = await ratings_client(start, Clock().mood("v1"))
    response = await client.get("/ratings/0", headers={"host": "ratings-shadow:9080", "end-user": "jason"})
    assert response.headers["x-bookinfo-served-by"] == "ratings v1 pod"
    await client.get("/health")
    assert (await client.get("/nowhere")).headers["x-bookinfo-served-by"] == "ratings v1 pod"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "GET /ratings/0 200 ratings-shadow:9080 jason"
    assert [line.split()[1] for line in lines] == ["/ratings/0", "/nowhere"]
