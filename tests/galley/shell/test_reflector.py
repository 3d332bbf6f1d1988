from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.galley.fake_server import FakeServer, running

from meltemi.api.core.config import CONFIG_MAP
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.reflector import Backoff, Event, Reflector


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        async with running(FakeServer(Path(folder) / "s")) as made:
            yield made


@contextlib.asynccontextmanager
async def reflecting(
    server: FakeServer, *, keep: bool = True, initial_events: bool = False
) -> AsyncIterator[tuple[Reflector, list[tuple[str, str]]]]:
    """Run a reflector; the list fills with (event type, name)."""
    seen: list[tuple[str, str]] = []

    def handle(event: Event) -> None:
        seen.append((event.type, event.key[1]))

    async with KubeClient(server.address) as client, asyncio.timeout(20):
        reflector = Reflector(
            client, CONFIG_MAP, handler=handle, dice=lambda: 0.0, keep=keep, initial_events=initial_events
        )
        task = asyncio.get_running_loop().create_task(reflector.run())
        try:
            await reflector.synced.wait()
            yield reflector, seen
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until_watching(server: FakeServer) -> None:
    while not server.watchers:
        await asyncio.sleep(0.01)


async def test_it_lists_then_follows(server: FakeServer) -> None:
    server.put("a")
    async with reflecting(server) as (reflector, seen):
        assert seen == [("ADDED", "a")]
        await until_watching(server)
        server.put("b")
        server.put("a", x="1")
        server.delete("b")
        await reflector.until(lambda r: r.get("a", "b") is None and len(seen) == 4)
        assert seen[1:] == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
        found = reflector.get("a", "a")
        assert found is not None
        assert found["data"] == {"x": "1"}
        assert (len(reflector), reflector.keys()) == (1, (("a", "a"),))


async def test_a_broken_watch_resumes_without_a_new_list(server: FakeServer) -> None:
    server.put("a")
    async with reflecting(server) as (reflector, seen):
        await until_watching(server)
        server.cut_after = 0
        server.cut()
        server.put("b")
        await reflector.until(lambda r: len(r) == 2)
        assert seen == [("ADDED", "a"), ("ADDED", "b")]
    lists = [query for _, _, query, _ in server.requests if "watch" not in query]
    assert len(lists) == 1


async def test_a_bookmark_moves_the_revision_it_resumes_from(server: FakeServer) -> None:
    async with reflecting(server) as (reflector, _):
        await until_watching(server)
        server.bookmark()
        revision = str(server.revision)
        await asyncio.sleep(0.05)
        await server.stop()
        await server.start()
        await until_watching(server)
        server.put("a")
        await reflector.until(lambda r: len(r) == 1)
    watches = [query["resourceVersion"] for _, _, query, _ in server.requests if "watch" in query]
    assert watches[-1] == revision


async def test_a_server_that_restarts_is_followed_on(server: FakeServer) -> None:
    server.put("a")
    async with reflecting(server) as (reflector, seen):
        await until_watching(server)
        await server.stop()
        server.put("b")
        server.delete("a")
        while not reflector.error:
            await asyncio.sleep(0.01)
        await server.start()
        await reflector.until(lambda r: r.keys() == (("a", "b"),))
        assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
        assert reflector.error == ""


async def test_what_vanished_while_the_revision_expired_is_deleted(server: FakeServer) -> None:
    kept = server.put("kept")
    server.put("gone")
    server.put("anew")
    async with reflecting(server) as (reflector, seen):
        await until_watching(server)
        await server.stop()
        server.delete("gone")
        server.delete("anew")
        server.put("anew")
        server.log.clear()
        server.oldest = server.revision
        await server.start()
        await reflector.until(lambda r: r.get("a", "gone") is None)
        assert seen[3:] == [("DELETED", "gone"), ("DELETED", "anew"), ("ADDED", "anew")]
        found = reflector.get("a", "kept")
        assert found is not None
        assert kept["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]


@pytest.mark.parametrize("offered", [True, False])
async def test_initial_events_are_used_where_they_are_offered(server: FakeServer, offered: bool) -> None:
    server.offers_initial_events = offered
    server.put("a")
    async with reflecting(server, initial_events=True) as (reflector, seen):
        await until_watching(server)
        server.put("b")
        await reflector.until(lambda r: len(r) == 2)
        assert seen == [("ADDED", "a"), ("ADDED", "b")]
    lists = [query for _, _, query, _ in server.requests if "watch" not in query]
    assert len(lists) == (0 if offered else 1)


async def test_without_keeping_only_metadata_stays(server: FakeServer) -> None:
    server.put("a", x="1")
    async with reflecting(server, keep=False) as (reflector, _):
        found = reflector.get("a", "a")
        assert found is not None
        assert set(found) == {"metadata"}


async def test_who_subscribes_late_is_told_what_is_there(server: FakeServer) -> None:
    server.put("a")
    async with reflecting(server) as (reflector, _):
        late: list[tuple[str, str]] = []
        reflector.subscribe(lambda event: late.append((event.type, event.key[1])))
        assert late == [("ADDED", "a")]


async def test_a_server_that_refuses_is_asked_again(server: FakeServer) -> None:
    server.answer = (403, {"reason": "Forbidden", "message": "no"})
    async with KubeClient(server.address) as client, asyncio.timeout(20):
        reflector = Reflector(client, CONFIG_MAP)
        task = asyncio.get_running_loop().create_task(reflector.run())
        while "Forbidden" not in reflector.error:
            await asyncio.sleep(0.01)
        server.answer = None
        await reflector.synced.wait()
        # Though nothing happens.
        while reflector.error:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_kind_that_is_not_served_is_empty_until_it_is(server: FakeServer) -> None:
    server.answer = (404, {"reason": "NotFound", "message": "no such kind"})
    async with reflecting(server) as (reflector, seen):
        assert (len(reflector), seen) == (0, [])
        while "no such kind" not in reflector.error:
            await asyncio.sleep(0.01)
        server.put("a")
        server.answer = None
        await reflector.until(lambda r: len(r) == 1)
        await until_watching(server)
        # A server that has just started again and does not know the kind yet.
        await server.stop()
        server.answer = (404, {"reason": "NotFound", "message": "not yet"})
        await server.start()
        while "not yet" not in reflector.error:
            await asyncio.sleep(0.01)
        assert len(reflector) == 1
        server.put("b")
        server.answer = None
        await reflector.until(lambda r: len(r) == 2)
        assert seen == [("ADDED", "a"), ("ADDED", "b")]


def test_pauses_double_up_to_a_bound_and_begin_anew() -> None:
    backoff = Backoff(cap=0.5, dice=lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]
    backoff.reset()
    assert backoff.next() == 0.05
    assert Backoff(cap=0.5, dice=lambda: 0.0).next() == 0.025
