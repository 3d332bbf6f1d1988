"""Pilot with real Envoys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.pilot.shell import stage as staging
from tests.pilot.shell.envoys import DELTA, STATE_OF_THE_WORLD, Envoy, binary, envoy_at
from tests.pilot.shell.stage import Stage, cluster, endpoints, listener, pod, route, until, written

from meltemi.pilot.shell import debug
from meltemi.pilot.shell.judge import EnvoyJudge
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS

pytestmark = pytest.mark.live


@pytest.fixture(params=[DELTA, STATE_OF_THE_WORLD])
def api_type(request: pytest.FixtureRequest) -> str:
    """Each variant of the protocol that Envoy speaks."""
    return str(request.param)


@pytest.fixture
async def backends() -> AsyncIterator[dict[str, int]]:
    """Two servers that say who they are."""
    runners, ports = [], {}
    for name in ("one", "two"):

        async def answer(_request: web.Request, name: str = name) -> web.Response:
            return web.Response(text=name)

        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports[name] = runner.addresses[0][1]
        runners.append(runner)
    yield ports
    for runner in runners:
        await runner.cleanup()


async def call(pipe: str) -> str:
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(pipe)) as session,
            session.get("http://any/", timeout=aiohttp.ClientTimeout(5)) as answer,
        ):
            return await answer.text() if answer.status == 200 else str(answer.status)
    except (aiohttp.ClientError, OSError) as error:
        return type(error).__name__


async def until_answer(pipe: str, wanted: str, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while await call(pipe) != wanted:
            await asyncio.sleep(0.02)


async def first_mesh(stage: Stage, pipe: str, backends: dict[str, int]) -> None:
    await stage.put(
        pod("a"),
        pod("b"),
        written("cds", "one", cluster("one")),
        written("eds", "one", endpoints("one", backends["one"])),
        written("lds", "in", listener("in", pipe, "r")),
        written("rds", "r", route("r", "one")),
    )


def synced(stage: Stage) -> bool:
    connections = stage.pilot.connections
    return bool(connections) and all(
        one.machine.state(type_url).requested and not one.machine.state(type_url).waiting
        for one in connections
        for type_url in (CDS, EDS, LDS, RDS)
    )


async def test_an_envoy_takes_everything_and_follows(
    stage: Stage, tmp_path: Path, backends: dict[str, int], api_type: str
) -> None:
    pipe = str(tmp_path / "in")
    await first_mesh(stage, pipe, backends)
    async with envoy_at(tmp_path, stage.socket, "a.default", api_type=api_type) as envoy:
        await envoy.until_live()
        await until(lambda: synced(stage))
        assert await call(pipe) == "one"
        (status,) = debug.streams(stage.pilot)
        assert [each.status for each in status.types] == [debug.SYNCED] * 4
        assert status.envoy.startswith("1.4")
        # An endpoint moves.
        await stage.put(written("eds", "one", endpoints("one", backends["two"])))
        await until_answer(pipe, "two")
        # A route goes to a cluster that did not exist, which then loses its rival.
        await stage.put(
            written("cds", "other", cluster("other")),
            written("eds", "other", endpoints("other", backends["one"])),
            written("rds", "r", route("r", "other")),
            written("cds", "one", None),
            written("eds", "one", None),
        )
        await until_answer(pipe, "one")
        await until(
            lambda: synced(stage) and set(stage.pilot.connections[0].machine.state(CDS).has) == {"other"}
        )
        assert "\none::" not in "\n" + await envoy.get("/clusters")


async def test_no_request_fails_while_routes_and_clusters_are_exchanged(
    stage: Stage, tmp_path: Path, backends: dict[str, int], api_type: str
) -> None:
    pipe = str(tmp_path / "in")
    await first_mesh(stage, pipe, backends)
    async with envoy_at(tmp_path, stage.socket, "a.default", api_type=api_type) as envoy:
        await envoy.until_live()
        await until_answer(pipe, "one")
        answers: list[str] = []
        stop = asyncio.Event()

        async def load() -> None:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(pipe)) as session:
                while not stop.is_set():
                    async with session.get("http://any/") as answer:
                        answers.append(await answer.text() if answer.status == 200 else str(answer.status))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load())
            old = "one"
            for turn in range(20):
                new = f"c{turn}"
                await stage.put(
                    written("cds", new, cluster(new)),
                    written("eds", new, endpoints(new, backends["one" if turn % 2 else "two"])),
                    written("rds", "r", route("r", new)),
                    written("cds", old, None),
                    written("eds", old, None),
                )
                old = new
                await asyncio.sleep(0.03)
            await until(lambda: synced(stage))
            stop.set()
        assert set(answers) == {"one", "two"}
        assert len(answers) > 100


async def test_a_changed_cluster_does_not_hang(
    stage: Stage, tmp_path: Path, backends: dict[str, int], api_type: str
) -> None:
    pipe = str(tmp_path / "in")
    await first_mesh(stage, pipe, backends)
    async with envoy_at(tmp_path, stage.socket, "a.default", api_type=api_type) as envoy:
        await envoy.until_live()
        await until(lambda: synced(stage))
        began = time.monotonic()
        for timeout in range(2, 8):
            await stage.put(written("cds", "one", cluster("one", timeout)))
            await until(lambda: synced(stage))
        # Without the endpoints behind it each change takes Envoy's 15 seconds.
        assert time.monotonic() - began < 12
        stats = await envoy.stats()
        assert stats["cluster_manager.cds.update_rejected"] == 0
        assert stats["cluster_manager.warming_clusters"] == 0


async def test_a_bad_resource_is_isolated(tmp_path: Path, backends: dict[str, int], api_type: str) -> None:
    stage = await staging.start(tmp_path, judge=EnvoyJudge(binary()))
    pipe, second = str(tmp_path / "in"), str(tmp_path / "second")
    try:
        await first_mesh(stage, pipe, backends)
        async with envoy_at(tmp_path, stage.socket, "a.default", api_type=api_type) as envoy:
            await envoy.until_live()
            await until(lambda: synced(stage))
            bad = cluster("one", 3)
            bad.lb_subset_config.fallback_policy = 99  # type: ignore[assignment]
            await stage.put(
                written("cds", "one", bad, generation=2),
                written("cds", "two", cluster("two")),
                written("eds", "two", endpoints("two", backends["two"])),
                written("rds", "r", route("r", "two")),
            )
            # The rest of the same push arrives.
            await until_answer(pipe, "two")
            await until(lambda: bool(stage.pilot.quarantine.condemned))
            (condemned,) = stage.pilot.quarantine.condemned
            assert condemned.name == "one"
            assert condemned.reason
            # The last good one is in force, for a new proxy as well, and nobody refuses anything any more.
            async with envoy_at(tmp_path, stage.socket, "b.default", api_type=api_type) as other:
                await stage.put(written("lds", "in", listener("in", second, "r")))
                await other.until_live()
                await until(lambda: len(stage.pilot.connections) == 2 and synced(stage))
                assert (await other.stats())["cluster_manager.cds.update_rejected"] == 0
                assert set(stage.pilot.connections[1].machine.state(CDS).has) == {"one", "two"}
            rejected = (await envoy.stats())["cluster_manager.cds.update_rejected"]
            assert rejected == 1
            seen = stage.pilot.progress.progress("things.test.istio.io", "cds", "one")
            assert seen is not None
            assert seen.rejected
            await stage.put(written("cds", "one", cluster("one", 4), generation=3))
            await until(lambda: staging_done(stage, "cds", "one"))
            assert (await envoy.stats())["cluster_manager.cds.update_rejected"] == rejected
    finally:
        await stage.stop()


def staging_done(stage: Stage, short: str, name: str) -> bool:
    seen = stage.pilot.progress.progress("things.test.istio.io", short, name)
    return seen is not None and seen.done


async def test_a_killed_pilot_comes_back_and_sends_what_differs(
    tmp_path: Path, backends: dict[str, int], api_type: str
) -> None:
    pipe = str(tmp_path / "in")
    stage = await staging.start(tmp_path)
    try:
        await first_mesh(stage, pipe, backends)
        async with envoy_at(tmp_path, stage.socket, "a.default", api_type=api_type) as envoy:
            await envoy.until_live()
            await until(lambda: synced(stage))
            await stage.stop()
            assert await call(pipe) == "one"
            stage = await staging.start(tmp_path)
            await stage.put(
                pod("a"),
                written("cds", "two", cluster("two")),
                written("eds", "two", endpoints("two", backends["two"])),
                written("lds", "in", listener("in", pipe, "r")),
                written("rds", "r", route("r", "two")),
            )
            await until_answer(pipe, "two", 20)
            await until(
                lambda: synced(stage) and set(stage.pilot.connections[0].machine.state(CDS).has) == {"two"}
            )
            # The listener did not change, and was not sent again; state of the world cannot say what it has.
            assert (LDS in stage.pilot.connections[0].sent) == (api_type == STATE_OF_THE_WORLD)
            await still(envoy)
    finally:
        await stage.stop()


async def still(envoy: Envoy) -> None:
    stats = await envoy.stats()
    assert stats["cluster_manager.cds.update_rejected"] == 0
    assert stats["listener_manager.lds.update_rejected"] == 0


@pytest.mark.parametrize("token", ["nobody", "unknown.default"])
async def test_an_envoy_without_a_pod_gets_nothing(stage: Stage, tmp_path: Path, token: str) -> None:
    await stage.put(pod("a"), written("cds", "one", cluster("one", eds=False)))
    async with envoy_at(tmp_path, stage.socket, token) as envoy:
        await asyncio.sleep(1.0)
        assert not stage.pilot.connections
        assert not await envoy.live()
