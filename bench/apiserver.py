"""The API server over its Unix socket: writes that are synced before they are answered, reads, watches."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
import orjson

from bench.table import Table
from meltemi.apiserver.core import users
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store

QUESTION = "How many durable writes a second over HTTP, and how soon does a watcher hear of one?"
HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
CM = "http://api/api/v1/namespaces/default/configmaps"
VS = "http://api/apis/networking.istio.io/v1/namespaces/default/virtualservices"
WRITES = 1000
WATCHERS = 50


def service(number: int) -> bytes:
    """A VirtualService of some 700 bytes."""
    routes = [{"destination": {"host": f"shop-{number}", "subset": f"v{v}"}, "weight": 50} for v in (1, 2)]
    match = [{"uri": {"prefix": "/api/v1/catalogue"}, "headers": {"end-user": {"exact": "jason"}}}]
    document = {
        "metadata": {"name": f"shop-{number}", "labels": {"app": "shop", "team": "checkout"}},
        "spec": {
            "hosts": [f"shop-{number}.example.com"],
            "http": [{"match": match, "route": routes}, {"route": routes}],
        },
    }
    return orjson.dumps(document)


async def each(count: int, waiting: int, call: Callable[[int], Awaitable[Any]]) -> tuple[float, list[float]]:
    """Make calls, so many at a time; returns seconds in all and of each."""
    numbers = iter(range(count))
    times: list[float] = []

    async def worker() -> None:
        for number in numbers:
            began = time.perf_counter()
            await call(number)
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(waiting)))
    return time.perf_counter() - began, times


def line(name: str, count: int, seconds: float, times: list[float]) -> tuple[str, ...]:
    """One row."""
    worst = quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    return name, f"{count / seconds:,.0f}/s", f"{median(times) * 1000:.2f} ms", f"{worst * 1000:.2f} ms"


def bare_commits(folder: Path, count: int) -> tuple[float, list[float]]:
    """What the disk gives: single commits with full sync, without any server."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB)")
    body = service(0)
    times = []
    for number in range(count):
        began = time.perf_counter()
        db.execute("INSERT INTO t VALUES(?, ?)", (number, body))
        times.append(time.perf_counter() - began)
    db.close()
    return sum(times), times


async def measure(folder: Path) -> list[tuple[str, ...]]:
    """Measure all of it against one server in this process."""
    rows = [line("SQLite commit, synced, alone", WRITES, *bare_commits(folder, WRITES))]
    path = folder / "api.sock"
    authn = Authenticator(static={"bench": users.admin()})
    connector = aiohttp.UnixConnector(str(path), limit=0)
    async with (
        Store(folder / "store.db") as store,
        ApiServer(store, authn=authn).serve(unix=path),
        aiohttp.ClientSession(connector=connector, headers=HEADERS) as session,
    ):

        async def send(method: str, url: str, wanted: int, **how: Any) -> None:
            async with session.request(method, url, **how) as answer:
                await answer.read()
                assert answer.status == wanted, answer.status

        def creates(first: int) -> Callable[[int], Awaitable[Any]]:
            return lambda number: send("POST", VS, 201, data=service(first + number))

        for name, first, waiting in (("create, one at a time", 0, 1), ("create, 64 waiting", WRITES, 64)):
            seconds, times = await each(WRITES, waiting, creates(first))
            rows.append(line(name, WRITES, seconds, times))
        merge = {"Content-Type": "application/merge-patch+json"}
        seconds, times = await each(
            WRITES,
            64,
            lambda n: send(
                "PATCH", f"{VS}/shop-{n}", 200, data=b'{"metadata":{"labels":{"x":"y"}}}', headers=merge
            ),
        )
        rows.append(line("merge patch, 64 waiting", WRITES, seconds, times))
        apply = {"Content-Type": "application/apply-patch+yaml"}
        head = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
        seconds, times = await each(
            WRITES,
            64,
            lambda n: send(
                "PATCH",
                f"{VS}/shop-{n}?fieldManager=bench&force=true",
                200,
                data=orjson.dumps({**orjson.loads(service(n)), **head}),
                headers=apply,
            ),
        )
        rows.append(line("server-side apply, 64 waiting", WRITES, seconds, times))
        seconds, times = await each(WRITES, 16, lambda n: send("GET", f"{VS}/shop-{n}", 200))
        rows.append(line("get, 16 waiting", WRITES, seconds, times))
        seconds, times = await each(20, 1, lambda _: send("GET", VS, 200))
        rows.append(line(f"list of {2 * WRITES}", 20, seconds, times))
        rows.append(await watched(session))
    return rows


async def watched(session: aiohttp.ClientSession) -> tuple[str, ...]:
    """From sending a create to the last of many watchers having heard of it."""
    heard: asyncio.Queue[float] = asyncio.Queue()
    ready = [asyncio.Event() for _ in range(WATCHERS)]

    async def watch(event: asyncio.Event) -> None:
        async with session.get(CM, params={"watch": "1"}) as answer:
            event.set()
            async for _ in answer.content:
                heard.put_nowait(time.perf_counter())

    tasks = [asyncio.ensure_future(watch(event)) for event in ready]
    await asyncio.gather(*(event.wait() for event in ready))
    times = []
    for number in range(200):
        began = time.perf_counter()
        body = orjson.dumps({"metadata": {"name": f"c{number}"}, "data": {"k": "v"}})
        async with session.post(CM, data=body) as answer:
            await answer.read()
        last = max([await heard.get() for _ in range(WATCHERS)])
        times.append(last - began)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return line(f"create to the last of {WATCHERS} watchers", 200, sum(times), times)


def run() -> Table:
    """Answer the question."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rows = asyncio.run(measure(Path(folder)))
    notes = (
        "server and clients share one process and one loop; each answer comes after the sync of its write",
        "the first row is the disk's own figure, taken in the same run",
    )
    return Table(("what", "rate", "p50", "p99"), tuple(rows), notes)
