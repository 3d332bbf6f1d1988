"""Pilot over real gRPC with state of the world, beside delta, with proxies written in Python."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3 import discovery_pb2
from tests.pilot.shell.stage import (
    EVERYTHING,
    QUICK,
    THINGS,
    URLS,
    Proxy,
    Stage,
    cluster,
    endpoints,
    pod,
    route,
    until,
    written,
)

from meltemi.pilot.core.resource import message_of
from meltemi.pilot.shell import debug
from meltemi.pilot.shell.service import SERVICE
from meltemi.pilot.shell.variants import STATE_OF_THE_WORLD
from meltemi.pilot.wire.ads import Limits
from meltemi.pilot.wire.sotw import StateRequest
from meltemi.pilot.wire.sotw_messages import encode_state_request
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS

Stages = Callable[..., Awaitable[Stage]]


@dataclass
class StateProxy:
    """A client that speaks state of the world, accepts all but `bad` names, and keeps what it got."""

    socket: str
    token: str
    names: dict[str, tuple[str, ...]]
    bad: dict[str, str] = field(default_factory=dict)
    has: dict[str, dict[str, bytes]] = field(default_factory=lambda: {url: {} for url in URLS.values()})
    refused: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[StateProxy]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            call: Any = channel.stream_stream(f"/{SERVICE}/{STATE_OF_THE_WORLD.method}")(
                metadata=(("authorization", f"Bearer {self.token}"),)
            )
            task = asyncio.get_running_loop().create_task(self._speak(call))
            try:
                yield self
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                    await task

    async def _speak(self, call: Any) -> None:
        for type_url, names in self.names.items():
            await call.write(encode_state_request(StateRequest(type_url, names)))
        async for data in call:
            response = discovery_pb2.DiscoveryResponse.FromString(data)
            words = self._take(response.type_url, {name_of(each): each.value for each in response.resources})
            if words is not None:
                self.refused.append(words)
            names = self.names[response.type_url]
            answer = StateRequest(response.type_url, names, response.nonce, words)
            await call.write(encode_state_request(answer))

    def _take(self, url: str, there: dict[str, bytes]) -> str | None:
        good = {
            name: body
            for name, body in there.items()
            if name not in self.bad or self.has[url].get(name) == body
        }
        kept = {name: body for name, body in self.has[url].items() if name in there or url in (EDS, RDS)}
        self.has[url] = {**kept, **good}
        return next((f"{name}: {self.bad[name]}" for name in there if name not in good), None)


MESSAGES: dict[str, Any] = {CDS: Cluster, EDS: ClusterLoadAssignment, LDS: Listener, RDS: RouteConfiguration}


def name_of(packed: Any) -> str:
    message: Any = MESSAGES[packed.type_url].FromString(packed.value)
    return str(message.cluster_name if packed.type_url == EDS else message.name)


ALL = {CDS: (), LDS: (), EDS: ("one", "two"), RDS: ("r",)}


async def test_it_is_served_beside_delta_and_both_have_the_same(stage: Stage) -> None:
    await stage.put(
        pod("a"), pod("b"), written("cds", "one", cluster("one")), written("eds", "one", endpoints("one", 1))
    )
    async with (
        StateProxy(stage.socket, "a.default", ALL).connected() as proxy,
        Proxy(stage.socket, "b.default").connected(*EVERYTHING) as delta,
    ):

        def same() -> bool:
            held = {
                url: {n: message_of(e.framed)[1] for n, e in delta.machine.held(url).items()} for url in ALL
            }
            return held == {url: {n: b for n, b in proxy.has[url].items() if n in held[url]} for url in ALL}

        await until(lambda: set(proxy.has[CDS]) == {"one"} == set(proxy.has[EDS]) - {"two"} and same())
        assert not ClusterLoadAssignment.FromString(proxy.has[EDS]["two"]).endpoints
        await stage.put(
            written("cds", "two", cluster("two", 3)),
            written("eds", "two", endpoints("two", 2, 3)),
            written("rds", "r", route("r", "two")),
            written("eds", "one", endpoints("one", 4)),
        )
        await until(lambda: set(proxy.has[CDS]) == {"one", "two"} and set(proxy.has[RDS]) == {"r"} and same())
        await stage.put(written("cds", "one", None), written("eds", "one", None))
        await until(lambda: set(proxy.has[CDS]) == {"two"} and same())
        statuses = [[each.status for each in one.types] for one in debug.streams(stage.pilot)]
        assert statuses == [[debug.SYNCED] * 4] * 2


async def test_progress_counts_it(stage: Stage) -> None:
    await stage.put(pod("a"), pod("b"), written("cds", "one", cluster("one", eds=False), generation=3))
    async with (
        Proxy(stage.socket, "a.default").connected(*EVERYTHING) as good,
        StateProxy(stage.socket, "b.default", ALL, bad={"one": "is bad"}).connected() as bad,
    ):
        await until(lambda: bool(good.has(CDS)) and bool(bad.refused))
        async with asyncio.timeout(10):
            seen = await stage.pilot.progress.wait(
                THINGS.name,
                "cds",
                "one",
                lambda seen: seen is not None and bool(seen.rejected) and seen.n == 1,
            )
        assert seen is not None
        assert (seen.n, seen.m, seen.rejected) == (1, 2, (("b.default", "one: is bad"),))
        status = next(one for one in debug.streams(stage.pilot) if one.proxy == "b.default")
        assert status.types[0].refused == (("one", "one: is bad"),)
        bad.bad.clear()
        await stage.put(written("cds", "one", cluster("one", 3, eds=False), generation=4))
        async with asyncio.timeout(10):
            seen = await stage.pilot.progress.wait(
                THINGS.name, "cds", "one", lambda seen: seen is not None and seen.done
            )
        assert seen is not None
        assert (seen.generation, seen.n, seen.m) == (4, 2, 2)


async def test_what_it_refuses_stays_with_the_others_and_as_it_was(stage: Stage) -> None:
    await stage.put(pod("a"), written("cds", "one", cluster("one", 1, eds=False)))
    async with StateProxy(stage.socket, "a.default", ALL).connected() as proxy:
        await until(lambda: set(proxy.has[CDS]) == {"one"})
        before = proxy.has[CDS]["one"]
        # What stands in for the refused one is what the server knows to be taken.
        machine = stage.pilot.connections[0].machine
        await until(lambda: set(machine.state(CDS).has) == {"one"})
        proxy.bad["one"] = "not here"
        await stage.put(
            written("cds", "one", cluster("one", 2, eds=False)),
            written("cds", "two", cluster("two", eds=False)),
        )
        await until(lambda: set(proxy.has[CDS]) == {"one", "two"})
        await stage.put(written("cds", "three", cluster("three", eds=False)))
        await until(lambda: set(proxy.has[CDS]) == {"one", "two", "three"})
        assert proxy.has[CDS]["one"] == before
        assert proxy.refused == ["one: not here"]


# --- it is let in as delta is


async def refusal(stage: Stage, token: str, first: bytes = b"") -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(f"unix:{stage.socket}") as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/{STATE_OF_THE_WORLD.method}")(
            metadata=(("authorization", f"Bearer {token}"),)
        )
        try:
            async with asyncio.timeout(10):
                if first:
                    await call.write(first)
                async for _ in call:
                    pass
        except grpc.aio.AioRpcError as error:
            return error
    raise AssertionError("the stream ended well")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("nobody", grpc.StatusCode.UNAUTHENTICATED),
        (".default", grpc.StatusCode.PERMISSION_DENIED),
        ("unknown.default", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_who_proves_nothing_gets_nothing(stage: Stage, token: str, code: grpc.StatusCode) -> None:
    assert (await refusal(stage, token)).code() == code
    assert not stage.pilot.connections


@pytest.mark.parametrize(
    "first",
    [b"\xff\xff\xff", encode_state_request(StateRequest(EDS, ("a", "b")))],
    ids=["garbage", "many names"],
)
async def test_limits_hold(stages: Stages, first: bytes) -> None:
    stage = await stages(options=replace(QUICK, limits=Limits(names=1)))
    await stage.put(pod("a"))
    assert (await refusal(stage, "a.default", first)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await until(lambda: not stage.pilot.connections)
