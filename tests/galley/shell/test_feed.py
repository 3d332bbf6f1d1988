from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.galley.fake_server import FakeServer, running

from meltemi.api.core.config import CONFIG_MAP
from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.service import SERVICE
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.apiserver.core import users
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.galley.shell.cluster import ClusterSource
from meltemi.galley.shell.feed import Feed
from meltemi.galley.shell.kube import ApiError, KubeClient, Patch
from meltemi.galley.shell.source import every
from meltemi.query import Change

Batches = list[tuple[Change[Any], ...]]


@contextlib.asynccontextmanager
async def feeding(client: KubeClient, *kinds: Any) -> AsyncIterator[tuple[Feed, Batches]]:
    batches: Batches = []
    feed = Feed((ClusterSource(client, every(kinds)),), batches.append)
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
