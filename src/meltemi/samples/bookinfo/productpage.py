"""Bookinfo's front door: one page and a small API, from what details and reviews tell.

Environment: `SERVICE_VERSION` (v1), `DETAILS_HOSTNAME`, `REVIEWS_HOSTNAME`, `RATINGS_HOSTNAME`, their
`..._SERVICE_PORT`, `SERVICES_DOMAIN`, and `FLOOD_FACTOR` (0): how many more times a page asks for reviews, in vain.

The session is the name that a visitor gave: there are no passwords, so a signature would protect nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote, unquote

from aiohttp import web

from meltemi.samples.bookinfo import asking, page, passing, serving
from meltemi.samples.bookinfo.asking import Outcome

LIMIT = 3.0
SESSION_COOKIE = "session"
LONGEST_NAME = 64
LOST = {"details": page.DETAILS_LOST, "reviews": page.REVIEWS_LOST, "ratings": page.RATINGS_LOST}


def user_of(request: web.Request) -> str:
    """Tell who is signed in; "" for nobody. A name that could break a header is nobody's."""
    name = unquote(request.cookies.get(SESSION_COOKIE, ""))
    return name if name.isprintable() and len(name) <= LONGEST_NAME else ""


class Front:
    """The handlers, and what they share: where the services are, what was counted, the style sheet."""

    def __init__(self, me: serving.Who, env: Mapping[str, str]) -> None:
        self._me = me
        self._addresses = {name: asking.address(name, env) for name in LOST}
        self._flood = int(env.get("FLOOD_FACTOR") or 0)
        self._results: Counter[tuple[str, int]] = Counter()
        self._css = page.style()

    async def _ask(self, request: web.Request, service: str, product: str) -> Outcome:
        """Ask a service about a product, 3 s at most; reviews twice where the first try gave none."""
        # This second try is in the contract: Istio's fault injection task sees 2 x 3 s because of it.
        ask = asking.ask_twice if service == "reviews" else asking.ask
        url = f"{self._addresses[service]}/{service}/{quote(product, safe='')}"
        headers = passing.passed_on_for(user_of(request), request.headers)
        outcome = await ask(request.app[asking.SESSION], url, headers, LIMIT)
        self._results[service, outcome.status] += 1
        return outcome

    async def page(self, request: web.Request) -> web.Response:
        """Show the book. Reviews are asked for when the details are there, as in Istio's traces."""
        product = page.PRODUCTS[0]
        details = await self._ask(request, "details", str(product.id))
        if self._flood > 0:
            await asyncio.gather(
                *(self._ask(request, "reviews", str(product.id)) for _ in range(self._flood))
            )
        reviews = await self._ask(request, "reviews", str(product.id))
        visit = page.Visit(product, user_of(request), str(self._me), details, reviews)
        return web.Response(text=page.product_page(visit, self._css), content_type="text/html")

    async def index(self, request: web.Request) -> web.Response:
        """Show the way to the book."""
        ratings = {"name": self._addresses["ratings"], "endpoint": "ratings", "children": []}
        reviews = {"name": self._addresses["reviews"], "endpoint": "reviews", "children": [ratings]}
        details = {"name": self._addresses["details"], "endpoint": "details", "children": []}
        top = {"name": str(request.url.origin()), "endpoint": "productpage", "children": [details, reviews]}
        text = page.index_page(user_of(request), self._css, top)
        return web.Response(text=text, content_type="text/html")

    async def login(self, request: web.Request) -> web.Response:
        """Sign in with the name of the form or the query, and back to the book."""
        name = str((await request.post()).get("username") or request.query.get("username") or "").strip()
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise web.HTTPBadRequest(text=f"a user name has up to {LONGEST_NAME} printable characters\n")
        response = _back()
        if name:
            response.set_cookie(SESSION_COOKIE, quote(name, safe=""), httponly=True, samesite="Lax")
        return response

    async def logout(self, _: web.Request) -> web.Response:
        """Sign out, and back to the book."""
        response = _back()
        response.del_cookie(SESSION_COOKIE)
        return response

    async def products(self, _: web.Request) -> web.Response:
        """List the products."""
        return web.json_response([product.document() for product in page.PRODUCTS])

    async def about(self, request: web.Request) -> web.Response:
        """Pass on what a service tells about a product, or that it is lost, with the service's status."""
        service = request.match_info.get("service", "details")
        if service not in LOST or (service == "details" and "service" in request.match_info):
            raise web.HTTPNotFound
        outcome = await self._ask(request, service, request.match_info["product"])
        document = outcome.document if outcome.good else {"error": LOST[service]}
        headers = {serving.SERVED_BY: ", ".join(outcome.served_by)} if outcome.served_by else None
        return web.json_response(document, status=outcome.status, headers=headers)

    async def metrics(self, _: web.Request) -> web.Response:
        """Tell what came of asking, in Prometheus' text format."""
        rows = [
            f'request_result_total{{destination_app="{app}",response_code="{status}"}} {count}'
            for (app, status), count in sorted(self._results.items())
        ]
        head = (
            "# HELP request_result_total Results of requests to other services.",
            "# TYPE request_result_total counter",
        )
        return web.Response(text="\n".join((*head, *rows, "")))

    async def logo(self, _: web.Request) -> web.Response:
        """Give the page's icon."""
        return web.Response(text=page.LOGO, content_type="image/svg+xml")


def _back() -> web.Response:
    # Relative, so that it stays right behind a gateway that rewrites the path.
    return web.Response(status=302, headers={"location": "productpage"})


def application(me: serving.Who, env: Mapping[str, str]) -> web.Application:
    """Build the app."""
    front = Front(me, env)
    app = serving.application(me, web.Response(text="Product page is healthy"))
    app.cleanup_ctx.append(asking.client)
    app.add_routes(
        [
            web.get("/", front.index),
            web.get("/index.html", front.index),
            web.get("/productpage", front.page),
            web.post("/login", front.login),
            web.get("/logout", front.logout),
            web.get("/metrics", front.metrics),
            web.get("/static/bookinfo.svg", front.logo),
            web.get("/api/v1/products", front.products),
            web.get("/api/v1/products/{product}", front.about),
            web.get("/api/v1/products/{product}/{service}", front.about),
        ]
    )
    return app


if __name__ == "__main__":
    serving.serve(application(serving.who("productpage", os.environ), os.environ))
