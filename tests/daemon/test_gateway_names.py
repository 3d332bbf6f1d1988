from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meltemi.daemon.gateway_names import GatewayNames, addresses
from meltemi.model import facts
from meltemi.query import Change


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


async def test_names_are_asked_again_and_keep_what_they_had_while_nobody_answers() -> None:
    answers: dict[str, tuple[str, ...] | None] = {"a.test": ("10.0.0.1",), "b.test": None}
    asked: list[str] = []
    told: list[Change[Any]] = []

    async def find(name: str) -> tuple[str, ...] | None:
        asked.append(name)
        return answers[name]

    names = GatewayNames(told.extend, find, pause=0.001)
    task = asyncio.create_task(names.run())
    await asyncio.sleep(0.02)
    assert not asked
    names.tell(("a.test", "b.test"))
    await until(lambda: told)
    assert told == [Change(facts.RESOLVED, "", "a.test", ("10.0.0.1",))]
    answers.update({"a.test": None, "b.test": ("10.0.0.2",)})
    await until(lambda: len(told) > 1)
    assert told[1:] == [Change(facts.RESOLVED, "", "b.test", ("10.0.0.2",))]
    answers["a.test"] = ()
    await until(lambda: len(told) > 2)
    assert told[2:] == [Change(facts.RESOLVED, "", "a.test", None)]
    names.tell(())
    await until(lambda: len(told) > 3)
    assert told[3:] == [Change(facts.RESOLVED, "", "b.test", None)]
    count = len(asked)
    await asyncio.sleep(0.02)
    assert len(asked) == count
    task.cancel()


async def test_no_name_waits_for_another() -> None:
    told: list[Change[Any]] = []
    slow = asyncio.Event()

    async def find(name: str) -> tuple[str, ...]:
        if name == "slow.test":
            await slow.wait()
        return ("10.0.0.1",)

    names = GatewayNames(told.extend, find)
    task = asyncio.create_task(names.run())
    names.tell(("fast.test", "slow.test"))
    await until(lambda: told)
    names.tell(("late.test",))
    await until(lambda: len(told) > 2)
    assert [(one.name, one.value) for one in told] == [
        ("fast.test", ("10.0.0.1",)),
        ("fast.test", None),
        ("late.test", ("10.0.0.1",)),
    ]
    # What is no longer wanted is not told when it comes.
    slow.set()
    await asyncio.sleep(0.01)
    assert len(told) == 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_system_is_asked() -> None:
    assert await addresses("localhost") == ("127.0.0.1",)
    # No name of DNS: that it is nowhere is not said.
    assert await addresses("x" * 70) is None
