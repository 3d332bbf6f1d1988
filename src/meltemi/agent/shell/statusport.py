"""Port 15020 of a pod with a proxy: health, and one page with the metrics of Envoy and of the app (Istio's agent port).

| request | answer |
|---|---|
| `GET /healthz/ready` | 200 once Envoy has its configuration, else 503 |
| `GET /stats/prometheus`, `GET /metrics` | Envoy's metrics, then the app's, if it says `prometheus.io/scrape` |

The socket is made in the pod's network namespace; the process that answers is the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

import aiohttp
from aiohttp import web

from meltemi.agent.core.bootstrap import AGENT_PORT
from meltemi.agent.core.pod import Pod
from meltemi.agent.shell.admin import Admin
from meltemi.agent.shell.network import Network

log = logging.getLogger(__name__)

APP_SECONDS = 5.0
MOST_METRICS = 64 * 1024 * 1024
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class StatusPort:
    """Serves one pod's port. `run()` works until cancelled; `pod` gives the Pod as it is now."""

    def __init__(self, network: Network, place: str, pod: Callable[[], Pod]) -> None:
        self._network = network
        self._place = place
        self._pod = pod
        self._admin = Admin(network, place)

    async def run(self) -> None:
        """Serve, for ever. Raises OSError while the port is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz/ready", self._ready),
                web.get("/stats/prometheus", self._metrics),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        listening = self._network.socket_in(self._place)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("0.0.0.0", AGENT_PORT))
            await web.SockSite(runner, listening).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            listening.close()

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if await self._admin.ready() else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        parts = []
        try:
            status, _, data = await self._admin.ask("GET", "/stats/prometheus")
        except (OSError, TimeoutError, KeyError) as error:
            return web.Response(status=503, text=f"Envoy does not answer: {error}\n")
        if status == 200:
            parts.append(data)
        where = scraped(self._pod())
        if where is not None:
            with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
                parts.append(await self._app_metrics(*where))
        return web.Response(
            body=b"\n".join(part.rstrip(b"\n") for part in parts) + b"\n", headers={"Content-Type": _TEXT}
        )

    async def _app_metrics(self, port: int, path: str) -> bytes:
        """What the app says of itself; asked from inside the pod, past its proxy."""

        def in_pod(_info: object) -> socket.socket:
            return self._network.socket_in(self._place)

        connector = aiohttp.TCPConnector(socket_factory=in_pod, force_close=True)
        limit = aiohttp.ClientTimeout(total=APP_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit, trust_env=False) as session,
            session.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            return await answer.content.read(MOST_METRICS) if answer.status == 200 else b""


def scraped(pod: Pod) -> tuple[int, str] | None:
    """Where the app's own metrics are, by the annotations `prometheus.io/...`; None where it has none."""
    notes = pod.annotations
    if notes.get("prometheus.io/scrape") != "true":
        return None
    port, path = notes.get("prometheus.io/port", "80"), notes.get("prometheus.io/path", "/metrics")
    if not port.isdecimal() or not 0 < int(port) < 65536 or int(port) == AGENT_PORT:
        return None
    return int(port), path if path.startswith("/") else f"/{path}"
