"""A mesh as the CLI sees it: its folders, a real API server on its socket, and the CLI itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from meltemi.apiserver.core import users
from meltemi.apiserver.core.hooks import Hooks, Route
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.keys import FileKeys
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.ctl.client import Client, UnixTransport
from meltemi.ctl.layout import make_layout
from meltemi.ctl.main import main
from meltemi.daemon import admission
from meltemi.init.core import Layout


@dataclass
class Served:
    """A running mesh's API, and what its debug pages say."""

    layout: Layout
    syncz: list[dict[str, Any]] = field(default_factory=list)
    progress: dict[str, Any] = field(default_factory=dict)

    def client(self) -> Client:
        return Client(UnixTransport(self.layout.api_socket), "owner")


@dataclass
class Outcome:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Cli:
    """Runs command lines in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str) -> Outcome:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(args))
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, printed.out, printed.err)

    def good(self, *args: str) -> Outcome:
        found = self(*args)
        assert found.code == 0, found.err
        return found


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(scope="session")
def folders() -> Iterator[dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="mltx"))
    (folder / "run").mkdir(mode=0o700)
    yield {"XDG_STATE_HOME": str(folder / "state"), "XDG_RUNTIME_DIR": str(folder / "run")}
    shutil.rmtree(folder)


@pytest.fixture
def nowhere(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No mesh is up."""
    for name, value in folders.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MELTEMI_MESH", "nowhere")


@pytest.fixture(scope="session")
def server(folders: dict[str, str]) -> Iterator[Served]:
    layout = make_layout("test", folders)
    tokens = Path(layout.tokens_folder)
    tokens.mkdir(mode=0o700)
    (tokens / "admin").write_text("owner")
    served = Served(layout)
    ready, stop = threading.Event(), []

    async def syncz(_: web.Request) -> web.Response:
        return web.json_response(served.syncz)

    async def progress(request: web.Request) -> web.Response:
        found = served.progress.get(request.path.removeprefix("/meltemi/v1/progress/"))
        return web.json_response(found or {"error": "unknown"}, status=200 if found else 404)

    async def serve() -> None:
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(ending.set))
        hooks = Hooks(
            mutators=(admission.complete_service, admission.complete_pod),
            validators=(admission.validate,),
            routes=(Route("GET", "/debug/syncz", syncz), Route("GET", "/meltemi/v1/progress/", progress)),
        )
        authn = Authenticator(keys=FileKeys(str(tokens / "keys.json")), static={"owner": users.admin()})
        async with (
            Store(layout.store) as store,
            ApiServer(store, hooks=hooks, authn=authn).serve(unix=layout.api_socket),
        ):
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="api")
    thread.start()
    assert ready.wait(20)
    yield served
    stop[0]()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def mesh(server: Served, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A mesh that is up, with no object of a former test in namespace default."""
    for name, value in folders.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MELTEMI_MESH", "test")
    server.syncz, server.progress = [], {}
    yield server
    client = server.client()
    for where in (
        "/api/v1/namespaces/default/services",
        "/api/v1/namespaces/default/pods",
        "/api/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/serviceaccounts",
        "/apis/networking.istio.io/v1/namespaces/default/virtualservices",
    ):
        with contextlib.suppress(Exception):
            client.json(
                "DELETE",
                where,
                document={"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0},
            )
    client.close()


def as_json(outcome: Outcome) -> Any:
    return json.loads(outcome.out)
