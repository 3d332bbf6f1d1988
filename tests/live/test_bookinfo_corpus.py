"""Istio's unchanged networking files of bookinfo, both generations, one by one: file, call, verdict."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.live.books import Shop, bookinfo

from meltemi.ctl.tour import within
from meltemi.samples.http import Answer, fetch

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
GENERATIONS = ("istio-1.0", "istio-1.30")
BASELINE = ("bookinfo-gateway.yaml", "destination-rule-all.yaml", "virtual-service-all-v1.yaml")
REVIEWS = "/api/v1/products/0/reviews"
RATINGS = "/api/v1/products/0/ratings"
DETAILS = "/api/v1/products/0"
PAGE = "/productpage"


@dataclass(frozen=True)
class Seen:
    """One answer through the gateway, and how long it took."""

    answer: Answer
    seconds: float

    @property
    def version(self) -> str:
        """The version of the app behind the product page."""
        hops = [hop.split() for hop in self.answer.headers.get("x-bookinfo-served-by", "").split(",")]
        return hops[1][1] if len(hops) > 1 else ""

    @property
    def text(self) -> str:
        return self.answer.body.decode()


Verdict = Callable[[list[Seen]], bool]


def split(**shares: int) -> Verdict:
    """All answered 200, by these versions in these percentages."""

    def verdict(seen: list[Seen]) -> bool:
        found = Counter(one.version for one in seen)
        good = all(one.answer.status == 200 for one in seen)
        return (
            good
            and set(found) == set(shares)
            and all(
                share == 100 or within(found[version], len(seen), share / 100)
                for version, share in shares.items()
            )
        )

    return verdict


def status(wanted: int, *, least: float = 0.0, most: float = 2.5) -> Verdict:
    """All answered so, in so many seconds."""
    return lambda seen: all(one.answer.status == wanted and least <= one.seconds <= most for one in seen)


def shows(*texts: str, without: tuple[str, ...] = ()) -> Verdict:
    """All are pages that show these texts, and not those."""
    return lambda seen: all(
        one.answer.status == 200
        and all(text in one.text for text in texts)
        and not any(text in one.text for text in without)
        for one in seen
    )


LOST = "Ratings service is currently unavailable"
RED = 'data-color="red"'
NO_BACK_END = shows("<i>v3</i>", LOST, without=(RED,))


@dataclass(frozen=True)
class Call:
    """One line of the table: what is asked, by whom, how often, and what must be seen."""

    path: str
    verdict: Verdict
    user: str = ""
    count: int = 3


# The page needs no other row: it is asked for before each file, by its own generation's gateway.
TABLE: Mapping[str, tuple[Call, ...]] = {
    "bookinfo-gateway.yaml": (
        Call(PAGE, shows("Book Details", "Book Reviews")),
        Call("/api/v1/products", status(200)),
        Call("/logout", status(302)),
        Call("/nowhere", status(404)),
    ),
    # There is no cert-manager here: its route is taken, and nobody is behind it.
    "certmanager-gateway.yaml": (
        Call("/.well-known/acme-challenge/token", status(503)),
        Call(PAGE, shows("Book Reviews")),
    ),
    "destination-rule-all.yaml": (
        Call(PAGE, shows("Book Details", "Book Reviews", without=("data-color",))),
    ),
    "destination-rule-all-mtls.yaml": (Call(PAGE, shows("Book Details", "Book Reviews")),),
    "destination-rule-reviews.yaml": (Call(REVIEWS, split(v1=100)),),
    # Who asks googleapis is answered by its own sidecar (below); the shop does not notice.
    "egress-rule-google-apis.yaml": (Call(PAGE, shows("Book Details", "Book Reviews")),),
    "fault-injection-details-v1.yaml": (Call(DETAILS, status(555)), Call(REVIEWS, split(v1=100))),
    "virtual-service-all-v1.yaml": (
        Call(REVIEWS, split(v1=100), count=20),
        Call(DETAILS, split(v1=100)),
        Call(RATINGS, split(v1=100)),
    ),
    # details v2, ratings v2 and their databases are not to be had here: no pods, so 503.
    "virtual-service-details-v2.yaml": (Call(DETAILS, status(503)), Call(REVIEWS, split(v1=100))),
    "virtual-service-ratings-db.yaml": (Call(RATINGS, status(503)), Call(PAGE, NO_BACK_END)),
    "virtual-service-ratings-mysql.yaml": (Call(RATINGS, status(503)), Call(PAGE, NO_BACK_END)),
    "virtual-service-ratings-mysql-vm.yaml": (Call(RATINGS, status(503)), Call(PAGE, NO_BACK_END)),
    "virtual-service-ratings-test-abort.yaml": (
        Call(RATINGS, status(500), "jason"),
        Call(RATINGS, split(v1=100), "grace"),
    ),
    "virtual-service-ratings-test-delay.yaml": (
        # The product page waits 3 s; the delay is 7 s.
        Call(RATINGS, status(500, least=2.9, most=6), "jason", 1),
        Call(RATINGS, status(200), "grace"),
    ),
    "virtual-service-reviews-50-v3.yaml": (Call(REVIEWS, split(v1=50, v3=50), count=100),),
    "virtual-service-reviews-80-20.yaml": (Call(REVIEWS, split(v1=80, v2=20), count=100),),
    "virtual-service-reviews-90-10.yaml": (Call(REVIEWS, split(v1=90, v2=10), count=150),),
    "virtual-service-reviews-jason-v2-v3.yaml": (
        Call(REVIEWS, split(v2=100), "jason"),
        Call(REVIEWS, split(v3=100), "grace"),
        Call(REVIEWS, split(v3=100)),
    ),
    "virtual-service-reviews-test-v2.yaml": (
        Call(REVIEWS, split(v2=100), "jason"),
        Call(REVIEWS, split(v1=100), "grace"),
        Call(REVIEWS, split(v1=100)),
    ),
    "virtual-service-reviews-v2-v3.yaml": (Call(REVIEWS, split(v2=50, v3=50), count=100),),
    "virtual-service-reviews-v3.yaml": (Call(REVIEWS, split(v3=100), count=20), Call(PAGE, shows(RED))),
}

FILES = sorted(
    (generation, file.name)
    for generation in GENERATIONS
    for file in (CORPUS / generation / "samples" / "bookinfo" / "networking").glob("*.yaml")
)


def read(generation: str, name: str) -> str:
    """Read a file of the corpus as it is."""
    return (CORPUS / generation / "samples" / "bookinfo" / "networking" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """The mesh of this file."""
    if not FILES:
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    with bookinfo("corpus") as made:
        yield made


def ask(shop: Shop, call: Call) -> list[Seen]:
    """Make a table row's calls through the gateway."""
    headers = {"cookie": f"session={call.user}"} if call.user else {}

    async def one(gate: asyncio.Semaphore) -> Seen:
        async with gate:
            began = time.monotonic()
            answer = await fetch(f"{shop.mesh.hands.ingress}{call.path}", headers=headers, limit=20)
            return Seen(answer, time.monotonic() - began)

    async def all_of_them() -> list[Seen]:
        gate = asyncio.Semaphore(4)
        return list(await asyncio.gather(*(one(gate) for _ in range(call.count))))

    return asyncio.run(all_of_them())


