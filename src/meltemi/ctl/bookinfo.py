"""The tour of Istio's first tasks on bookinfo: what is applied, what a visitor of the page must see."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass

from meltemi.ctl import helloworld
from meltemi.ctl.tour import Hands, Observed, Step
from meltemi.samples.bookinfo import manifests, reading

NO_REVIEWS = "Sorry, product reviews are currently unavailable for this book."
NO_RATINGS = "Ratings service is currently unavailable"
CLIENTS = ("helloworld-v1", "sleep", "outsider")
PODS = (*manifests.PODS, *CLIENTS)
SERVICES = tuple(dict.fromkeys(app for app, _, _ in manifests.VERSIONS))
SHIFTED = 200
MIRRORED = 20
PAGE = "/productpage"


@dataclass(frozen=True, slots=True)
class Page:
    """What a visitor got, and after how many seconds."""

    status: int
    text: str
    seconds: float = 0.0

    @property
    def stars(self) -> str:
        """The colour of the stars, `none` without any."""
        return "/".join(sorted(set(reading.read(self.text).stars))) or "none"

    @property
    def reviews(self) -> str:
        """The version of reviews that answered."""
        return reading.read(self.text).version("reviews") or f"status {self.status}"


class Tour:
    """The steps, in order; each leaves the mesh as the next expects it."""

    def __init__(self, hands: Hands, outside_port: int) -> None:
        self._hands = hands
        self._walk = helloworld.Tour(hands, outside_port)
        self._outside = f"http://host.meltemi.internal:{outside_port}/"

    def steps(self) -> tuple[Step, ...]:
        """Give the whole tour."""
        walk = self._walk
        return (
            Step("start bookinfo and three clients", f"{len(PODS)} pods Ready", self._apps),
            Step("ingress: open the product page", "200 from productpage, details, reviews", self._ingress),
            Step("request routing: all v1", "no stars on 10 pages", self._all_v1),
            Step("request routing: jason to v2", "jason black, others none", self._jason),
            Step(
                "fault: 7 s delay of ratings for jason",
                "reviews unavailable after 6 s; others well",
                self._delay,
            ),
            Step("fault: abort of ratings for jason", "ratings unavailable; others well", self._abort),
            Step("traffic shifting: v1 and v3 50/50", f"v3 72 to 128 of {SHIFTED}", self._shift),
            Step("traffic shifting: all v3", "red stars on 10 pages", self._all_v3),
            Step(
                "request timeout: reviews 0.5 s, ratings 2 s slow",
                "reviews unavailable within 2 s",
                self._timeout,
            ),
            Step(
                "circuit breaking: 1 connection, 3 callers", "503s, as many as Envoy's counter", self._breaker
            ),
            Step(
                "mirroring: v1, copied to v3",
                f"{MIRRORED} pages of v1, {MIRRORED} copies at v3",
                self._mirror,
            ),
            Step("mutual TLS: who calls", "spiffe://cluster.local/ns/default/sa/sleep", walk.identity),
            Step("mutual TLS: STRICT", "refused; with sidecar 200", lambda: walk.mtls("STRICT")),
            Step("mutual TLS: PERMISSIVE", "200; with sidecar 200", lambda: walk.mtls("PERMISSIVE")),
            Step("call a host outside, through the sidecar", "200, counted by the sidecar", walk.external),
            Step(f"kill the daemon, {helloworld.HOLD} s down, under load", "0 failed", self._kill),
        )

    def _apply(self, *names: str) -> None:
        """Apply shipped networking files, and wait until every proxy has what they declare."""
        text = "\n---\n".join(manifests.sample(f"{name}.yaml") for name in names)
        told = self._hands.kubectl("apply", "-o", "name", "-f", "-", text=text)
        self._hands.wait_for(*(line.replace(".networking.istio.io", "") for line in told.splitlines()))

    def _page(self, user: str = "") -> Page:
        headers = {"cookie": f"session={user}"} if user else None
        began = time.monotonic()
        (answer,) = self._hands.fetch(PAGE, headers=headers)
        return Page(*answer, time.monotonic() - began)

    def _pages(self, count: int) -> list[Page]:
        return [Page(*answer) for answer in self._hands.fetch(PAGE, count, at_once=6)]

    def _apps(self) -> Observed:
        passed = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        self._hands.apply_document(*manifests.documents(sys.executable, passed))
        wanted = {"helloworld", *CLIENTS}
        self._hands.apply_document(*(d for d in helloworld.documents() if d["metadata"]["name"] in wanted))
        pods = [f"pod/{pod}" for pod in PODS]
        self._hands.meltemi("wait", *pods, "--for=Ready", "--timeout", "90s")
        self._hands.meltemi("wait", *(f"service/{name}" for name in SERVICES))
        return Observed(f"{len(PODS)} pods Ready", ok=True)

    def _ingress(self) -> Observed:
        self._apply("bookinfo-gateway", "destination-rule-all")
        seen = self._page()
        apps = {app: version for app, (version, _) in reading.read(seen.text).answered.items()}
        good = seen.status == 200 and apps.keys() >= {"productpage", "details", "reviews"}
        return Observed(f"{seen.status} from {', '.join(f'{a} {v}' for a, v in apps.items())}", ok=good)

    def _all_v1(self) -> Observed:
        self._apply("virtual-service-all-v1")
        seen = Counter(f"{page.reviews}, stars {page.stars}" for page in self._pages(10))
        return Observed(_told(seen), ok=seen == {"v1, stars none": 10})

    def _jason(self) -> Observed:
        self._apply("virtual-service-reviews-test-v2")
        jason, grace = self._page("jason"), self._page("grace")
        good = (jason.stars, grace.stars) == ("black", "none")
        return Observed(f"jason {jason.stars}, grace {grace.stars}", ok=good)

    def _delay(self) -> Observed:
        self._apply("virtual-service-ratings-test-delay")
        jason, other = self._page("jason"), self._page()
        good = (
            NO_REVIEWS in jason.text
            and 5.5 < jason.seconds < 9
            and other.reviews == "v1"
            and other.seconds < 3
        )
        what = "reviews unavailable" if NO_REVIEWS in jason.text else f"stars {jason.stars}"
        return Observed(f"{what} after {jason.seconds:.1f} s; others {other.seconds:.2f} s", ok=good)

    def _abort(self) -> Observed:
        self._apply("virtual-service-ratings-test-abort")
        jason, other = self._page("jason"), self._page()
        good = NO_RATINGS in jason.text and NO_RATINGS not in other.text and other.reviews == "v1"
        what = "ratings unavailable" if NO_RATINGS in jason.text else f"stars {jason.stars}"
        return Observed(f"{what}; others {other.reviews}", ok=good)

    def _shift(self) -> Observed:
        self._apply("virtual-service-all-v1")
        self._apply("virtual-service-reviews-50-v3")
        seen = Counter(page.reviews for page in self._pages(SHIFTED))
        good = seen["v1"] + seen["v3"] == SHIFTED and 72 <= seen["v3"] <= 128
        return Observed(_told(seen), ok=good)

    def _all_v3(self) -> Observed:
        self._apply("virtual-service-reviews-v3")
        seen = Counter(f"{page.reviews}, stars {page.stars}" for page in self._pages(10))
        return Observed(_told(seen), ok=seen == {"v3, stars red": 10})

    def _timeout(self) -> Observed:
        self._apply("virtual-service-ratings-delay-2s", "virtual-service-reviews-timeout")
        seen = self._page()
        good = NO_REVIEWS in seen.text and seen.seconds < 2
        what = "reviews unavailable" if NO_REVIEWS in seen.text else f"stars {seen.stars}"
        return Observed(f"{what} after {seen.seconds:.1f} s", ok=good)

    def _breaker(self) -> Observed:
        self._apply("virtual-service-all-v1")
        self._apply("destination-rule-breaker")
        before = self._overflows()
        module = ("-m", "meltemi.samples.breaker", "--connections", "3", "--rounds", "20", "--every", "0.1")
        told = self._hands.meltemi(
            "exec", "sleep", "--", sys.executable, *module, "http://productpage:9080/productpage"
        )
        report = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
        counted = self._overflows() - before
        self._apply("destination-rule-all")
        refused = report["statuses"].get("503", 0)
        served = report["statuses"].get("200", 0)
        good = counted == refused > 0 and served > 0 and not report["errors"]
        return Observed(f"{served} served, {refused} refused, Envoy counted {counted}", ok=good)

    def _overflows(self) -> int:
        name = r"cluster\.outbound\|9080\|.*productpage.*upstream_rq_pending_overflow"
        text = self._hands.envoy("default", "sleep", f"stats?filter={name}")
        return sum(int(line.rsplit(": ", 1)[1]) for line in text.splitlines() if ": " in line)

    def _mirror(self) -> Observed:
        before = self._copies()
        self._apply("virtual-service-reviews-mirror-v3")
        seen = Counter(page.reviews for page in self._pages(MIRRORED))
        deadline = time.monotonic() + 10
        # The copies are on their way when the page is there already; nothing answers for them.
        while (copies := self._copies() - before) < MIRRORED and time.monotonic() < deadline:
            time.sleep(0.2)
        self._apply("virtual-service-all-v1")
        return Observed(
            f"{_told(seen)}; {copies} copies at v3", ok=seen == {"v1": MIRRORED} and copies == MIRRORED
        )

    def _copies(self) -> int:
        said = self._hands.meltemi("logs", "reviews-v3", "-c", "reviews", "--tail", "10000")
        return sum(" /reviews/0 " in line for line in said.splitlines())

    def _kill(self) -> Observed:
        load = helloworld.Load("http://productpage:9080/api/v1/products", self._outside, PAGE, rate=100)
        return helloworld.kill_under_load(self._hands, load)


def _told(seen: Counter[str]) -> str:
    return "; ".join(f"{count} of {what}" for what, count in sorted(seen.items()))
