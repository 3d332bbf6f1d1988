"""Pilot over real gRPC, with proxies written in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.pilot.shell.stage import (
    EVERYTHING,
    QUICK,
    THINGS,
    Proxy,
    Stage,
    cluster,
    endpoints,
    pod,
    route,
    slow_roots,
    until,
    written,
)

from meltemi.pilot.shell import debug
from meltemi.pilot.shell.judge import INNOCENT, Verdict
from meltemi.pilot.shell.service import SERVICE
from meltemi.pilot.shell.variants import DELTA
from meltemi.pilot.wire.ads import Limits
from meltemi.pilot.wire.messages import Request, encode_request
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS
from meltemi.query import Change, Db, query

Stages = Callable[..., Awaitable[Stage]]


async def refusal(
    stage: Stage, metadata: tuple[tuple[str, str], ...], first: bytes = b""
) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(f"unix:{stage.socket}") as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/{DELTA.method}")(metadata=metadata)
        try:
            async with asyncio.timeout(10):
                if first:
                    await call.write(first)
                async for _ in call:
                    pass
        except grpc.aio.AioRpcError as error:
            return error
    raise AssertionError("the stream ended well")


async def test_a_proxy_gets_what_there_is_and_what_changes(stage: Stage) -> None:
    await stage.put(
        pod("a"), written("cds", "one", cluster("one")), written("eds", "one", endpoints("one", 1))
    )
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: set(proxy.has(CDS)) == {"one"} and set(proxy.has(EDS)) == {"one"})
        await stage.put(written("rds", "r", route("r", "one")))
        await until(lambda: set(proxy.has(RDS)) == {"r"})
        await stage.put(written("rds", "r", None))
        await until(lambda: not proxy.has(RDS))


async def test_who_follows_a_query_is_told_its_value_now_and_whenever_it_changes(stage: Stage) -> None:
    @query
    def names(q: Db) -> tuple[str, ...]:
        return q.names(THINGS, "cds")

    told: list[tuple[str, ...]] = []
    stage.pilot.follow(names, told.append)
    await until(lambda: told == [()])
    await stage.put(written("cds", "one", cluster("one")))
    await stage.put(written("eds", "one", endpoints("one", 1)))
    await stage.put(written("cds", "two", cluster("two")))
    await until(lambda: len(told) > 2)
    assert told == [(), ("one",), ("one", "two")]


async def test_a_stream_waits_for_its_pod_a_little(stage: Stage) -> None:
    async with Proxy(stage.socket, "late.default").connected(*EVERYTHING) as proxy:
        await asyncio.sleep(0.05)
        await stage.put(pod("late"), written("cds", "one", cluster("one", eds=False)))
        await until(lambda: set(proxy.has(CDS)) == {"one"})


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Basic abc"),), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer"),), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer nobody"),), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer .default"),), grpc.StatusCode.PERMISSION_DENIED),
        ((("authorization", "Bearer unknown.default"),), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_who_proves_nothing_gets_nothing(
    stage: Stage, metadata: tuple[tuple[str, str], ...], code: grpc.StatusCode
) -> None:
    assert (await refusal(stage, metadata)).code() == code
    assert not stage.pilot.connections


async def test_the_token_of_an_older_pod_of_the_name_is_not_this_pods(stage: Stage) -> None:
    await stage.put(pod("a", uid="new"))
    error = await refusal(stage, (("authorization", "Bearer a.default.old"),))
    assert error.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("first", [b"\xff\xff\xff", encode_request(Request("x", subscribe=("y" * 2000,)))])
async def test_what_nobody_may_send_ends_the_stream(stage: Stage, first: bytes) -> None:
    await stage.put(pod("a"))
    error = await refusal(stage, (("authorization", "Bearer a.default"),), first)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await until(lambda: not stage.pilot.connections)


async def test_who_asks_for_nothing_is_sent_away(stage: Stage) -> None:
    await stage.put(pod("a"))
    error = await refusal(stage, (("authorization", "Bearer a.default"),))
    assert "nothing was asked for" in str(error.details())


async def test_streams_are_counted(stages: Stages) -> None:
    stage = await stages(options=replace(QUICK, connections_per_pod=1, connections=2))
    await stage.put(pod("a"), pod("b"), pod("c"))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING):
        await until(lambda: len(stage.pilot.connections) == 1)
        error = await refusal(stage, (("authorization", "Bearer a.default"),))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        async with Proxy(stage.socket, "b.default").connected(*EVERYTHING):
            await until(lambda: len(stage.pilot.connections) == 2)
            error = await refusal(stage, (("authorization", "Bearer c.default"),))
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await until(lambda: not stage.pilot.connections)


async def test_limits_hold_on_the_wire(stages: Stages) -> None:
    stage = await stages(options=replace(QUICK, limits=Limits(names=1)))
    await stage.put(pod("a"))
    metadata = (("authorization", "Bearer a.default"),)
    error = await refusal(stage, metadata, encode_request(Request(EDS, subscribe=("a", "b"))))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_streams_of_equal_view_share_what_they_are_sent(stage: Stage) -> None:
    await stage.put(pod("a"), pod("b"), written("cds", "one", cluster("one", eds=False)))
    async with (
        Proxy(stage.socket, "a.default").connected(*EVERYTHING) as one,
        Proxy(stage.socket, "b.default").connected(*EVERYTHING) as two,
    ):
        await until(lambda: bool(one.has(CDS)) and bool(two.has(CDS)))
        first, second = stage.pilot.connections
        assert first.held is second.held
        assert stage.pilot.engine.memos()["tests.pilot.shell.stage.staged_roots"] == 1


async def test_a_pod_whose_view_changes_moves(stage: Stage) -> None:
    await stage.put(pod("a", app="x"), written("cds", "one", cluster("one", eds=False)))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(CDS)))
        await stage.put(pod("a", app="y"), written("cds", "two", cluster("two", eds=False)))
        await until(lambda: set(proxy.has(CDS)) == {"one", "two"})
        assert stage.pilot.connections[0].held.view.workload == "y"
        await stage.put(Change(stage_pods(), "default", "a", None))
        await stage.put(written("cds", "three", cluster("three", eds=False)))
        await until(lambda: set(proxy.has(CDS)) == {"one", "two", "three"})


async def test_a_stream_of_an_older_pod_of_the_name_does_not_become_this_pods(stage: Stage) -> None:
    await stage.put(pod("a", uid="old", app="x"), written("cds", "one", cluster("one", eds=False)))
    async with Proxy(stage.socket, "a.default.old").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(CDS)))
        await stage.put(pod("a", uid="new", app="y"))
        async with Proxy(stage.socket, "a.default.new").connected(*EVERYTHING) as other:
            await until(lambda: bool(other.has(CDS)))
            assert [each.held.view.workload for each in stage.pilot.connections] == ["x", "y"]


async def test_a_view_without_streams_is_let_go_after_a_while(stage: Stage) -> None:
    await stage.put(pod("a"), written("cds", "one", cluster("one", eds=False)))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(CDS)))
    await until(lambda: not stage.pilot.connections)
    await asyncio.sleep(0.25)
    await stage.put(written("cds", "two", cluster("two", eds=False)))
    assert stage.pilot.engine.counts().memos == 0
    assert not stage.pilot.engine.audit()


async def test_a_reconnect_gets_only_what_differs(stage: Stage) -> None:
    await stage.put(
        pod("a"), *(written("cds", name, cluster(name, eds=False)) for name in ("one", "two", "three"))
    )
    proxy = Proxy(stage.socket, "a.default")
    async with proxy.connected(*EVERYTHING):
        await until(lambda: len(proxy.has(CDS)) == 3)
    await stage.put(written("cds", "two", cluster("two", 9, eds=False)), written("cds", "three", None))
    proxy.responses.clear()
    async with proxy.connected(*EVERYTHING):
        await until(lambda: set(proxy.has(CDS)) == {"one", "two"})
    sent = [response for response in proxy.responses if response.type == CDS]
    assert [[entry.name for entry in response.resources] for response in sent if response.resources] == [
        ["two"]
    ]


async def test_many_changes_at_once_are_few_pushes(stages: Stages) -> None:
    stage = await stages(options=replace(QUICK, quiet=0.1, longest=5.0))
    await stage.put(pod("a"), written("eds", "one", endpoints("one", 1)))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(EDS)))
        proxy.responses.clear()
        tickets = [stage.pilot.submit([written("eds", "one", endpoints("one", n))]) for n in range(2, 102)]
        await asyncio.wait_for(stage.pilot.applied(tickets[-1]), 10)
        wanted = stage.pilot.connections[0].held.worlds[EDS]["one"].version
        await until(lambda: proxy.has(EDS)["one"] == wanted)
        assert len([each for each in proxy.responses if each.type == EDS]) <= 2


async def test_a_reader_that_does_not_read_costs_nobody(stage: Stage) -> None:
    names = [f"c{number}" for number in range(50)]
    await stage.put(pod("a"), pod("b"), *(written("cds", name, cluster(name, eds=False)) for name in names))
    async with grpc.aio.insecure_channel(f"unix:{stage.socket}") as channel:
        metadata = (("authorization", "Bearer b.default"),)
        call: Any = channel.stream_stream(f"/{SERVICE}/{DELTA.method}")(metadata=metadata)
        await call.write(encode_request(Request(CDS)))
        async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
            for timeout in range(2, 8):
                await stage.put(*(written("cds", name, cluster(name, timeout, eds=False)) for name in names))
                wanted = {
                    name: each.version for name, each in stage.pilot.connections[-1].held.worlds[CDS].items()
                }
                await until(lambda wanted=wanted: proxy.has(CDS) == wanted)  # type: ignore[misc]
            silent = next(each for each in stage.pilot.connections if each.peer.proxy == "b.default")
            assert silent.sent == {CDS: 1}
            assert silent.machine.state(CDS).waiting
        call.cancel()


# --- refusals and progress


async def test_progress_counts_the_proxies_that_have_it(stage: Stage) -> None:
    await stage.put(pod("a"), pod("b"), written("lds", "one", cluster("one", eds=False), generation=3))
    assert stage.pilot.progress.progress(THINGS.name, "lds", "nothing") is None
    async with (
        Proxy(stage.socket, "a.default").connected(*EVERYTHING) as good,
        Proxy(stage.socket, "b.default", bad={"one": "one is bad"}).connected(*EVERYTHING) as bad,
    ):
        await until(lambda: bool(good.has(LDS)) and bool(bad.refused))
        async with asyncio.timeout(10):
            seen = await stage.pilot.progress.wait(
                THINGS.name,
                "lds",
                "one",
                lambda seen: seen is not None and bool(seen.rejected) and seen.n == 1,
            )
        assert seen is not None
        assert (seen.generation, seen.n, seen.m, seen.rejected) == (3, 1, 2, (("b.default", "one is bad"),))
        told = dict(stage.pilot.progress.report())
        assert told[THINGS.name, "lds", "one"] == seen
        assert not stage.pilot.progress.report()
        await stage.put(written("lds", "one", cluster("one", 2, eds=False), generation=4))
        await until(lambda: len(bad.refused) == 2)
        bad.bad.clear()
        await stage.put(written("lds", "one", cluster("one", 3, eds=False), generation=5))
        async with asyncio.timeout(10):
            seen = await stage.pilot.progress.wait(
                THINGS.name, "lds", "one", lambda seen: seen is not None and seen.done
            )
        assert seen is not None
        assert (seen.generation, seen.n, seen.m) == (5, 2, 2)


async def test_what_one_proxy_refuses_stays_with_the_others(stages: Stages) -> None:
    asked: list[str] = []

    async def innocent(_type: str, name: str, _message: bytes) -> Verdict:
        asked.append(name)
        return INNOCENT

    stage = await stages(judge=innocent)
    await stage.put(pod("a"), pod("b"), written("cds", "one", cluster("one", 1, eds=False)))
    async with (
        Proxy(stage.socket, "a.default").connected(*EVERYTHING) as good,
        Proxy(stage.socket, "b.default").connected(*EVERYTHING) as bad,
    ):
        await until(lambda: bool(good.has(CDS)) and bool(bad.has(CDS)))
        bad.bad["one"] = "not here"
        before = bad.has(CDS)
        await stage.put(written("cds", "one", cluster("one", 2, eds=False)))
        await until(lambda: bool(bad.refused) and asked == ["one"] and good.has(CDS) != before)
        await stage.put(written("cds", "two", cluster("two", 2, eds=False)))
        await until(lambda: set(bad.has(CDS)) == {"one", "two"})
        assert bad.has(CDS)["one"] == before["one"]
        assert len(bad.refused) == 1
        assert not stage.pilot.quarantine.condemned


async def test_a_judge_that_fails_ends_nothing_and_is_asked_again(stages: Stages) -> None:
    asked: list[str] = []

    async def broken(_type: str, name: str, _message: bytes) -> Verdict:
        asked.append(name)
        if len(asked) == 1:
            raise OSError(28, "No space left on device")
        return Verdict(condemned=True, reason="no")

    stage = await stages(judge=broken)
    await stage.put(pod("a"), pod("b"), written("cds", "one", cluster("one", 1, eds=False)))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(CDS)))
        proxy.bad["one"] = "no"
        await stage.put(written("cds", "one", cluster("one", 2, eds=False)))
        await until(lambda: asked == ["one"])
        await stage.put(written("cds", "two", cluster("two", 2, eds=False)))
        await until(lambda: "two" in proxy.has(CDS))
        assert not stage.pilot.quarantine.condemned
        other = Proxy(stage.socket, "b.default")
        other.bad["one"] = "no"
        async with other.connected(*EVERYTHING):
            await until(lambda: bool(stage.pilot.quarantine.condemned))


async def test_what_is_condemned_is_withdrawn_and_the_last_good_one_kept(stages: Stages) -> None:
    async def strict(_type: str, _name: str, _message: bytes) -> Verdict:
        return Verdict(condemned=True, reason="no cluster may be so slow")

    stage = await stages(judge=strict)
    await stage.put(pod("a"), pod("b"), pod("c"), written("cds", "one", cluster("one", 1, eds=False)))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(CDS)))
        before = proxy.has(CDS)
        proxy.bad["one"] = "too slow"
        await stage.put(written("cds", "one", cluster("one", 2, eds=False), generation=2))
        await until(lambda: bool(proxy.refused))
        # It goes on with what it had, and takes that again.
        proxy.bad.clear()
        await until(lambda: bool(stage.pilot.quarantine.condemned))
        version = before["one"]
        await until(lambda: stage.pilot.connections[0].held.worlds[CDS]["one"].version == version)
        async with Proxy(stage.socket, "c.default").connected(*EVERYTHING) as new:
            await until(lambda: new.has(CDS) == before)
            assert len(new.responses) <= 4
        assert len(proxy.refused) == 1
        seen = stage.pilot.progress.progress(THINGS.name, "cds", "one")
        assert seen is not None
        assert ("a.default", "no cluster may be so slow") in seen.rejected
        assert not seen.done
        await stage.put(written("cds", "one", cluster("one", 3, eds=False), generation=3))
        await until(lambda: proxy.has(CDS) != before)
        await until(lambda: done(stage, "cds", "one"))


def done(stage: Stage, short: str, name: str) -> bool:
    seen = stage.pilot.progress.progress(THINGS.name, short, name)
    return seen is not None and seen.done


def stage_pods() -> Any:
    from meltemi.model.facts import PODS

    return PODS


# --- what it shows


async def test_proxy_status_says_how_each_type_stands(stage: Stage) -> None:
    await stage.put(
        pod("a"), written("cds", "one", cluster("one", eds=False)), written("eds", "two", endpoints("two", 1))
    )
    proxy = Proxy(stage.socket, "a.default", bad={"two": "two is bad"})
    async with proxy.connected((CDS, ("*",)), (EDS, ("two",))):
        await until(lambda: bool(proxy.has(CDS)) and bool(proxy.refused))
        await until(lambda: done(stage, "cds", "one"))
        (status,) = debug.streams(stage.pilot)
        assert (status.proxy, status.namespace, status.pod) == ("a.default", "default", "a")
        assert {each.type: each.status for each in status.types} == {
            "CDS": debug.SYNCED,
            "EDS": debug.ERROR,
            "LDS": debug.NOT_SENT,
            "RDS": debug.NOT_SENT,
        }
        assert status.types[1].refused == (("two", "two is bad"),)
        (row,) = debug.syncz(stage.pilot)
        assert row["cds_status"] == "SYNCED"
        assert row["refused"] == {"two": "two is bad"}
        assert debug.connections(stage.pilot)["totalClients"] == 1
        dump = debug.config_dump(stage.pilot, "a.default")
        assert dump is not None
        assert dump["configs"][0]["dynamic_active_clusters"][0]["cluster"]["name"] == "one"
    assert debug.config_dump(stage.pilot, "zz.default") is None


async def test_a_translation_that_raises_keeps_what_is_in_force(stage: Stage) -> None:
    await stage.put(pod("a"), written("cds", "one", cluster("one", eds=False)))
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as proxy:
        await until(lambda: bool(proxy.has(CDS)))
        before = proxy.has(CDS)
        await stage.put(Change(THINGS, "cds", "broken", "not an object"))
        assert stage.pilot.failures
        assert proxy.has(CDS) == before
        await stage.put(
            Change(THINGS, "cds", "broken", None), written("cds", "two", cluster("two", eds=False))
        )
        await until(lambda: set(proxy.has(CDS)) == {"one", "two"})
        assert not stage.pilot.failures


async def test_while_new_roots_are_computed_streams_come_and_go(stages: Stages) -> None:
    stage = await stages(roots_query=slow_roots, options=replace(QUICK, pod_wait=5.0))
    await stage.put(
        pod("a", app="x"),
        pod("b", app="y"),
        pod("c", app="z"),
        written("cds", "one", cluster("one", eds=False)),
    )
    async with Proxy(stage.socket, "a.default").connected(*EVERYTHING) as first:
        await until(lambda: stage.pilot.busy)
        seen_busy = 0
        async with Proxy(stage.socket, "b.default").connected(*EVERYTHING) as second:
            async with Proxy(stage.socket, "c.default").connected(*EVERYTHING):
                for _ in range(20):
                    seen_busy += stage.pilot.busy
                    stage.pilot.progress.progress(THINGS.name, "cds", "one")
                    await asyncio.sleep(0.005)
            ticket = stage.pilot.submit([written("cds", "two", cluster("two", eds=False))])
            await asyncio.wait_for(stage.pilot.applied(ticket), 20)
            await until(lambda: set(first.has(CDS)) == {"one", "two"} == set(second.has(CDS)))
            await until(lambda: done(stage, "cds", "two"))
        assert seen_busy
    await until(lambda: not stage.pilot.connections and not stage.pilot.busy)
    assert not stage.pilot.engine.audit()
