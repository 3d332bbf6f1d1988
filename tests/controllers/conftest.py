"""A real API server over a socket, with the controllers' admission, and a client of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from meltemi.apiserver.core import users
from meltemi.apiserver.core.hooks import Hooks
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.server import ApiServer
from meltemi.apiserver.shell.store import Store
from meltemi.daemon import admission
from meltemi.galley.shell.kube import ApiError, KubeClient


@dataclass
class Mesh:
    """A served API: as the control plane's own client sees it, and as its owner does."""

    client: KubeClient
    owner: KubeClient

    async def until(self, holds: Callable[[], Awaitable[Any]], seconds: float = 15.0) -> Any:
        """Ask until the answer is true; a failure shows the last answer."""
        found: Any = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        found = await holds()
                    except ApiError as error:
                        if not error.not_found:
                            raise
                        found = None
                    if found:
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"still {found!r} after {seconds} s") from None


@pytest_asyncio.fixture
async def mesh() -> AsyncIterator[Mesh]:
    folder = Path(tempfile.mkdtemp(prefix="mltc"))
    hooks = Hooks(
        mutators=(admission.complete_service, admission.complete_pod), validators=(admission.validate,)
    )
    authn = Authenticator(static={"own": users.component("daemon"), "me": users.admin()})
    socket = folder / "api.sock"
    try:
        async with (
            Store(folder / "store.db") as store,
            ApiServer(store, hooks=hooks, authn=authn).serve(unix=socket),
            KubeClient(f"unix://{socket}", token="own") as client,
            KubeClient(f"unix://{socket}", token="me") as owner,
        ):
            yield Mesh(client, owner)
    finally:
        shutil.rmtree(folder)
