from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.galley.fake_server import FakeServer, running

from meltemi import checks
from meltemi.api.core.config import CONFIG_MAP
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.service import SERVICE
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.apiserver.core import users
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.galley.core.facts import Stand
from meltemi.galley.shell.cluster import ClusterSource
from meltemi.galley.shell.directory import DirectorySource
from meltemi.galley.shell.feed import MESH, Feed
from meltemi.galley.shell.kube import ApiError, KubeClient, Patch
from meltemi.galley.shell.memory import MemorySource
from meltemi.galley.shell.source import Scope, Source, every
from meltemi.query import Change

Batches = list[tuple[Change[Any], ...]]


@contextlib.asynccontextmanager
async def feeding(client: KubeClient, *kinds: Any) -> AsyncIterator[tuple[Feed, Batches]]:
    async with fed(ClusterSource(client, every(kinds))) as made:
        yield made


@contextlib.asynccontextmanager
async def fed(*sources: Source, **options: Any) -> AsyncIterator[tuple[Feed, Batches]]:
    batches: Batches = []
    feed = Feed(sources, batches.append, **options)
    task = asyncio.get_running_loop().create_task(feed.run())
    try:
        async with asyncio.timeout(20):
            await feed.synced.wait()
            yield feed, batches
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def arrival(batches: Batches, count: int) -> None:
    while len(batches) < count:
        await asyncio.sleep(0.01)


@pytest.fixture
def socket() -> Any:
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        yield Path(folder) / "s"


async def test_the_first_world_is_one_transaction(socket: Path) -> None:
    async with running(FakeServer(socket)) as server, KubeClient(server.address) as client:
        for name in "abc":
            server.put(name)
        async with feeding(client, CONFIG_MAP) as (feed, batches):
            assert [[change.name for change in batch] for batch in batches] == [["a", "b", "c"]]
            assert feed.errors == ()
            while not server.watchers:
                await asyncio.sleep(0.01)
            server.put("a", x="1")
            await arrival(batches, 2)
            (change,) = batches[1]
            assert change.value is not None
            assert dict(change.value.spec.data) == {"x": "1"}


async def test_what_happened_while_the_server_was_away_is_one_transaction(socket: Path) -> None:
    async with running(FakeServer(socket)) as server, KubeClient(server.address) as client:
        server.put("a")
        server.put("b")
        async with feeding(client, CONFIG_MAP) as (_, batches):
            while not server.watchers:
                await asyncio.sleep(0.01)
            await server.stop()
            server.put("c")
            server.delete("a")
            server.put("c", x="2")
            server.log.clear()
            server.oldest = server.revision
            await server.start()
            await arrival(batches, 2)
            assert {(change.name, change.value is None) for change in batches[1]} == {
                ("a", True),
                ("c", False),
            }


async def test_against_the_api_server_itself(socket: Path) -> None:
    authn = Authenticator(static={"secret": users.admin()})
    route = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "cart", "namespace": "default"},
        "spec": {"hosts": ["cart"], "http": [{"route": [{"destination": {"host": "cart"}}]}]},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "cart", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }
    async with Store(socket.parent / "store.db") as store:
        server = ApiServer(store, authn=authn)
        async with (
            server.serve(unix=str(socket)),
            KubeClient(f"unix://{socket}", token="secret") as client,
            feeding(client, NAMESPACE, SERVICE, VIRTUAL_SERVICE) as (_, batches),
        ):
            assert "default" in [change.name for change in batches[0]]
            await client.create(SERVICE, service)
            made = await client.create(VIRTUAL_SERVICE, route)
            with pytest.raises(ApiError) as caught:
                await client.create(VIRTUAL_SERVICE, route)
            assert caught.value.already_exists
            labels = {"metadata": {"labels": {"a": "b"}}}
            await client.patch(VIRTUAL_SERVICE, "default", "cart", labels, patch=Patch.MERGE)
            with pytest.raises(ApiError) as caught:
                await client.replace(VIRTUAL_SERVICE, made)
            assert caught.value.conflict
            listing = await client.list(VIRTUAL_SERVICE, "default", label_selector="a=b")
            assert len(listing.items) == 1
            await client.delete(VIRTUAL_SERVICE, "default", "cart")
            seen: list[tuple[str, bool]] = []
            while ("virtualservices.networking.istio.io", True) not in seen:
                await asyncio.sleep(0.01)
                seen = [(change.kind.name, change.value is None) for batch in batches[1:] for change in batch]
            assert ("services", False) in seen
            assert ("virtualservices.networking.istio.io", False) in seen


