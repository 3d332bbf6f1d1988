"""The load and the app of the data plane's measurement, both run inside pods.

Usage: python -m bench.wire serve PORT
       python -m bench.wire load --rate R --seconds S --connections N URL

Written on asyncio's protocols: what they cost must not drown what the proxies cost. The load is sent by the clock,
each connection at its own turn; a request that finds its connection busy waits, and its latency counts from its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

BODY = b"x" * 512
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
END = b"\r\n\r\n"


class App(asyncio.Protocol):
    """Answers every GET with the same body."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as many requests as have come in whole."""
        self._buffer += data
        *whole, self._buffer = self._buffer.split(END)
        self._transport.write(ANSWER * len(whole))


class Caller(asyncio.Protocol):
    """One connection, with at most one request on its way."""

    def __init__(self, request: bytes, latencies: list[float]) -> None:
        self._request = request
        self._latencies = latencies
        self._buffer = b""
        self._due: list[float] = []
        self._busy = False
        self.failed = 0
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        """Keep the way out."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what was never answered."""
        del exc
        self.failed += len(self._due)
        self._due.clear()
        self.closed = True

    def take(self, due: float) -> None:
        """Send now, or as soon as the request before is answered."""
        if self.closed:
            self.failed += 1
            return
        self._due.append(due)
        if not self._busy:
            self._send()

    def _send(self) -> None:
        self._busy = True
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take an answer in."""
        self._buffer += data
        head, found, body = self._buffer.partition(END)
        if not found or len(body) < len(BODY):
            return
        self._buffer = b""
        self._busy = False
        self._latencies.append(time.perf_counter() - self._due.pop(0))
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed += 1
        if self._due:
            self._send()

    @property
    def idle(self) -> bool:
        """Whether all is answered."""
        return not self._due


async def serve(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(App, "0.0.0.0", port, backlog=1024)
    await server.serve_forever()


async def load(url: str, rate: float, seconds: float, connections: int) -> dict[str, float]:
    """Send the load; times in microseconds. The first fifth of a second is sent, but not measured for latency."""
    parts = urlsplit(url)
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: bench\r\naccept: */*\r\n\r\n"
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    callers = [
        (
            await loop.create_connection(
                lambda: Caller(request.encode(), latencies), parts.hostname or "", parts.port or 80
            )
        )[1]
        for _ in range(connections)
    ]
    total, start = int(rate * seconds), time.perf_counter()
    sent = 0
    while sent < total:
        due = min(total, int((time.perf_counter() - start) * rate) + 1)
        for number in range(sent, due):
            callers[number % connections].take(start + number / rate)
        sent = due
        await asyncio.sleep(max(0.0, start + sent / rate - time.perf_counter()))
    deadline = time.perf_counter() + 10
    while not all(each.idle for each in callers) and time.perf_counter() < deadline:  # noqa: ASYNC110 - the end of a load
        await asyncio.sleep(0.01)
    took = time.perf_counter() - start
    for each in callers:
        each.transport.abort()
    ordered = sorted(latencies[int(rate / 5) :])
    return {
        "sent": total,
        "answered": len(latencies),
        "failed": sum(each.failed for each in callers),
        "seconds": took,
        "p50": ordered[len(ordered) // 2] * 1e6 if ordered else 0.0,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e6 if ordered else 0.0,
    }


def main() -> int:
    """Serve or load."""
    parser = argparse.ArgumentParser(prog="bench.wire")
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("serve").add_argument("port", type=int)
    wanted = modes.add_parser("load")
    wanted.add_argument("--rate", type=float, required=True)
    wanted.add_argument("--seconds", type=float, required=True)
    wanted.add_argument("--connections", type=int, required=True)
    wanted.add_argument("url")
    options = parser.parse_args()
    if options.mode == "serve":
        asyncio.run(serve(options.port))
        return 0
    told = asyncio.run(load(options.url, options.rate, options.seconds, options.connections))
    print(json.dumps(told), flush=True)
    return 0 if not told["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
