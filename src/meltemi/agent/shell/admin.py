"""Envoy's admin interface inside a pod, spoken to from outside by a socket made in the pod's namespace."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
from aiohttp import ClientConnectorError

from meltemi.agent.core.bootstrap import ADMIN_PORT, READY_PORT
from meltemi.agent.core.probes import Probe
from meltemi.agent.shell.probing import Sockets, connect, http_status

READY = Probe(kind="http", port=READY_PORT, path="/healthz/ready", timeout=1.0)


class Admin:
    """Asks one pod's Envoy."""

    def __init__(self, network: Sockets, pod: str) -> None:
        self._network = network
        self._pod = pod

    async def ready(self) -> bool:
        """Whether Envoy has its configuration and serves."""
        try:
            async with asyncio.timeout(READY.timeout):
                connection = await connect(self._network, self._pod, "", READY.port)
                return await http_status(connection, READY) == 200
        except (OSError, KeyError, ValueError, TimeoutError):
            return False

    async def ask(self, method: str, path: str, limit_seconds: float = 20.0) -> tuple[int, str, bytes]:
        """Status, content type and body. Raises OSError, TimeoutError, and KeyError for a pod that is not there."""

        def in_pod(_info: object) -> socket.socket:
            return self._network.socket_in(self._pod)

        connector = aiohttp.TCPConnector(socket_factory=in_pod, force_close=True)
        limit = aiohttp.ClientTimeout(total=limit_seconds)
        async with aiohttp.ClientSession(connector=connector, timeout=limit, trust_env=False) as session:
            url = f"http://127.0.0.1:{ADMIN_PORT}{path}"
            try:
                async with session.request(method, url) as answer:
                    return answer.status, answer.content_type, await answer.read()
            except ClientConnectorError as error:
                raise OSError(f"Envoy does not answer: {error}") from error
            except aiohttp.ClientError as error:
                raise OSError(f"Envoy broke off: {error}") from error

    async def drain(self) -> None:
        """Ask Envoy to end gracefully what comes in; best effort, it may be gone already."""
        for path in ("/healthcheck/fail", "/drain_listeners?inboundonly&graceful&skip_exit"):
            try:
                await self.ask("POST", path, limit_seconds=1.0)
            except (OSError, TimeoutError, KeyError):
                return
