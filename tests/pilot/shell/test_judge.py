"""A judge whose Envoy is slow, hangs or is killed: no verdict is no acquittal, and is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from meltemi.envoy.clusters import Cluster, Discovery, encode_cluster
from meltemi.model.facts import NACK
from meltemi.pilot.core.resource import CDS, resource
from meltemi.pilot.shell.judge import INNOCENT, EnvoyJudge, Undecided, Verdict
from meltemi.pilot.shell.quarantine import Quarantine
from meltemi.pilot.shell.worlds import Sendable, World
from meltemi.pilot.wire.ads import Rejected
from meltemi.query import Change

BODY = encode_cluster(Cluster("a", Discovery.STATIC))
WORDS = "[critical] error initializing configuration '/x': Invalid path: /not/there.pem"


def envoy(folder: Path, *lines: str) -> EnvoyJudge:
    """A judge with an Envoy of these lines of shell."""
    file = folder / "envoy"
    file.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    file.chmod(0o700)
    return EnvoyJudge(str(file), timeout=1.0)


async def test_only_success_acquits_and_only_words_on_the_configuration_condemn(tmp_path: Path) -> None:
    assert await envoy(tmp_path, "exit 0")(CDS, "a", BODY) == INNOCENT
    verdict = await envoy(tmp_path, f'echo "{WORDS}" >&2', "exit 1")(CDS, "a", BODY)
    assert verdict == Verdict(condemned=True, reason="Invalid path: /not/there.pem")
    with pytest.raises(Undecided, match="out of memory"):
        await envoy(tmp_path, "echo out of memory >&2", "exit 137")(CDS, "a", BODY)


async def test_an_envoy_that_hangs_has_said_what_it_said(tmp_path: Path) -> None:
    verdict = await envoy(tmp_path, f'echo "{WORDS}" >&2', "exec sleep 60")(CDS, "a", BODY)
    assert verdict.condemned
    with pytest.raises(Undecided):
        await envoy(tmp_path, "exec sleep 60")(CDS, "a", BODY)
    with pytest.raises(Undecided):
        await envoy(tmp_path, "exec sleep 60").jury([(CDS, "a", BODY)], ())


async def test_a_bootstrap_that_no_envoy_starts_from_is_condemned(tmp_path: Path) -> None:
    once = ("[ -e $0.asked ] && exit 0", "touch $0.asked", "kill -9 $$")
    assert await envoy(tmp_path, *once).whole(b"") == INNOCENT
    verdict = await envoy(tmp_path, "echo no >&2", "exit 139").whole(b"")
    assert verdict == Verdict(condemned=True, reason="Envoy ended with 139: no")


@pytest.mark.parametrize(("fails", "times"), [(0, 1), (1, 2), (4, 5), (5, 6)])
async def test_what_was_not_decided_is_judged_again(fails: int, times: int) -> None:
    """Five times by itself, and then when somebody refuses it again."""
    asked: list[str] = []
    changes: list[Change[Any]] = []
    withdrawn = asyncio.Event()

    async def judge(_type_url: str, name: str, _message: bytes) -> Verdict:
        asked.append(name)
        if len(asked) <= fails:
            raise Undecided
        return Verdict(condemned=True, reason="no")

    def submit(given: Iterable[Change[Any]]) -> None:
        changes.extend(given)
        withdrawn.set()

    quarantine = Quarantine(judge, submit, pause=0.0)
    world = World(CDS, {"a": Sendable(resource(CDS, "a", BODY, ()), "v1")})
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(quarantine.run())
        quarantine.accuse("1.40", world, Rejected(CDS, {"a": "v1"}, "a: no"))
        while len(asked) < min(times, 5):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        quarantine.accuse("1.40", world, Rejected(CDS, {"a": "v1"}, "a: no"))
        await withdrawn.wait()
        task.cancel()
    assert len(asked) == times
    assert [change.kind for change in changes] == [NACK]