def route(name: str = "cart", weight: int = 1, **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default", **meta},
        "spec": {
            "hosts": [name],
            "http": [
                {"route": [{"destination": {"host": "a"}, "weight": weight}, {"destination": {"host": "b"}}]}
            ],
        },
    }


def weights(batches: Batches) -> dict[str, int | None]:
    """What is in force of the routes, by name."""
    found: dict[str, int | None] = {}
    for change in (change for batch in batches for change in batch):
        if change.kind.name.startswith("virtualservices"):
            found[change.name] = None if change.value is None else change.value.spec.http[0].route[0].weight
    return found


KEY = ("virtualservices.networking.istio.io", "default", "cart")


async def test_all_sources_are_one_transaction_at_first(socket: Path) -> None:
    first, second = MemorySource([route("cart")], name="one"), MemorySource([route("pay", 2)], name="two")
    async with fed(first, second) as (feed, batches):
        assert weights(batches[:1]) == {"cart": 1, "pay": 2}
        assert [(state.name, state.synced, state.errors) for state in feed.states] == [
            ("one", True, ()),
            ("two", True, ()),
        ]
        second.put(route("pay", 3), route("more", 4))
        await arrival(batches, 2)
        assert weights(batches) == {"cart": 1, "pay": 3, "more": 4}


async def test_a_large_world_does_not_hold_the_loop_up() -> None:
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    documents = [route(f"cart-{number}") for number in range(2000)]
    task = asyncio.get_running_loop().create_task(beat())
    async with fed(MemorySource(documents)) as (_, batches):
        task.cancel()
    assert len(batches[0]) == 2000
    assert turns >= 20


async def test_of_two_sources_the_first_wins_and_the_second_takes_over() -> None:
    first, second = MemorySource(name="one"), MemorySource([route(weight=2)], name="two")
    async with fed(first, second) as (feed, batches):
        assert weights(batches) == {"cart": 2}
        first.put(route(weight=1))
        await arrival(batches, 2)
        assert weights(batches) == {"cart": 1}
        (told,) = feed.states[1].findings
        assert (told.code.id, str(told.ref)) == ("MEL0073", "virtualservice default/cart")
        assert "one has the object, too" in told.message
        second.put(route(weight=3))
        second.put(route("pay", weight=4))
        await arrival(batches, 3)
        assert weights(batches) == {"cart": 1, "pay": 4}
        first.delete(route())
        await arrival(batches, 4)
        assert weights(batches) == {"cart": 3, "pay": 4}
        assert feed.states[1].findings == ()
        second.delete(route())
        await arrival(batches, 5)
        assert weights(batches) == {"cart": None, "pay": 4}


async def test_a_wrong_object_that_takes_over_is_no_later_form_of_the_one_that_is_gone() -> None:
    first, second = MemorySource([route(weight=1)]), MemorySource([route(weight=-5)])
    async with fed(first, second, check=checks.check) as (feed, batches):
        assert weights(batches) == {"cart": 1}
        first.delete(route())
        await arrival(batches, 2)
        assert weights(batches) == {"cart": None}
        assert feed.found[KEY].stand is Stand.NOTHING


