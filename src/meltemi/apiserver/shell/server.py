"""The embedded Kubernetes-style API server: its public entry.

    async with Store(layout.store) as store:
        authn = Authenticator(keys=FileKeys(path), static={token: users.admin()})
        server = ApiServer(store, authn=authn, hooks=Hooks(mutators=..., validators=...))
        async with server.serve(unix=layout.api_socket, unix_tls=layout.api_tls_socket, ssl_context=context):
            ...

Everything the control plane knows comes through the served API, over HTTP; there is no other way in.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from meltemi.api import openapi
from meltemi.api.kind import Kind
from meltemi.apiserver.core.authz import RULES, Rule
from meltemi.apiserver.core.durations import rfc3339, seconds_of
from meltemi.apiserver.core.hooks import Hooks
from meltemi.apiserver.core.objects import fresh
from meltemi.apiserver.core.schema import Schemas
from meltemi.apiserver.core.scheme import Scheme
from meltemi.apiserver.core.status import ApiError
from meltemi.apiserver.core.storage import Key
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.context import Context
from meltemi.apiserver.shell.http import Handler
from meltemi.apiserver.shell.store import Store, Transaction
from meltemi.apiserver.shell.watch import CLOSING

log = logging.getLogger(__name__)

NAMESPACES = ("default", "kube-system", "kube-node-lease")
EVENT_SECONDS = 3600.0
_SWEEP_SECONDS = 60.0
_SHUTDOWN_SECONDS = 2.0
_BACKLOG = 512
IDLE_SECONDS = 75.0
"""Connections without a request end, and such whose request does not come whole: anybody may open one."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server listens: `(host, port)` for TCP, if asked for."""

    tcp: tuple[str, int] | None


class ApiServer:
    """One API server over one open store.

    It serves these `kinds`, or all there are.
    `definitions` and `name_of` give the OpenAPI definitions of the kinds and their names; by default `api.openapi`'s.
    `namespaces` are made if they are missing, as Kubernetes does with its own.
    """

    def __init__(
        self,
        store: Store,
        *,
        authn: Authenticator,
        hooks: Hooks | None = None,
        kinds: Iterable[Kind[Any]] | None = None,
        definitions: Mapping[str, Mapping[str, Any]] | None = None,
        name_of: Callable[[Kind[Any], str], str] = openapi.definition_name,
        rules: tuple[Rule, ...] = RULES,
        namespaces: tuple[str, ...] = NAMESPACES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        known = definitions if definitions is not None else openapi.definitions()
        self._context = Context(
            store,
            Scheme(kinds),
            Schemas(known),
            name_of,
            hooks if hooks is not None else Hooks(),
            authn,
            clock,
        )
        self._rules = rules
        self._namespaces = namespaces

    @asynccontextmanager
    async def serve(
        self,
        *,
        unix: str | Path = "",
        unix_tls: str | Path = "",
        tcp: tuple[str, int] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> AsyncIterator[Served]:
        """Serve until the block is left: plain on `unix`, with TLS on `unix_tls` and `tcp` (port 0: any free one).

        Opens the store if the caller has not. Raises OSError when a socket is in use. At the end watches are ended,
        and requests given two seconds.
        """
        if (unix_tls or tcp) and ssl_context is None:
            raise ValueError("unix_tls and tcp need an ssl_context: tokens never travel in the clear")
        async with AsyncExitStack() as stack:
            if not self._context.store.is_open:
                await stack.enter_async_context(self._context.store)
            served = self._serve(unix, unix_tls, tcp, ssl_context)
            yield await stack.enter_async_context(served)

    @asynccontextmanager
    async def _serve(
        self,
        unix: str | Path,
        unix_tls: str | Path,
        tcp: tuple[str, int] | None,
        context: ssl.SSLContext | None,
    ) -> AsyncIterator[Served]:
        await self._make_namespaces()
        closing = asyncio.Event()
        app = web.Application()
        app[CLOSING] = closing
        app.router.add_route("*", "/{path:.*}", Handler(self._context, self._rules).handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            handle_signals=False,
            keepalive_timeout=IDLE_SECONDS,
            logger=_http_log(),
        )
        await runner.setup()
        sweeper = asyncio.create_task(self._sweep(), name="sweep events")
        try:
            if unix:
                await web.SockSite(runner, _unix_socket(Path(unix)), backlog=_BACKLOG).start()
            if unix_tls:
                made = _unix_socket(Path(unix_tls))
                await web.SockSite(runner, made, ssl_context=context, backlog=_BACKLOG).start()
            bound = None
            if tcp:
                listener = socket.create_server(tcp, backlog=_BACKLOG)
                bound = listener.getsockname()[:2]
                await web.SockSite(runner, listener, ssl_context=context).start()
            yield Served(bound)
        finally:
            # Not a TaskGroup: it would wrap what the block raises.
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
            closing.set()
            self._context.store.memory.wake_all()
            await runner.cleanup()
            _remove_files(unix, unix_tls)

    async def _make_namespaces(self) -> None:
        kind = self._context.scheme.by_resource("namespaces")
        for name in self._namespaces if kind is not None else ():
            await self._context.store.write(_maker(self._context, kind, name), "system:apiserver")

    async def _sweep(self) -> None:
        """Remove events after an hour, as Kubernetes does."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await sweep_events(self._context.store, self._context.clock() - EVENT_SECONDS)
            except ApiError as error:
                log.warning("old events stay: %s", error)


async def sweep_events(store: Store, before: float) -> None:
    """Remove events last seen before a time."""

    def decide(transaction: Transaction) -> None:
        for entry in list(transaction.entries("events")):
            document = entry.document()
            series = document.get("series") or {}
            last = (
                series.get("lastObservedTime") or document.get("lastTimestamp") or document.get("eventTime")
            )
            seen = seconds_of(last) or seconds_of(document["metadata"].get("creationTimestamp")) or before
            if seen < before:
                transaction.delete(entry.key, document)

    await store.write(decide, "system:apiserver")


def _http_log() -> logging.Logger:
    """A log without what strangers send: whoever speaks no HTTP gets a 400, and fills no log with it."""
    found = logging.getLogger(f"{__name__}.http")
    found.addFilter(_is_ours)
    return found


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _maker(context: Context, kind: Kind[Any] | None, name: str) -> Callable[[Transaction], None]:
    def decide(transaction: Transaction) -> None:
        key = Key("namespaces", "", name)
        if kind is None or transaction.get(key) is not None:
            return
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        transaction.put(key, fresh(kind, document, uid=context.uid(), created=rfc3339(context.clock())))

    return decide


def _remove_files(*paths: str | Path) -> None:
    for path in paths:
        if path:
            Path(path).unlink(missing_ok=True)


def _unix_socket(path: Path) -> socket.socket:
    """Bind a socket file of mode 0600; one left behind by a dead server is replaced, a live one refused."""
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
            else:
                raise OSError(f"{path} is in use: another API server answers there")
    made = socket.socket(socket.AF_UNIX)
    old = os.umask(0o177)
    try:
        made.bind(str(path))
    except OSError:
        made.close()
        raise
    finally:
        os.umask(old)
    made.listen(_BACKLOG)
    return made
