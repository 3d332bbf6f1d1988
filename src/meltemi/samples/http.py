"""A minimal HTTP/1.1 client for the tour and the tests.

Written on streams because a load test must decide, request by request, whether a connection is new, and
must see every error as it is: an HTTP library's pool would reconnect and retry in silence.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, headers with lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class BrokenError(Exception):
    """The connection ended, or what came is no HTTP response."""


@dataclass
class Connection:
    """One connection to one authority; not shared between requests in flight."""

    host: str
    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    used: int = field(default=0)

    async def open(self) -> None:
        """Resolve the name and connect."""
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    async def close(self) -> None:
        """Close without waiting for the peer."""
        if self.writer is not None:
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()
        self.reader = self.writer = None

    async def request(
        self,
        method: str,
        path: str,
        authority: str,
        headers: dict[str, str] | None = None,
        *,
        keep: bool = True,
    ) -> Answer:
        """Send one request and read its response; raises BrokenError or OSError."""
        if self.reader is None or self.writer is None:
            await self.open()
        assert self.reader is not None
        assert self.writer is not None
        lines = [
            f"{method} {path} HTTP/1.1",
            f"host: {authority}",
            f"connection: {'keep-alive' if keep else 'close'}",
        ]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()
        self.used += 1
        return await self._read(self.reader, head=method == "HEAD")

    async def _read(self, reader: asyncio.StreamReader, *, head: bool) -> Answer:
        try:
            top = await reader.readuntil(b"\r\n\r\n")
            first, *rest = top.decode("latin-1").split("\r\n")
            status = int(first.split(" ", 2)[1])
            headers = {
                k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in rest if line)
            }
            body = b"" if head else await self._body(reader, headers)
        except (asyncio.IncompleteReadError, ValueError, IndexError) as error:
            raise BrokenError(f"no complete response: {error}") from error
        return Answer(status, headers, body)

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int((await reader.readline()).split(b";")[0], 16):
                parts.append(await reader.readexactly(size))
                await reader.readexactly(2)
            await reader.readline()
            return b"".join(parts)
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        return await reader.read()


async def fetch(
    url: str, *, headers: dict[str, str] | None = None, method: str = "GET", limit: float = 5.0
) -> Answer:
    """Make one request on a new connection within `limit` seconds; raises BrokenError, OSError or TimeoutError."""
    parts = urlsplit(url)
    connection = Connection(parts.hostname or "", parts.port or 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    wanted = dict(headers or {})
    authority = wanted.pop("host", parts.netloc)
    try:
        async with asyncio.timeout(limit):
            return await connection.request(method, path, authority, wanted, keep=False)
    finally:
        await connection.close()
