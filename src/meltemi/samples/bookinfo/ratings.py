"""Bookinfo's ratings: stars by reviewer, kept in memory.

`SERVICE_VERSION` v1 is always well. Four more misbehave on purpose: v-faulty answers 503 every other time by the
dice, v-delayed waits 7 s every other time, v-unavailable answers 503 for every other minute, and v-unhealthy fails
its health check, too, for every other quarter of an hour. The v2 family keeps its stars in a database; there is
none here, and so it answers 500, as Istio's does without one.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from meltemi.samples.bookinfo import serving

STARS = {"Reviewer1": 5, "Reviewer2": 4}
DELAY = 7.0
PERIODS = {"v-unavailable": 60.0, "v-unhealthy": 900.0}
PRODUCTS = 1000
WITH_DATABASE = ("v2", "v2-mysql", "v2-mysql-vm")


@dataclass
class Mood:
    """How a version feels: its clock (seconds) and dice (0 to 1) are given."""

    version: str
    clock: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random
    born: float = field(init=False)

    def __post_init__(self) -> None:
        self.born = self.clock()

    def unavailable(self) -> bool:
        """Say whether to refuse this time."""
        period = PERIODS.get(self.version)
        if period is not None:
            return int((self.clock() - self.born) // period) % 2 == 1
        return self.version == "v-faulty" and self.dice() <= 0.5

    def delay(self) -> float:
        """Say how long to wait this time, in seconds."""
        return DELAY if self.version == "v-delayed" and self.dice() <= 0.5 else 0.0

    def healthy(self) -> bool:
        """Say whether the health check succeeds."""
        return self.version != "v-unhealthy" or not self.unavailable()


def valid(document: Any) -> bool:
    """Say whether a posted document gives stars by reviewer."""
    return isinstance(document, dict) and all(
        isinstance(stars, int) and not isinstance(stars, bool) and 0 <= stars <= 5
        for stars in document.values()
    )


def numeric(request: web.Request) -> int | None:
    """Read the product's number from the path; None where it is none."""
    product = request.match_info["product"]
    return int(product) if product.isascii() and product.isdecimal() and len(product) < 10 else None


def application(me: serving.Who, mood: Mood) -> web.Application:
    """Build the app; posted ratings live as long as it does."""
    posted: dict[int, dict[str, int]] = {}

    def told(product: int) -> web.Response:
        """Tell the ratings of a product."""
        return web.json_response({"id": product, "ratings": posted.get(product, STARS)})

    async def ratings(request: web.Request) -> web.Response:
        """Tell ratings, as the version's mood lets it."""
        product = numeric(request)
        if product is None:
            return web.json_response({"error": "please provide numeric product ID"}, status=400)
        if mood.version in WITH_DATABASE:
            return web.json_response({"error": "could not connect to ratings database"}, status=500)
        if mood.unavailable():
            return web.json_response({"error": "Service unavailable"}, status=503)
        await asyncio.sleep(mood.delay())
        return told(product)

    async def rate(request: web.Request) -> web.Response:
        """Keep posted ratings instead of the first ones."""
        product = numeric(request)
        if product is None:
            return web.json_response({"error": "please provide numeric product ID"}, status=400)
        try:
            document = await request.json()
        except ValueError:
            document = None
        if not valid(document):
            return web.json_response({"error": "please provide valid ratings JSON"}, status=400)
        if mood.version in WITH_DATABASE:
            return web.json_response(
                {"error": "Post not implemented for database backed ratings"}, status=501
            )
        if product not in posted and len(posted) >= PRODUCTS:
            return web.json_response({"error": f"no room for more than {PRODUCTS} products"}, status=507)
        posted[product] = document
        return told(product)

    async def health(_: web.Request) -> web.Response:
        """Say whether it is well."""
        if mood.healthy():
            return web.json_response({"status": "Ratings is healthy"})
        return web.json_response({"status": "Ratings is not healthy"}, status=500)

    app = serving.application(me)
    app.router.add_get("/health", health)
    app.router.add_get("/ratings/{product}", ratings)
    app.router.add_post("/ratings/{product}", rate)
    return app


if __name__ == "__main__":
    instance = serving.who("ratings", os.environ)
    serving.serve(application(instance, Mood(instance.version)))
