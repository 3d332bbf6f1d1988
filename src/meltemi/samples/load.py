"""Open-loop load: requests sent by the clock, not waiting for answers.

Usage: python -m meltemi.samples.load --rate 200 --seconds 12 [--new 0.5] [--expect 200] URL [URL...]
Prints one JSON object at the end: sent, ok, errors, and the first error texts. A URL `dns:NAME` is a lookup.
A request that finds no idle connection opens one; a share `--new` of them opens one whatever is idle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from meltemi.samples.http import BrokenError, Connection


@dataclass
class Tally:
    """What became of the requests."""

    sent: int = 0
    ok: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    late: float = 0.0
    slowest: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def report(self) -> dict[str, object]:
        """Return the tally as JSON-ready values; times in seconds."""
        ordered = sorted(self.latencies)
        middle = ordered[len(ordered) // 2] if ordered else 0.0
        high = ordered[int(len(ordered) * 0.99)] if ordered else 0.0
        return {
            "sent": self.sent,
            "ok": self.ok,
            "failed": sum(self.errors.values()),
            "errors": dict(self.errors.most_common(8)),
            "p50": round(middle, 5),
            "p99": round(high, 5),
            "slowest": round(self.slowest, 4),
            "late": round(self.late, 4),
        }


class Target:
    """One URL and its idle connections."""

    def __init__(self, url: str, expect: int) -> None:
        parts = urlsplit(url)
        self.url = url
        self.expect = expect
        self.host = parts.hostname or ""
        self.port = parts.port or 80
        self.authority = parts.netloc
        self.path = parts.path or "/"
        self.idle: list[Connection] = []

    async def hit(self, *, fresh: bool) -> str | None:
        """Make one request; None when it was answered as expected, else what went wrong."""
        connection = Connection(self.host, self.port) if fresh or not self.idle else self.idle.pop()
        try:
            async with asyncio.timeout(10):
                answer = await connection.request("GET", self.path, self.authority, keep=not fresh)
        except (OSError, BrokenError, TimeoutError) as error:
            await connection.close()
            return f"{self.url}: {type(error).__name__}: {error}"
        if fresh or answer.headers.get("connection", "").lower() == "close":
            await connection.close()
        else:
            self.idle.append(connection)
        if answer.status != self.expect:
            return f"{self.url}: status {answer.status}: {answer.body[:120].decode('utf-8', 'replace')}"
        return None

    async def close(self) -> None:
        """Close what is idle."""
        for connection in self.idle:
            await connection.close()


class Lookup(Target):
    """A name to resolve instead of a URL to fetch."""

    async def hit(self, *, fresh: bool) -> str | None:
        """Resolve once; `fresh` plays no part: nothing is cached here."""
        del fresh
        try:
            await asyncio.get_running_loop().getaddrinfo(self.url[4:], 80, type=socket.SOCK_STREAM)
        except OSError as error:
            return f"{self.url}: {error}"
        return None


async def run(targets: list[Target], rate: float, seconds: float, new: float) -> Tally:
    """Send `rate` requests a second for `seconds`, spread evenly over the targets."""
    tally = Tally()
    dice = random.Random(7)
    start = time.monotonic()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def one(target: Target, *, fresh: bool) -> None:
        """Make one request and count it."""
        began = time.monotonic()
        problem = await target.hit(fresh=fresh)
        took = time.monotonic() - began
        tally.latencies.append(took)
        tally.slowest = max(tally.slowest, took)
        if problem is None:
            tally.ok += 1
        else:
            tally.errors[f"{problem} at {began - start:.2f}s"] += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            now = time.monotonic()
            if due > now:
                await asyncio.sleep(due - now)
            if stop.is_set():
                break
            tally.late = max(tally.late, time.monotonic() - due)
            tally.sent += 1
            tasks.create_task(one(targets[number % len(targets)], fresh=dice.random() < new))
    for target in targets:
        await target.close()
    return tally


def main(argv: list[str]) -> int:
    """Parse the arguments, run, print; exit 1 when any request failed."""
    parser = argparse.ArgumentParser(prog="load")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--new", type=float, default=0.5)
    parser.add_argument("--expect", type=int, default=200)
    parser.add_argument("urls", nargs="+", metavar="URL")
    options = parser.parse_args(argv)
    targets = [Lookup(u, 0) if u.startswith("dns:") else Target(u, options.expect) for u in options.urls]
    tally = asyncio.run(run(targets, options.rate, options.seconds, options.new))
    print(json.dumps(tally.report()), flush=True)
    return 0 if not tally.errors else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
