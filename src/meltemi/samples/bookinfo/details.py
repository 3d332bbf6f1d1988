"""Bookinfo's details: facts about a book, from memory (v1) or from a book service on the internet (v2).

Environment: `SERVICE_VERSION` (v1), `ENABLE_EXTERNAL_BOOK_SERVICE` (false; v2's deployment sets true),
`DO_NOT_ENCRYPT` (false: HTTPS to the book service; true: plain HTTP, for a mesh that originates TLS),
`BOOK_SERVICE` (its host and port).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from meltemi.samples.bookinfo import asking, passing, serving

BOOK_SERVICE = "www.googleapis.com"
BOOK = "0486424618"
LIMIT = 5.0
TRACED = (*passing.TRACING,)


class UnknownBookError(Exception):
    """What the book service said has no such book in it."""


def known(product: int) -> dict[str, Any]:
    """Give the details that v1 knows; all products are the same book."""
    return {
        "id": product,
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "PublisherA",
        "language": "English",
        "ISBN-10": "1234567890",
        "ISBN-13": "123-1234567890",
    }


def looked_up(product: int, answer: Any) -> dict[str, Any]:
    """Read the details from the book service's answer; UnknownBookError where it has none."""
    try:
        book = answer["items"][0]["volumeInfo"]
        numbers = {one["type"]: one["identifier"] for one in book["industryIdentifiers"]}
        return {
            "id": product,
            "author": book["authors"][0],
            "year": book["publishedDate"],
            "type": "paperback" if book.get("printType") == "BOOK" else "unknown",
            "pages": book["pageCount"],
            "publisher": book["publisher"],
            "language": "English" if book.get("language") == "en" else "unknown",
            "ISBN-10": numbers["ISBN_10"],
            "ISBN-13": numbers["ISBN_13"],
        }
    except (KeyError, IndexError, TypeError) as error:
        raise UnknownBookError(f"the book service told no {error}") from error


def application(me: serving.Who, env: Mapping[str, str]) -> web.Application:
    """Build the app."""
    outside = env.get("ENABLE_EXTERNAL_BOOK_SERVICE", "").lower() == "true"
    scheme = "http" if env.get("DO_NOT_ENCRYPT", "").lower() == "true" else "https"
    url = f"{scheme}://{env.get('BOOK_SERVICE') or BOOK_SERVICE}/books/v1/volumes?q=isbn:{BOOK}"

    async def look_up(request: web.Request, product: int) -> web.Response:
        """Ask the book service; 502 where it does not help."""
        headers = {name: request.headers[name] for name in TRACED if name in request.headers}
        try:
            async with (
                asyncio.timeout(LIMIT),
                request.app[asking.SESSION].get(url, headers=headers) as answer,
            ):
                return web.json_response(looked_up(product, await answer.json(content_type=None)))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, UnknownBookError) as error:
            return web.json_response({"error": str(error) or type(error).__name__}, status=502)

    async def details(request: web.Request) -> web.Response:
        """Tell the details of one product."""
        product = request.match_info["product"]
        if not (product.isascii() and product.isdecimal()):
            return web.json_response({"error": "please provide numeric product id"}, status=400)
        if outside:
            return await look_up(request, int(product))
        return web.json_response(known(int(product)))

    app = serving.application(me, web.json_response({"status": "Details is healthy"}))
    app.cleanup_ctx.append(asking.client)
    app.router.add_get("/details/{product}", details)
    return app


if __name__ == "__main__":
    serving.serve(application(serving.who("details", os.environ), os.environ))
