"""Bookinfo's reviews: v1 has no stars, v2 has black ones and v3 red ones, both from ratings.

Environment: `SERVICE_VERSION` (v1), `ENABLE_RATINGS` and `STAR_COLOR` (what the version says unless they are set),
`RATINGS_HOSTNAME`, `RATINGS_SERVICE_PORT`, `SERVICES_DOMAIN`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from meltemi.samples.bookinfo import asking, passing, serving

COLOURS = {"v2": "black", "v3": "red"}
# Ratings of black stars are waited for longer than the product page waits for reviews: the bug that Istio's task
# of fault injection finds. With red stars it is mended.
PATIENCE = {"black": 10.0}
IMPATIENCE = 2.5
UNAVAILABLE = {"error": "Ratings service is currently unavailable"}
TEXTS = {
    "Reviewer1": "Two pairs of twins, one afternoon, and not a single dull line. I laughed until the last page.",
    "Reviewer2": "Great fun from start to end. Those who look for depth will find it in his other plays.",
}


def wants_ratings(env: Mapping[str, str]) -> bool:
    """Say whether this version shows stars."""
    wanted = env.get("ENABLE_RATINGS")
    return env.get("SERVICE_VERSION") in COLOURS if wanted is None else wanted.lower() == "true"


def star_colour(env: Mapping[str, str]) -> str:
    """Give the colour of this version's stars."""
    return env.get("STAR_COLOR") or COLOURS.get(env.get("SERVICE_VERSION", ""), "black")


def written(reviewer: str, ratings: Mapping[str, Any] | None, colour: str) -> dict[str, Any]:
    """Write one review; `ratings` None means that stars are not wanted."""
    review: dict[str, Any] = {"reviewer": reviewer, "text": TEXTS[reviewer]}
    if ratings is not None:
        stars = ratings.get(reviewer)
        review["rating"] = {"stars": stars, "color": colour} if isinstance(stars, int) else UNAVAILABLE
    return review


def application(me: serving.Who, env: Mapping[str, str]) -> web.Application:
    """Build the app."""
    stars, colour = wants_ratings(env), star_colour(env)
    limit = PATIENCE.get(colour, IMPATIENCE)
    url = f"{asking.address('ratings', env)}/ratings/"

    async def reviews(request: web.Request) -> web.Response:
        """Tell the reviews of one product, with stars where this version has them."""
        product = request.match_info["product"]
        ratings: Mapping[str, Any] | None = None
        headers = {}
        if stars:
            outcome = await asking.ask(
                request.app[asking.SESSION], url + product, passing.passed_on(request.headers), limit
            )
            found = outcome.document.get("ratings") if isinstance(outcome.document, dict) else None
            ratings = found if isinstance(found, dict) else {}
            if outcome.served_by:
                headers[serving.SERVED_BY] = ", ".join(outcome.served_by)
        document = {
            "id": product,
            "podname": me.pod,
            "clustername": me.cluster or None,
            "reviews": [written(reviewer, ratings, colour) for reviewer in TEXTS],
        }
        return web.json_response(document, headers=headers)

    app = serving.application(me, web.json_response({"status": "Reviews is healthy"}))
    app.cleanup_ctx.append(asking.client)
    app.router.add_get(r"/reviews/{product:\d+}", reviews)
    return app


if __name__ == "__main__":
    serving.serve(application(serving.who("reviews", os.environ), os.environ))
