"""A served API server: what its tests and their clients share."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from meltemi.apiserver.core import users
from meltemi.apiserver.core.hooks import Hooks
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.keys import FileKeys
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store

STATIC = {
    "admin-token": users.admin(),
    "daemon-token": users.component("daemon"),
    "mixer-token": users.component("mixer"),
    "node-token": users.node("laptop"),
}


@dataclass(frozen=True)
class Pki:
    """A server certificate for 127.0.0.1, its own CA."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(frozen=True)
class Running:
    """A running server: its address and a kubeconfig for its owner."""

    url: str
    ca: Path
    kubeconfig: Path


def kubeconfig(path: Path, url: str, ca: Path, token: str = "admin-token") -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "mesh", "cluster": {"server": url, "certificate-authority": str(ca)}}],
                "users": [{"name": "me", "user": {"token": token}}],
                "contexts": [
                    {"name": "mesh", "context": {"cluster": "mesh", "user": "me", "namespace": "default"}}
                ],
                "current-context": "mesh",
            }
        )
    )
    path.chmod(0o600)
    return path


class Api:
    """A client of one server over its Unix socket."""

    def __init__(self, session: aiohttp.ClientSession, store: Store) -> None:
        self.session = session
        self.store = store

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = "admin-token",
        type_: str = "application/json",
        accept: str = "application/json",
        data: Any = None,
        **query: str,
    ) -> tuple[int, Any]:
        headers = {"Accept": accept}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None or data is not None:
            headers["Content-Type"] = type_
        async with self.session.request(
            method,
            f"http://api{path}",
            json=body if data is None and body is not None else None,
            data=io.BytesIO(data) if data is not None else None,
            params=query,
            headers=headers,
        ) as response:
            return response.status, await response.json(content_type=None)


def make_server(store: Store, folder: Path, hooks: Hooks | None = None) -> ApiServer:
    authn = Authenticator(static=STATIC, keys=FileKeys(folder / "keys.json"))
    return ApiServer(store, authn=authn, hooks=hooks)


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("KUBE")}


@contextmanager
def on_thread(pki: Pki, folder: Path, hooks: Hooks | None = None) -> Iterator[Running]:
    """Serve on a thread of its own, for clients that block."""
    ready = threading.Event()
    stop: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []
    urls: list[str] = []

    async def main() -> None:
        stop.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        async with (
            Store(folder / "store.db") as store,
            make_server(store, folder, hooks).serve(
                tcp=("127.0.0.1", 0), ssl_context=pki.context()
            ) as served,
        ):
            assert served.tcp is not None
            urls.append(f"https://127.0.0.1:{served.tcp[1]}")
            ready.set()
            await stop[0].wait()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the fixture
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="api server")
    thread.start()
    assert ready.wait(20)
    if failed:
        raise failed[0]
    try:
        yield Running(urls[0], pki.cert, kubeconfig(folder / "kubeconfig", urls[0], pki.cert))
    finally:
        loops[0].call_soon_threadsafe(stop[0].set)
        thread.join(20)
        assert not thread.is_alive()
