"""A client that shows a circuit breaker at work: bursts over a few connections, whatever the answers take.

Usage: python -m meltemi.samples.breaker [--connections 3] [--rounds 30] [--every 0.1] [-H NAME=VALUE]... URL
Every 0.1 s by the clock, each of three connections sends one request, all in the same moment. A connection whose
last answer is still on its way sits the round out, and the round counts it as late. Prints one JSON object:
{"sent": 90, "statuses": {"200": 61, "503": 29}, "overflowed": 29, "errors": {}, "late": 0}; `overflowed` are the
503s that Envoy marks with `x-envoy-overloaded`. Exit 1 where a request was not answered at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from meltemi.samples.http import BrokenError, Connection

LIMIT = 10.0


@dataclass
class Tally:
    """What became of the requests."""

    sent: int = 0
    late: int = 0
    overflowed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, object]:
        """Return the tally as JSON-ready values."""
        return {
            "sent": self.sent,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "overflowed": self.overflowed,
            "errors": dict(self.errors.most_common(8)),
            "late": self.late,
        }


class Caller:
    """One of the connections."""

    def __init__(self, url: str, headers: dict[str, str], tally: Tally) -> None:
        parts = urlsplit(url)
        self._connection = Connection(parts.hostname or "", parts.port or 80)
        self._authority = parts.netloc
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = headers
        self._tally = tally
        self._busy = False

    async def open(self) -> None:
        """Connect before the first round, so that no handshake spreads a burst."""
        await self._connection.open()

    async def hit(self) -> None:
        """Send one request and count its outcome; nothing where the last one is not answered yet."""
        if self._busy:
            self._tally.late += 1
            return
        self._busy = True
        self._tally.sent += 1
        try:
            async with asyncio.timeout(LIMIT):
                answer = await self._connection.request("GET", self._path, self._authority, self._headers)
        except (OSError, BrokenError, TimeoutError) as error:
            self._tally.errors[f"{type(error).__name__}: {error}"] += 1
            await self._connection.close()
        else:
            self._tally.statuses[answer.status] += 1
            self._tally.overflowed += answer.headers.get("x-envoy-overloaded") == "true"
            if answer.headers.get("connection", "").lower() == "close":
                await self._connection.close()
        finally:
            self._busy = False

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


async def run(url: str, headers: dict[str, str], connections: int, rounds: int, every: float) -> Tally:
    """Send the bursts, then wait for what is still on its way."""
    tally = Tally()
    callers = [Caller(url, headers, tally) for _ in range(connections)]
    clock = asyncio.get_running_loop().time
    try:
        await asyncio.gather(*(caller.open() for caller in callers))
        start = clock()
        async with asyncio.TaskGroup() as tasks:
            for number in range(rounds):
                await asyncio.sleep(max(0.0, start + number * every - clock()))
                for caller in callers:
                    tasks.create_task(caller.hit())
    finally:
        for caller in callers:
            await caller.close()
    return tally


def main(argv: list[str]) -> int:
    """Parse the arguments, run, print; exit 1 when any request was not answered."""
    parser = argparse.ArgumentParser(prog="breaker")
    parser.add_argument("--connections", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--every", type=float, default=0.1)
    parser.add_argument("-H", action="append", default=[], dest="headers", metavar="NAME=VALUE")
    parser.add_argument("url")
    options = parser.parse_args(argv)
    headers = dict(item.split("=", 1) for item in options.headers)
    try:
        tally = asyncio.run(run(options.url, headers, options.connections, options.rounds, options.every))
    except OSError as error:
        print(json.dumps({**Tally().report(), "errors": {str(error): 1}}), flush=True)
        return 1
    print(json.dumps(tally.report()), flush=True)
    return 0 if not tally.errors else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
