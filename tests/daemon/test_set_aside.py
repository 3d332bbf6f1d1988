"""An object that cannot be in force, on a whole control plane: its status, the Event, and that all else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.pilot.shell.stage import EVERYTHING, QUICK, Proxy, authenticate

from meltemi import checks
from meltemi.api import registry
from meltemi.api.core.event import EVENT
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.apiserver.core import users
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.daemon.processes import FED, REPORTED
from meltemi.daemon.status import StatusWriter
from meltemi.galley.shell.cluster import ClusterSource
from meltemi.galley.shell.feed import Feed
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.lastgood import LastGood
from meltemi.galley.shell.source import every
from meltemi.galley.shell.verdicts import VerdictBook
from meltemi.model.facts import VIRTUAL_SERVICES
from meltemi.pilot.core import http_routes
from meltemi.pilot.shell.aside import SetAside
from meltemi.pilot.shell.grpc_server import GrpcServer
from meltemi.pilot.shell.server import PilotServer
from meltemi.query import Engine

UNLUCKY = 13
KINDS = tuple(kind for name in FED if (kind := registry.of_resource(name)) is not None)


@dataclass
class Control:
    """A control plane and a proxy of it."""

    client: KubeClient
    pilot: PilotServer
    feed: Feed
    proxy: Proxy

    async def put(self, weight: int, name: str = "cart") -> None:
        """Apply the route of a service, past admission."""
        document = route(name, weight)
        if await self.client.find(VIRTUAL_SERVICE, "default", name) is None:
            await self.client.create(VIRTUAL_SERVICE, document)
        else:
            await self.client.patch(VIRTUAL_SERVICE, "default", name, document)

    async def conditions(self, name: str = "cart") -> dict[str, dict[str, Any]]:
        found = await self.client.get(VIRTUAL_SERVICE, "default", name)
        return {row["type"]: row for row in (found.get("status") or {}).get("conditions") or ()}

    async def until(self, holds: Callable[[dict[str, dict[str, Any]]], object], name: str = "cart") -> Any:
        async with asyncio.timeout(15):
            while not holds(await self.conditions(name)):
                await asyncio.sleep(0.05)
        return await self.client.get(VIRTUAL_SERVICE, "default", name)

    async def events(self) -> list[dict[str, Any]]:
        """Every Event, once there is one: it is written after the status that tells the same."""
        async with asyncio.timeout(10):
            while not (found := (await self.client.list(EVENT, "default")).items):
                await asyncio.sleep(0.02)
        return found

    def in_force(self, name: str = "cart") -> int | None:
        found = self.pilot.engine.fact(VIRTUAL_SERVICES, "default", name)
        return None if found is None else found.spec.http[0].route[-1].weight


def route(name: str, weight: int) -> dict[str, Any]:
    split = [
        {"destination": {"host": name}, "weight": 100 - weight},
        {"destination": {"host": name, "port": {"number": 80}}, "weight": weight},
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hosts": [name], "http": [{"route": split}]},
    }


async def _stand_up(client: KubeClient) -> str:
    for number, name in enumerate(("cart", "pay"), 1):
        spec = {"ports": [{"name": "http", "port": 80}], "clusterIP": f"198.19.0.{number}"}
        meta = {"name": name, "namespace": "default"}
        await client.create(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "sleep", "namespace": "default"},
        "spec": {
            "containers": [{"name": "app", "image": "x"}, {"name": "istio-proxy", "image": "x"}],
            "nodeName": "n",
        },
    }
    made = await client.create(POD, pod)
    status = {"status": {"phase": "Running", "podIP": "198.18.0.2"}}
    await client.patch(POD, "default", "sleep", status, subresource="status")
    return str(made["metadata"]["uid"])


@contextlib.asynccontextmanager
async def control(folder: Path) -> AsyncIterator[Control]:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(folder / "store.db"))
        api = ApiServer(store, authn=Authenticator(static={"secret": users.admin()}))
        await stack.enter_async_context(api.serve(unix=f"{folder}/api"))
        client = await stack.enter_async_context(KubeClient(f"unix://{folder}/api", token="secret"))
        old = await client.find(POD, "default", "sleep")
        uid = str(old["metadata"]["uid"]) if old else await _stand_up(client)
        verdicts = VerdictBook()
        aside = SetAside(verdicts, LastGood(folder / "translated.json"))
        pilot = PilotServer(
            Engine(),
            authenticate,
            steady=time.monotonic,
            clock=lambda: datetime.now(UTC),
            options=QUICK,
            aside=aside,
        )
        kept = LastGood(folder / "decoded.json")
        feed = Feed(
            [ClusterSource(client, every(KINDS))],
            lambda changes: void(pilot.submit(changes)),
            check=checks.check,
            kept=kept,
            verdicts=verdicts,
        )
        reported = [kind for kind in KINDS if kind.resource in REPORTED]
        writer = StatusWriter(
            client,
            reported,
            pilot.progress,
            verdicts,
            now=lambda: "2026-01-01T00:00:00Z",
            steady=time.monotonic,
        )
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(one.run()) for one in (pilot, feed, writer)]
        stack.push_async_callback(_end, tasks)
        await feed.synced.wait()
        server = GrpcServer([pilot.handler()], QUICK, unix=[f"{folder}/xds"])
        await server.start()
        stack.push_async_callback(server.stop, 0.0)
        proxy = Proxy(f"{folder}/xds", f"sleep.default.{uid}")
        await stack.enter_async_context(proxy.connected(*EVERYTHING))
        yield Control(client, pilot, feed, proxy)


def void(_: object) -> None:
    """Take no ticket."""


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short, for the paths of sockets are bounded.
    with tempfile.TemporaryDirectory(prefix="mk") as found:
        yield Path(found)


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: translation raises for a route with a weight of 13."""
    forward = http_routes._forward

    def unlucky(*args: Any, **kwargs: Any) -> Any:
        if any(
            one.weight == UNLUCKY for arg in args for one in getattr(getattr(arg, "http", None), "route", ())
        ):
            raise ZeroDivisionError("a bug")
        return forward(*args, **kwargs)

    monkeypatch.setattr(http_routes, "_forward", unlucky)


