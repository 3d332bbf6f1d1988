"""What every source of configuration does, whatever lies behind it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance.sources import WORLDS, InMemory, World, world

from meltemi.galley.shell.source import DELETED, Source, SourceEvent

Batches = list[tuple[SourceEvent, ...]]


@pytest.fixture
def root() -> Iterator[Path]:
    # Short, for the paths of sockets are bounded.
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        yield Path(folder)


@pytest.fixture(params=WORLDS)
async def made(request: pytest.FixtureRequest, root: Path) -> AsyncIterator[World]:
    async with world(request.param, root) as one:
        yield one


@contextlib.asynccontextmanager
async def running(source: Source, batches: Batches | None = None) -> AsyncIterator[Batches]:
    batches = [] if batches is None else batches
    task = asyncio.get_running_loop().create_task(source.run(batches.append))
    try:
        async with asyncio.timeout(20):
            yield batches
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def told(batches: Batches) -> list[tuple[str, str]]:
    """Say what was told, without what the API server has of its own."""
    return [
        (event.type, event.key[2])
        for batch in batches
        for event in batch
        if not event.key[2].startswith(("kube-", "istio-"))
    ]


def state(batches: Batches) -> dict[str, dict[str, str]]:
    """Play all events; one that does not fit to what was told before fails the test."""
    held: dict[str, dict[str, str]] = {}
    for batch in batches:
        for event in batch:
            name = event.key[2]
            assert (name in held) == (event.type != "ADDED"), (event.type, name)
            if event.type == DELETED:
                del held[name]
            else:
                held[name] = event.document.get("data") or {}
    return held


async def test_what_is_there_is_told_whole_and_at_once(made: World) -> None:
    for name in "abc":
        await made.put(name, x=name)
    async with running(made.source) as batches:
        await until(lambda: batches)
        assert sorted(told(batches[:1])) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        assert made.source.errors == ()
        assert made.source.holds(("configmaps", "default", "a"))
        assert not made.source.holds(("configmaps", "default", "z"))


async def test_a_source_with_nothing_says_so(made: World) -> None:
    async with running(made.source) as batches:
        await until(lambda: batches)
        assert told(batches) == []


async def test_changes_are_told_as_they_come(made: World) -> None:
    await made.put("a", x="1")
    async with running(made.source) as batches:
        await until(lambda: batches)
        await made.settle()
        await made.put("b", x="1")
        await until(lambda: "b" in state(batches))
        await made.put("a", x="2")
        await until(lambda: state(batches).get("a") == {"x": "2"})
        await made.delete("b")
        await until(lambda: "b" not in state(batches))
        assert told(batches) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]


async def test_events_of_one_object_come_in_order(made: World) -> None:
    async with running(made.source) as batches:
        await until(lambda: batches)
        await made.settle()
        for round_ in range(5):
            await made.put("a", x=str(round_))
            await made.put("b", x=str(round_))
        await made.delete("b")
        await made.put("a", x="last")
        await until(lambda: state(batches).get("a") == {"x": "last"} and "b" not in state(batches))


async def test_what_is_the_same_is_not_told_again(made: World) -> None:
    await made.put("a", x="1")
    await made.put("b", x="1")
    async with running(made.source) as batches:
        await until(lambda: batches)
        await made.settle()
        await made.stir()
        await made.settle()
        await made.put("a", x="2")
        await until(lambda: state(batches).get("a") == {"x": "2"})
        assert sorted(told(batches)) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a")]


async def test_run_again_it_goes_on_from_there(made: World) -> None:
    for name in "abc":
        await made.put(name, x="1")
    async with running(made.source) as batches:
        await until(lambda: batches)
    before = len(batches)
    await made.put("a", x="2")
    await made.delete("b")
    await made.put("d", x="1")
    async with running(made.source, batches):
        await until(lambda: len(batches) > before and "d" in state(batches) and "b" not in state(batches))
        await until(lambda: state(batches).get("a") == {"x": "2"})
    assert sorted(told(batches[before:])) == [("ADDED", "d"), ("DELETED", "b"), ("MODIFIED", "a")]


async def test_what_cannot_be_read_keeps_what_it_gave(made: World) -> None:
    await made.put("a", x="1")
    async with running(made.source) as batches:
        await until(lambda: batches)
        await made.settle()
        count = len(batches)
        await made.break_()
        if not isinstance(made, InMemory):
            await until(lambda: made.source.errors)
        await asyncio.sleep(0.1)
        assert told(batches[count:]) == []
        assert made.source.holds(("configmaps", "default", "a"))
        await made.mend()
        await made.put("b", x="1")
        await until(lambda: "b" in state(batches))
        assert told(batches) == [("ADDED", "a"), ("ADDED", "b")]
        await until(lambda: not made.source.errors)


@pytest.mark.parametrize("name", WORLDS)
async def test_ended_it_leaves_no_task_and_nothing_open(name: str, root: Path) -> None:
    # The loop's own threads, and what is open once for all, are there from the first time.
    for number in range(2):
        tasks, files = len(asyncio.all_tasks()), _open()
        folder = root / str(number)
        folder.mkdir()
        async with world(name, folder) as made:
            await made.put("a", x="1")
            async with running(made.source) as batches:
                await until(batches.__len__)
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == tasks
    assert _open() <= files


def _open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
