"""The sources under test, each with the hands to change what it reads."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

from tests.galley.fake_server import FakeServer
from tests.galley.tls_server import Authority, Terminator, server_context

from meltemi.api.core.config import CONFIG_MAP
from meltemi.apiserver.core import users
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.galley.shell.cluster import ClusterSource
from meltemi.galley.shell.directory import DirectorySource
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.kubeconfig import from_kubeconfig, in_cluster
from meltemi.galley.shell.memory import MemorySource
from meltemi.galley.shell.source import Scope, Source, every

SPACE = "default"


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A ConfigMap as a user writes it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": SPACE},
        "data": data,
    }


class World:
    """A source, and what lies behind it."""

    source: Source

    async def put(self, name: str, **data: str) -> None:
        """Make or change a ConfigMap."""
        raise NotImplementedError

    async def delete(self, name: str) -> None:
        """Delete one."""
        raise NotImplementedError

    async def stir(self) -> None:
        """Do what changes no object: have all of it told or written again."""

    async def settle(self) -> None:
        """Wait until the source would have seen what was done."""

    async def break_(self) -> None:
        """Make what lies behind it unreadable."""

    async def mend(self) -> None:
        """Undo that."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave nothing open."""


class InMemory(World):
    def __init__(self, _: Path) -> None:
        self.source = self._memory = MemorySource()

    async def put(self, name: str, **data: str) -> None:
        self._memory.put(config_map(name, **data))

    async def delete(self, name: str) -> None:
        self._memory.delete(config_map(name))

    async def stir(self) -> None:
        self._memory.put(*self._memory._held.values())


class Directory(World):
    def __init__(self, root: Path) -> None:
        self.folder = root / "config"
        self.folder.mkdir()
        self.source = DirectorySource(self.folder, every([CONFIG_MAP]), period=0.01, quiet=0.01)

    async def put(self, name: str, **data: str) -> None:
        (self.folder / f"{name}.yaml").write_text(json.dumps(config_map(name, **data)))

    async def delete(self, name: str) -> None:
        (self.folder / f"{name}.yaml").unlink()

    async def stir(self) -> None:
        for file in self.folder.glob("*.yaml"):
            file.write_text(f"# again\n{file.read_text()}")

    async def settle(self) -> None:
        await asyncio.sleep(0.15)

    async def break_(self) -> None:
        self.folder.rename(self.folder.with_name("away"))

    async def mend(self) -> None:
        self.folder.with_name("away").rename(self.folder)


class Cluster(World):
    """Every fault of a network, by a small server that can be told to make them."""

    def __init__(self, root: Path) -> None:
        self._server = FakeServer(root / "s")
        self._client = KubeClient(self._server.address)
        self.source = ClusterSource(self._client, every([CONFIG_MAP]))

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._server.stop()

    async def put(self, name: str, **data: str) -> None:
        self._server.put(name, SPACE, **data)

    async def delete(self, name: str) -> None:
        self._server.delete(name, SPACE)

    async def stir(self) -> None:
        # The log is gone: everything is listed again.
        await self._server.stop()
        self._server.log.clear()
        self._server.revision += 1
        self._server.oldest = self._server.revision
        await self._server.start()

    async def settle(self) -> None:
        async with asyncio.timeout(10):
            while not self._server.watchers:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    async def break_(self) -> None:
        await self._server.stop()

    async def mend(self) -> None:
        await self._server.start()


AUTHORITY = Authority()


class OverTls(Cluster):
    """The same through TLS, by the service account of a pod."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self._tls = Terminator(root / "s")

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self._tls.start(server_context(AUTHORITY))
        self._client = await self.client(self._tls.port)
        self.source = ClusterSource(self._client, every([CONFIG_MAP]))
        return self

    async def client(self, port: int) -> KubeClient:
        """Make the client that is under test."""
        (self.root / "token").write_text("secret")
        (self.root / "ca.crt").write_bytes(AUTHORITY.pem)
        environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
        return in_cluster(environment, self.root)

    async def __aexit__(self, *args: object) -> None:
        await super().__aexit__(*args)
        await self._tls.stop()


class ByKubeconfig(OverTls):
    """By a kubeconfig whose credential plug-in gives a client certificate, which runs out all the time."""

    async def client(self, port: int) -> KubeClient:
        certificate, key = AUTHORITY.pair("galley")
        status = {
            "clientCertificateData": certificate.decode(),
            "clientKeyData": key.decode(),
            "expirationTimestamp": "2020-01-01T00:00:00Z",
        }
        version = "client.authentication.k8s.io/v1"
        answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        (self.root / "answer").write_text(json.dumps(answer))
        authorities = base64.b64encode(AUTHORITY.pem).decode()
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authorities}
        plugin = {"apiVersion": version, "command": "cat", "args": [f"{self.root}/answer"]}
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"exec": plugin}}],
        }
        (self.root / "config").write_text(json.dumps(config))
        return await from_kubeconfig(self.root / "config")


class Embedded(World):
    """The API server of one machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._socket = root / "s"
        self._client = KubeClient(f"unix://{self._socket}", token="secret")
        scope = Scope(CONFIG_MAP, SPACE)
        self.source = ClusterSource(self._client, [scope])
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._running.aclose()

    async def put(self, name: str, **data: str) -> None:
        document = config_map(name, **data)
        old = await self._client.find(CONFIG_MAP, SPACE, name)
        if old is None:
            await self._client.create(CONFIG_MAP, document)
        else:
            await self._client.replace(CONFIG_MAP, document)

    async def delete(self, name: str) -> None:
        await self._client.delete(CONFIG_MAP, SPACE, name)

    async def stir(self) -> None:
        await self.break_()
        await self.mend()

    async def settle(self) -> None:
        await asyncio.sleep(0.3)

    async def break_(self) -> None:
        await self._running.aclose()

    async def mend(self) -> None:
        store = await self._running.enter_async_context(Store(self._root / "store.db"))
        server = ApiServer(store, authn=Authenticator(static={"secret": users.admin()}))
        await self._running.enter_async_context(server.serve(unix=str(self._socket)))


WORLDS: dict[str, Callable[[Path], World]] = {
    "memory": InMemory,
    "directory": Directory,
    "cluster": Cluster,
    "service-account": OverTls,
    "kubeconfig": ByKubeconfig,
    "embedded": Embedded,
}


@contextlib.asynccontextmanager
async def world(name: str, root: Path) -> AsyncIterator[World]:
    """Make a world of that name."""
    async with WORLDS[name](root) as made:
        yield made