def good(rows: dict[str, dict[str, Any]]) -> bool:
    return rows.get("Reconciled", {}).get("status") == "True"


def aside(rows: dict[str, dict[str, Any]]) -> bool:
    return rows.get("Valid", {}).get("status") == "False"


@pytest.mark.usefixtures("seeded")
async def test_a_translation_that_raises_is_told_and_others_are_pushed(folder: Path) -> None:
    async with control(folder) as plane:
        await plane.put(10)
        await plane.put(10, "pay")
        await plane.until(good)
        pushes = len(plane.proxy.responses)
        await plane.put(UNLUCKY)
        await plane.put(20, "pay")
        document = await plane.until(aside)
        await plane.until(lambda rows: good(rows) and rows["Reconciled"]["observedGeneration"] == "2", "pay")
        assert len(plane.proxy.responses) > pushes
        assert (plane.in_force(), plane.in_force("pay")) == (10, 20)
        rows = {row["type"]: row for row in document["status"]["conditions"]}
        assert [rows[kind]["reason"] for kind in ("Reconciled", "Valid")] == ["SetAside"] * 2
        assert rows["Valid"]["observedGeneration"] == "2"
        assert "IST0001 Meltemi failed while it translated" in rows["Valid"]["message"]
        assert rows["Valid"]["message"].endswith("the last good version stays in force")
        (message,) = document["status"]["validationMessages"]
        assert (message["type"]["code"], message["level"]) == ("IST0001", "ERROR")
        (event,) = await plane.events()
        assert (event["reason"], event["type"]) == ("SetAside", "Warning")
        assert event["involvedObject"]["name"] == "cart"
        assert event["involvedObject"]["kind"] == "VirtualService"
        # It is mended.
        await plane.put(30)
        document = await plane.until(lambda rows: good(rows) and not aside(rows))
        assert plane.in_force() == 30
        assert "validationMessages" not in document["status"]
        assert len(await plane.events()) == 1


@pytest.mark.usefixtures("seeded")
async def test_a_search_that_fails_itself_ends_nobody_s_pushes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a bug in the search")

    monkeypatch.setattr(SetAside, "_culprit", broken)
    async with control(folder) as plane:
        await plane.put(10)
        await plane.put(10, "pay")
        await plane.until(good, "pay")
        await plane.put(UNLUCKY)
        await plane.put(20, "pay")
        await plane.until(lambda rows: good(rows) and rows["Reconciled"]["observedGeneration"] == "2", "pay")
        assert plane.in_force("pay") == 20


@pytest.mark.usefixtures("seeded")
async def test_it_is_still_so_after_a_restart(folder: Path) -> None:
    async with control(folder) as plane:
        await plane.put(10)
        await plane.until(good)
        await plane.put(UNLUCKY)
        await plane.until(aside)
    async with control(folder) as plane:
        async with asyncio.timeout(10):
            while plane.in_force() != 10:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert aside(await plane.conditions())
        assert len(await plane.events()) == 1
        await plane.put(30)
        await plane.until(lambda rows: good(rows) and not aside(rows))
        assert plane.in_force() == 30


async def test_an_object_that_rules_refuse_is_told_and_its_last_good_version_survives_a_restart(
    folder: Path,
) -> None:
    async with control(folder) as plane:
        await plane.put(10)
        await plane.until(good)
        await plane.put(-4)
        document = await plane.until(aside)
        row = next(row for row in document["status"]["conditions"] if row["type"] == "Valid")
        assert row["message"].startswith("IST0106 spec.http[0].route[1].weight: ")
        assert plane.in_force() == 10
        (event,) = await plane.events()
        assert event["message"] == row["message"]
    async with control(folder) as plane:
        assert plane.in_force() == 10
        found = plane.feed.found["virtualservices.networking.istio.io", "default", "cart"]
        assert found.stand.name == "LAST_GOOD"
    (folder / "decoded.json").write_text("{nonsense")
    async with control(folder) as plane:
        assert plane.in_force() is None


async def test_what_was_mended_while_nobody_looked_is_valid_again(folder: Path) -> None:
    async with control(folder) as plane:
        await plane.put(-4)
        await plane.until(aside)
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(folder / "store.db"))
        api = ApiServer(store, authn=Authenticator(static={"secret": users.admin()}))
        await stack.enter_async_context(api.serve(unix=f"{folder}/api"))
        client = await stack.enter_async_context(KubeClient(f"unix://{folder}/api", token="secret"))
        await client.patch(VIRTUAL_SERVICE, "default", "cart", route("cart", 10))
    async with control(folder) as plane:
        document = await plane.until(lambda rows: good(rows) and not aside(rows))
        assert "validationMessages" not in document["status"]
