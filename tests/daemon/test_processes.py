"""The control plane's process as it is started, with two directories beside its API server, and a proxy of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.test_set_aside import UNLUCKY, aside, good, route, seeded
from tests.pilot.shell.stage import EVERYTHING, Proxy

from meltemi.api.core.namespace import NAMESPACE
from meltemi.api.core.pod import POD
from meltemi.api.core.service import SERVICE
from meltemi.api.networking.virtual_service import VIRTUAL_SERVICE
from meltemi.daemon import processes
from meltemi.galley.shell.kube import ApiError, KubeClient, UnreachableError
from meltemi.init.core import Layout
from meltemi.pilot.wire.types import RDS

__all__ = ["seeded"]

POD_DOCUMENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sleep", "namespace": "default"},
    "spec": {
        "containers": [{"name": "app", "image": "x"}, {"name": "istio-proxy", "image": "x"}],
        "nodeName": "n",
    },
}


@dataclass
class Whole:
    """A control plane with the directories `first` and `second`."""

    client: KubeClient
    first: Path
    second: Path
    proxy: Proxy

    async def status(self) -> dict[str, Any]:
        return await self.client.request("GET", "/meltemi/v1/status")

    async def routed(self, name: str = "cart") -> list[int] | None:
        """The split of a service's route as the control plane wants the proxy to have it."""
        dump = await self.client.request("GET", "/debug/config_dump", params={"proxyID": "sleep.default"})
        for host in found(dump, "virtual_hosts"):
            if host["name"].startswith(f"{name}."):
                split = host["routes"][0]["route"].get("weighted_clusters")
                return split and [one["weight"] for one in split["clusters"]]
        return None

    async def findings(self) -> set[str]:
        return {one["code"] for source in (await self.status())["sources"] for one in source["findings"]}


def found(value: Any, key: str) -> Iterator[Any]:
    """Find what bears a name, however deep."""
    for name, one in value.items() if isinstance(value, dict) else enumerate(value):
        if name == key:
            yield from one
        elif isinstance(one, (dict, list)):
            yield from found(one, key)


def layout_of(folder: Path) -> Layout:
    """Make what is there before the control plane is started."""
    made = Layout(f"{folder}/r", f"{folder}/s")
    for name in (made.run, made.state, made.tokens_folder):
        Path(name).mkdir(mode=0o700)
    for name in ("admin", "daemon", "node"):
        Path(made.tokens_folder, name).write_text(f"{name}-secret")
    Path(made.ports).write_text('{"api": 1}')
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short, for the paths of sockets are bounded.
    with tempfile.TemporaryDirectory(prefix="mk") as made:
        yield Path(made)


