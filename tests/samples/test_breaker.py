"""The circuit breaker's client: bursts by the clock, every outcome counted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from aiohttp import web
from tests.samples.conftest import Start

from meltemi.samples import breaker


class Narrow:
    """A server with room for so many of a burst; it refuses the others as Envoy does, and answers when all are in."""

    def __init__(self, room: int, burst: int) -> None:
        self.room, self.burst, self.inside = room, burst, 0
        self.full = asyncio.Event()
        self.peers: set[object] = set()

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        full, self.inside = self.full, self.inside + 1
        mine = self.inside
        if self.inside == self.burst:
            self.inside, self.full = 0, asyncio.Event()
            full.set()
        if mine > self.room:
            return web.Response(status=503, headers={"x-envoy-overloaded": "true"})
        await full.wait()
        return web.Response(text="served")


async def url_of(start: Start, server: Narrow) -> str:
    app = web.Application()
    app.router.add_get("/", server.answer)
    client = await start.app(app)
    return str(client.make_url("/"))


async def test_what_the_server_has_no_room_for_is_counted_by_status(start: Start) -> None:
    server = Narrow(room=2, burst=3)
    tally = await breaker.run(await url_of(start, server), {}, connections=3, rounds=4, every=0.3)
    assert tally.report() == {
        "sent": 12,
        "statuses": {"200": 8, "503": 4},
        "overflowed": 4,
        "errors": {},
        "late": 0,
    }
    assert len(server.peers) == 3


async def test_a_connection_that_is_still_busy_sits_the_round_out(start: Start) -> None:
    server = Narrow(room=2, burst=3)
    asyncio.get_running_loop().call_later(1.0, server.full.set)
    tally = await breaker.run(await url_of(start, server), {}, connections=2, rounds=3, every=0.01)
    assert (tally.sent, tally.late) == (2, 4)
    assert tally.statuses == {200: 2}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/"])
def test_nobody_there_is_an_error_and_exit_1(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meltemi.samples.breaker", "--rounds", "2", url],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["errors"]