def told(seen: list[Seen]) -> str:
    """What was seen, for a failed test's report."""
    return str(Counter((one.answer.status, one.version, round(one.seconds)) for one in seen))


def test_every_file_is_in_the_table() -> None:
    if not FILES:
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    assert {name for _, name in FILES} == set(TABLE)
    assert {generation for generation, _ in FILES} == set(GENERATIONS)


@pytest.mark.parametrize(
    ("generation", "name"),
    [
        pytest.param(
            generation,
            name,
            id=f"{generation}-{name.removesuffix('.yaml')}",
            # The older files say the same in older words; the quick tests run today's.
            marks=[pytest.mark.long] if generation == "istio-1.0" else [],
        )
        for generation, name in FILES or [("none", "none")]
    ],
)
def test_file(shop: Shop, generation: str, name: str) -> None:
    shop.apply_text("\n---\n".join(read(generation, one) for one in BASELINE))
    shop.apply_text(read(generation, name))
    try:
        for call in TABLE[name]:
            seen = ask(shop, call)
            assert call.verdict(seen), (
                f"{call.path} as {call.user or 'nobody'}: {told(seen)}\n{seen[0].text[-1500:]}"
            )
    finally:
        clean(shop, generation, name)


def clean(shop: Shop, generation: str, name: str) -> None:
    """Delete what the next file's baseline does not put back."""
    kept = {key(one) for base in BASELINE for one in yaml.safe_load_all(read(generation, base)) if one}
    for document in yaml.safe_load_all(read(generation, name)):
        if document and key(document) not in kept:
            kind, space, name_ = key(document)
            shop.mesh.kubectl("delete", kind, name_, "-n", space).good()


def key(document: Mapping[str, dict[str, str]]) -> tuple[str, str, str]:
    """Name an object."""
    meta = document["metadata"]
    return str(document["kind"]), meta.get("namespace", "default"), meta["name"]


@pytest.mark.parametrize(("generation", "port"), [("istio-1.0", 443), ("istio-1.30", 80)])
def test_googleapis_out_of_reach_is_answered_503(shop: Shop, generation: str, port: int) -> None:
    """Their sidecar takes the request for the host, wherever it was sent to, and finds nobody there."""
    name = "egress-rule-google-apis.yaml"
    address = shop.mesh.object("pod", "reviews-v1")["status"]["podIP"]
    shop.apply_text(read(generation, name))
    try:
        url = f"http://{address}:{port}/books/v1/volumes"
        asked = (sys.executable, "-m", "meltemi.samples.call", "-H", "host=www.googleapis.com", url)
        said = shop.mesh.meltemi("exec", "sleep", "--", *asked).out
        assert json.loads(said.splitlines()[0]).get("status") == 503, said
    finally:
        clean(shop, generation, name)