async def test_an_object_of_a_directory_that_breaks_a_rule_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "cart.yaml"
    file.write_text(json.dumps(route(weight=5), indent=1))
    source = DirectorySource(tmp_path, every([VIRTUAL_SERVICE]), period=0.01, quiet=0.01)
    async with fed(MemorySource(), source, check=checks.check) as (feed, batches):
        assert weights(batches) == {"cart": 5}
        file.write_text(json.dumps(route(weight=-5), indent=1))
        while KEY not in feed.found:
            await asyncio.sleep(0.01)
        verdict = feed.found[KEY]
        assert verdict.stand is Stand.LAST_GOOD
        assert weights(batches) == {"cart": 5}
        lines = file.read_text().splitlines()
        line = 1 + next(number for number, one in enumerate(lines) if '"weight": -5' in one)
        column = lines[line - 1].index("-5") + 1
        assert str(verdict.findings[0].position) == f"{file}:{line}:{column}"
        assert feed.states[1].findings == verdict.findings
        # It moves down the file, and nothing else.
        file.write_text("# one more line\n" + file.read_text())
        while str(feed.found[KEY].findings[0].position) != f"{file}:{line + 1}:{column}":
            await asyncio.sleep(0.01)
        file.write_text(json.dumps(route(weight=6), indent=1))
        while feed.found:
            await asyncio.sleep(0.01)
        assert weights(batches) == {"cart": 6}


async def test_kubernetes_own_kinds_are_checked_where_no_server_did() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"ports": "many"},
    }
    async with fed(MemorySource([service])) as (feed, batches):
        assert [change for batch in batches for change in batch] == []
        assert list(feed.found) == [("services", "default", "a")]


def settings(text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": text},
    }


def policy(batches: Batches) -> list[object]:
    """How often the policy for traffic to unknown places was set, and to what."""
    return [
        change.value
        for batch in batches
        for change in batch
        if (change.kind.name, change.name) == ("setting", "outboundTrafficPolicy.mode")
    ]


async def test_wrong_settings_of_a_directory_are_told_at_their_place(tmp_path: Path) -> None:
    file = tmp_path / "istio.yaml"
    file.write_text(json.dumps(settings("outboundTrafficPolicy: {mode: NONSENSE}"), indent=1))
    source = DirectorySource(tmp_path, [Scope(CONFIG_MAP, *MESH[1:])], period=0.01, quiet=0.01)
    async with fed(MemorySource(), source) as (feed, _):
        (found,) = feed.states[1].findings
        assert str(found.position) == f"{file}:9:11"


async def test_the_mesh_s_settings_come_with_the_same_transactions() -> None:
    closed = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"
    source = MemorySource([settings(closed), route()])
    async with fed(source) as (feed, batches):
        assert policy(batches[:1]) == ["REGISTRY_ONLY"]
        assert weights(batches[:1]) == {"cart": 1}
        source.put(settings("outboundTrafficPolicy: {mode: NONSENSE}"))
        while not feed.found:
            await asyncio.sleep(0.01)
        verdict = feed.found["configmaps", "istio-system", "istio"]
        assert verdict.stand is Stand.LAST_GOOD
        assert verdict.findings[0].path == "data.mesh.outboundTrafficPolicy.mode"
        assert policy(batches) == ["REGISTRY_ONLY"]
        source.delete(settings(""))
        await arrival(batches, 2)
        assert policy(batches) == ["REGISTRY_ONLY", None]
        assert not feed.found


async def test_settings_that_cannot_even_be_read_do_not_open_the_mesh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a fault of ours")

    source = MemorySource([settings("connectTimeout: 1s"), route()])
    with monkeypatch.context() as patched:
        patched.setattr("meltemi.galley.core.mesh_text.read", broken)
        async with fed(source) as (feed, batches):
            assert policy(batches[:1]) == ["REGISTRY_ONLY"]
            assert weights(batches[:1]) == {"cart": 1}
            assert feed.found[MESH].findings[0].code.id == "IST0001"
            patched.undo()
            source.put(settings("connectTimeout: 2s"))
            await arrival(batches, 2)
            assert policy(batches) == ["REGISTRY_ONLY", None]
            patched.setattr("meltemi.galley.core.mesh_text.read", broken)
            source.put(settings("connectTimeout: 3s"))
            while not feed.found:
                await asyncio.sleep(0.01)
            assert feed.found[MESH].stand is Stand.LAST_GOOD
            assert len(batches) == 2


async def test_of_two_texts_each_has_its_own_last_good_form() -> None:
    document = settings("connectTimeout: 1s")
    source = MemorySource([document])
    async with fed(source) as (feed, _):
        source.put({**document, "data": {**document["data"], "meshNetworks": "networks: 5"}})
        while not feed.found:
            await asyncio.sleep(0.01)
        assert feed.found[MESH].stand is Stand.ITSELF
