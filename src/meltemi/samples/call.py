"""Make requests from inside a pod and print what came, as JSON lines.

Usage: python -m meltemi.samples.call [-n COUNT] [-H NAME=VALUE]... URL
A line per request: {"status": 200, "headers": {...}, "body": "..."} or {"error": "..."}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from meltemi.samples.http import BrokenError, fetch


async def one(url: str, headers: dict[str, str]) -> dict[str, object]:
    """One request as a printable value; never raises for what the network does."""
    try:
        answer = await fetch(url, headers=headers)
    except (OSError, BrokenError, TimeoutError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body.decode("utf-8", "replace"),
    }


async def run(url: str, count: int, headers: dict[str, str]) -> bool:
    """Make `count` requests one after the other; True when all were answered."""
    good = True
    for _ in range(count):
        result = await one(url, headers)
        good = good and "error" not in result
        print(json.dumps(result), flush=True)
    return good


def main(argv: list[str]) -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="call")
    parser.add_argument("-n", type=int, default=1, dest="count")
    parser.add_argument("-H", action="append", default=[], dest="headers", metavar="NAME=VALUE")
    parser.add_argument("url")
    options = parser.parse_args(argv)
    headers = dict(item.split("=", 1) for item in options.headers)
    return 0 if asyncio.run(run(options.url, options.count, headers)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
