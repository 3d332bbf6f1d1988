"""The relay between a real Envoy and a scripted control plane: each may die, and the other does not care."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from meltemi.agent.shell.controlplane import ControlPlane
from meltemi.agent.shell.identity import Identity
from meltemi.agent.shell.relay import PodRelay
from meltemi.pilot.wire.messages import Entry
from meltemi.pilot.wire.types import CDS, LDS

from .proxies import Pod, Token, Upstream, entry, made, short_folder, until

pytestmark = pytest.mark.live


def cluster(name: str, version: str, **more: Any) -> Entry:
    document = {"name": name, "type": "STATIC", "connect_timeout": "1s", **more}
    return entry(made(cluster_pb2.Cluster, document), name, version)


class Scene:
    def __init__(self, pod: Pod, upstream: Upstream, relay: PodRelay) -> None:
        self.pod = pod
        self.upstream = upstream
        self.relay = relay

    async def has(self, wanted: dict[str, str]) -> None:
        async def same() -> bool:
            return await self.pod.clusters() == wanted

        await until(same)

    async def told(self, *wanted: tuple[int, str | None]) -> None:
        async def same() -> bool:
            return self.upstream.health == [*wanted]

        await until(same)


@contextlib.asynccontextmanager
async def staged() -> AsyncIterator[Scene]:
    with short_folder() as folder:
        assert isinstance(folder, Path)
        upstream = Upstream(str(folder / "xds.sock"))
        upstream.set(CDS, (cluster("a", "1"), cluster("b", "1")))
        upstream.set(LDS, ())
        async with ControlPlane(upstream.path) as plane:
            token = Token()
            identity = Identity(
                str(folder / "id"), "spiffe://x", plane, token, seconds=60, clock=lambda: datetime.now(UTC)
            )
            pod = Pod(folder, "p", identity)
            try:
                async with asyncio.timeout(60), pod.fed(plane) as relay:
                    yield Scene(pod, upstream, relay)
                    await pod.kill_envoy()
                    await upstream.stop()
            finally:
                await pod.kill_envoy()
                await upstream.stop()


async def test_an_envoy_gets_its_configuration_with_the_pods_own_token() -> None:
    async with staged() as scene:
        await scene.upstream.start()
        await scene.pod.start_envoy()
        await until(scene.pod.ready)
        await scene.has({"a": "1", "b": "1"})
        assert scene.upstream.tokens == ["Bearer the-pods-own-token"]
        took = {name: version for row in scene.upstream.accepted for name, version in row.versions.items()}
        assert took == {"a": "1", "b": "1"}


async def test_a_restarted_envoy_is_served_from_disk_while_the_control_plane_is_away() -> None:
    async with staged() as scene:
        await scene.upstream.start()
        await scene.pod.start_envoy()
        await scene.has({"a": "1", "b": "1"})
        await until_kept(scene.pod)
        await scene.upstream.stop()
        await scene.pod.kill_envoy()
        await scene.pod.start_envoy()
        await until(scene.pod.ready, 5.0)
        await scene.has({"a": "1", "b": "1"})
        # And it learns what changed when the control plane is back, from what it has.
        scene.upstream.set(CDS, (cluster("a", "2", connect_timeout="2s"), cluster("b", "1")))
        await scene.upstream.start()
        await scene.has({"a": "2", "b": "1"})


async def test_the_control_plane_hears_how_the_workload_is_whenever_it_comes() -> None:
    async with staged() as scene:
        scene.relay.report("not yet")
        await scene.upstream.start()
        await scene.pod.start_envoy()
        await scene.told((1, "not yet"))
        scene.relay.report(None)
        await scene.told((1, "not yet"), (1, None))
        await scene.upstream.stop()
        await scene.upstream.start()
        await scene.told((1, "not yet"), (1, None), (2, None))


async def until_kept(pod: Pod) -> None:
    async def kept() -> bool:
        return all((Path(pod.kept) / f"accepted.{name}").exists() for name in ("CDS", "LDS"))

    await until(kept)


async def test_envoys_stream_lives_through_the_control_planes_death() -> None:
    async with staged() as scene:
        await scene.upstream.start()
        await scene.pod.start_envoy()
        await scene.has({"a": "1", "b": "1"})
        await scene.upstream.stop()
        await scene.upstream.start()
        scene.upstream.set(CDS, (cluster("b", "1"), cluster("c", "1")))

        async def reconnected() -> bool:
            return scene.upstream.streams == 2

        await until(reconnected)
        await scene.has({"b": "1", "c": "1"})
        assert "config stream" not in scene.pod.log.read_text(), "Envoy saw no broken stream"


async def test_a_refusal_passes_upstream_with_envoys_words_and_the_old_one_stays() -> None:
    async with staged() as scene:
        await scene.upstream.start()
        await scene.pod.start_envoy()
        await scene.has({"a": "1", "b": "1"})
        bad = cluster("a", "2", lb_policy="CLUSTER_PROVIDED")
        scene.upstream.set(CDS, (bad, cluster("b", "2", connect_timeout="2s")))
        await scene.has({"a": "1", "b": "2"})

        async def rejected() -> bool:
            return bool(scene.upstream.rejected)

        await until(rejected)
        assert [dict(row.versions) for row in scene.upstream.rejected] == [{"a": "2"}]
        assert "a:" in scene.upstream.rejected[0].reason
        # A new Envoy gets the last good one, not what was refused.
        await scene.pod.kill_envoy()
        await scene.pod.start_envoy()
        await until(scene.pod.ready)
        await scene.has({"a": "1", "b": "2"})


async def test_a_process_of_another_pod_gets_nothing() -> None:
    async with staged() as scene:
        scene.pod.peer = "another"
        await scene.upstream.start()
        await scene.pod.start_envoy()
        with pytest.raises(TimeoutError):
            await until(scene.pod.ready, 2.0)
        assert scene.upstream.streams == 0
        scene.pod.peer = scene.pod.name
        await until(scene.pod.ready)
