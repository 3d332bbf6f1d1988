"""Fakes of services that record what they were asked, on real sockets of the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

Client = TestClient[web.Request, web.Application]


class Fake:
    """A service that answers everything alike: a status and a document, after a while, or by breaking off."""

    def __init__(self, document: Any = None, *, status: int = 200, after: float = 0.0, breaks: bool = False):
        self.document = document
        self.status = status
        self.after = after
        self.breaks = breaks
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path_qs, {k.lower(): v for k, v in request.headers.items()}))
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        await asyncio.sleep(self.after)
        return web.json_response(self.document, status=self.status)

    def env(self, service: str) -> dict[str, str]:
        """What an app's environment says to ask this fake for a service."""
        return {f"{service.upper()}_HOSTNAME": "127.0.0.1", f"{service.upper()}_SERVICE_PORT": str(self.port)}


class Start(Protocol):
    """Starts a fake service, or an app with a client for it."""

    async def fake(self, fake: Fake) -> Fake: ...
    async def app(self, app: web.Application) -> Client: ...


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers that end with the test."""
    async with AsyncExitStack() as stack:

        class Here:
            async def fake(self, fake: Fake) -> Fake:
                app = web.Application()
                app.router.add_route("*", "/{rest:.*}", fake.answer)
                server = TestServer(app)
                await server.start_server()
                stack.push_async_callback(server.close)
                fake.port = server.port or 0
                return fake

            async def app(self, app: web.Application) -> Client:
                client = TestClient(TestServer(app))
                await client.start_server()
                stack.push_async_callback(client.close)
                return client

        yield Here()