@pytest.fixture(autouse=True)
def no_envoy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is judged here."""
    monkeypatch.setattr(processes, "find_envoy", lambda: "/nowhere/envoy")


async def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(ApiError, UnreachableError, OSError):
                if await holds():
                    return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(layout: Layout, first: Path, second: Path) -> AsyncIterator[Whole]:
    client = KubeClient(f"unix://{layout.api_socket}", token="admin-secret")
    task = asyncio.get_running_loop().create_task(processes.daemon(layout, [first, second]))
    try:
        async with client:
            await until(lambda: client.find(NAMESPACE, "", "default"))
            if await client.find(POD, "default", "sleep") is None:
                await stand_up(client)
            token = await client.token("default", "default", audiences=("istio-ca",), pod=await bound(client))
            await until(lambda: asyncio.sleep(0, Path(layout.xds_socket).exists()))
            proxy = Proxy(layout.xds_socket, token["status"]["token"])
            async with proxy.connected(*EVERYTHING):
                await until(lambda: asyncio.sleep(0, proxy.has(RDS)))
                yield Whole(client, first, second, proxy)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def bound(client: KubeClient) -> tuple[str, str]:
    return "sleep", str((await client.get(POD, "default", "sleep"))["metadata"]["uid"])


async def stand_up(client: KubeClient) -> None:
    for name in ("cart", "pay"):
        meta = {"name": name, "namespace": "default"}
        spec = {"ports": [{"name": "http", "port": 80}]}
        await client.create(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    await client.create(POD, POD_DOCUMENT)
    status = {"status": {"phase": "Running", "podIP": "198.18.0.2"}}
    await client.patch(POD, "default", "sleep", status, subresource="status")


async def test_of_two_directories_the_first_is_in_force_and_the_api_server_before_both(folder: Path) -> None:
    first, second = folder / "a", folder / "b"
    for one, weight in ((first, 10), (second, 20)):
        one.mkdir()
        (one / "cart.yaml").write_text(json.dumps(route("cart", weight)))
    (second / "pay.yaml").write_text(json.dumps(route("pay", 30)))
    async with running(layout_of(folder), first, second) as whole:

        async def split(*wanted: int) -> bool:
            return await whole.routed() == list(wanted)

        await until(lambda: split(90, 10))
        assert await whole.routed("pay") == [70, 30]
        sources = (await whole.status())["sources"]
        assert [one["name"] for one in sources] == [
            "kubernetes",
            f"directory {first}",
            f"directory {second}",
        ]
        assert [[found["code"] for found in one["findings"]] for one in sources] == [[], [], ["MEL0073"]]
        (first / "cart.yaml").unlink()
        await until(lambda: split(80, 20))
        assert await whole.findings() == set()
        await whole.client.create(VIRTUAL_SERVICE, route("cart", 40))
        await until(lambda: split(60, 40))
        assert await whole.findings() == {"MEL0073"}
        await whole.client.delete(VIRTUAL_SERVICE, "default", "cart")
        await until(lambda: split(80, 20))
        first.rmdir()
        second.rename(folder / "away")

        async def away() -> bool:
            return [len(one["errors"]) for one in (await whole.status())["sources"]] == [0, 1, 1]

        await until(away)
        assert await whole.routed() == [80, 20]


@pytest.mark.usefixtures("seeded")
async def test_what_cannot_be_translated_is_set_aside_and_stays_so_over_a_restart(folder: Path) -> None:
    first, second = folder / "a", folder / "b"
    for one in (first, second):
        one.mkdir()
    layout = layout_of(folder)

    async def conditions(client: KubeClient) -> dict[str, Any]:
        document = await client.get(VIRTUAL_SERVICE, "default", "cart")
        return {row["type"]: row for row in (document.get("status") or {}).get("conditions") or ()}

    async with running(layout, first, second) as whole:
        await whole.client.create(VIRTUAL_SERVICE, route("cart", 10))

        async def reconciled() -> bool:
            return good(await conditions(whole.client))

        async def set_aside() -> bool:
            return aside(await conditions(whole.client))

        await until(reconciled)
        await whole.client.patch(VIRTUAL_SERVICE, "default", "cart", route("cart", UNLUCKY))
        await until(set_aside)
        assert await whole.routed() == [90, 10]
        (first / "pay.yaml").write_text(json.dumps(route("pay", 30)))

        async def shared() -> bool:
            return await whole.routed("pay") == [70, 30]

        await until(shared)
        (first / "pay.yaml").write_text(json.dumps(route("pay", UNLUCKY)))

        async def told() -> bool:
            return "IST0001" in await whole.findings()

        await until(told)
        assert await whole.routed("pay") == [70, 30]
    kept = Path(layout.state, "last-good", "translated.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(key.rpartition("/")[2] for key in json.loads(kept.read_text())) == ["cart", "pay"]
    # It goes while nobody looks.
    (first / "pay.yaml").unlink()
    async with running(layout, first, second) as whole:

        async def old_split() -> bool:
            return await whole.routed() == [90, 10]

        await until(old_split)
        assert aside(await conditions(whole.client))
        assert await whole.routed("pay") is None
        assert [key.rpartition("/")[2] for key in json.loads(kept.read_text())] == ["cart"]
        await whole.client.patch(VIRTUAL_SERVICE, "default", "cart", route("cart", 50))

        async def mended() -> bool:
            rows = await conditions(whole.client)
            return good(rows) and not aside(rows)

        await until(mended)
        assert await whole.routed() == [50, 50]
