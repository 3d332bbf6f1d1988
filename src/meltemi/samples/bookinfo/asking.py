"""How the apps ask one another: where a service is, and one request whose outcome is told as it was.

A fault of the mesh must be seen as it is. So nothing is retried here, a name is resolved anew for each connection,
and a connection is used again only within a second: under load it saves the handshake, and after a change of
routes, endpoints or policy the next page shows what the mesh does now.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from aiohttp import web

from meltemi.samples.bookinfo.serving import PORT, SERVED_BY

REUSE = 1.0
NO_ANSWER = 500
SESSION = web.AppKey("session", aiohttp.ClientSession)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking: the status (500 where no answer came), the JSON of a 200, who answered, seconds, tries."""

    status: int
    document: Any = None
    served_by: tuple[str, ...] = ()
    seconds: float = 0.0
    tries: int = 1

    @property
    def good(self) -> bool:
        """Whether there is a document."""
        return self.status == 200


def address(service: str, env: Mapping[str, str]) -> str:
    """Give a service's URL from `<SERVICE>_HOSTNAME`, `SERVICES_DOMAIN` and `<SERVICE>_SERVICE_PORT`."""
    name = service.upper()
    domain = env.get("SERVICES_DOMAIN")
    host = (env.get(f"{name}_HOSTNAME") or service) + (f".{domain}" if domain else "")
    return f"http://{host}:{env.get(f'{name}_SERVICE_PORT') or PORT}"


async def client(app: web.Application) -> AsyncIterator[None]:
    """Keep the app's client for its lifetime; a `cleanup_ctx`."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=REUSE, use_dns_cache=False)
    async with aiohttp.ClientSession(
        connector=connector,
        # One visitor's cookies must never reach another's request.
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("Accept-Encoding",),
    ) as session:
        # aiohttp asks a second time, unasked, where a connection ends without an answer; it has no public switch.
        session._retry_connection = False  # noqa: SLF001
        app[SESSION] = session
        yield


async def ask(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], limit: float) -> Outcome:
    """Ask once for JSON within `limit` seconds; whatever goes wrong is an outcome, never an exception."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(limit), session.get(url, headers=headers) as response:
            body = await response.read()
            told = response.headers.get(SERVED_BY, "")
            served_by = tuple(part.strip() for part in told.split(",") if part.strip())
            document = json.loads(body) if response.status == 200 else None
            return Outcome(response.status, document, served_by, clock() - began)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return Outcome(NO_ANSWER, seconds=clock() - began)


async def ask_twice(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], limit: float
) -> Outcome:
    """Ask, and once more where that gave no document; each time within `limit` seconds."""
    first = await ask(session, url, headers, limit)
    if first.good:
        return first
    second = await ask(session, url, headers, limit)
    return replace(second, seconds=first.seconds + second.seconds, tries=2)
