"""Turn an HTTP connection into a plain stream of bytes (101 Switching Protocols), and carry it to another one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

_CHUNK = 64 * 1024
_HIGH = 1024 * 1024


class _Inbound:
    """What aiohttp gives the bytes behind an upgrade to: passes them on, and holds the sender back if need be."""

    def __init__(self, transport: asyncio.Transport, writer: asyncio.StreamWriter) -> None:
        self._transport = transport
        self._writer = writer
        self.ended = asyncio.Event()
        self.full = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; aiohttp's contract: whether this was all, and what is left over."""
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _HIGH:
            self._transport.pause_reading()
            self.full.set()
        return False, b""

    def feed_eof(self) -> None:
        """The other side sends no more."""
        self.ended.set()

    async def relieve(self) -> None:
        """Let the sender go on when what it sent has gone on, for ever."""
        while True:
            await self.full.wait()
            self.full.clear()
            await self._writer.drain()
            self._transport.resume_reading()


async def bridge(
    request: web.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """Answer 101, then carry bytes both ways until either side ends."""
    transport = request.transport
    answer = web.StreamResponse(status=101, headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    if transport is None:
        writer.close()
        return answer
    sender: Any = await answer.prepare(request)
    # Headers wait for a body otherwise, and here there is none.
    sender.send_headers()
    inbound: Any = _Inbound(transport, writer)
    request.protocol.set_parser(inbound)

    async def outwards() -> None:
        while data := await reader.read(_CHUNK):
            await sender.drain()
            transport.write(data)

    try:
        async with asyncio.TaskGroup() as group:
            ways = [group.create_task(outwards()), group.create_task(inbound.ended.wait())]
            relief = group.create_task(inbound.relieve())
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for task in (*ways, relief):
                task.cancel()
    except* (ConnectionError, OSError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await sender.drain()
        request.protocol.force_close()
    return answer
