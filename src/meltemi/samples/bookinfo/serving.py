"""What all four apps do alike: say who answered, tell a line per request, and serve until SIGTERM."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

PORT = 9080
SERVED_BY = "x-bookinfo-served-by"


@dataclass(frozen=True, slots=True)
class Who:
    """The instance that answers: app, version, pod, and the cluster's name where one is given."""

    app: str
    version: str = "v1"
    pod: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.app} {self.version} {self.pod}".rstrip()


def who(app: str, env: Mapping[str, str]) -> Who:
    """Read from the environment who this instance is."""
    pod = env.get("HOSTNAME") or socket.gethostname()
    return Who(app, env.get("SERVICE_VERSION") or "v1", pod, env.get("CLUSTER_NAME", ""))


def application(me: Who, health: web.Response | None = None) -> web.Application:
    """Build an app that signs its answers with `me` and prints a line for each; `health` is served as `/health`."""

    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        """Add who answered, before whoever was asked for the answer; print what a mirror's or a test's reader needs."""
        before = response.headers.get(SERVED_BY)
        response.headers[SERVED_BY] = f"{me}, {before}" if before else str(me)
        if request.path != "/health":
            user = request.headers.get("end-user", "-")
            print(f"{request.method} {request.path} {response.status} {request.host} {user}", flush=True)

    app = web.Application()
    app.on_response_prepare.append(sign)
    if health is not None:
        text, content_type = health.text, health.content_type

        async def well(_: web.Request) -> web.Response:
            """Say that it is well."""
            return web.Response(text=text, content_type=content_type)

        app.router.add_get("/health", well)
    return app


def serve(app: web.Application, env: Mapping[str, str] = os.environ) -> None:
    """Serve on `BIND` (0.0.0.0) and `PORT` until SIGTERM; requests in flight are answered first."""
    web.run_app(
        app,
        host=env.get("BIND") or "0.0.0.0",
        port=int(env.get("PORT") or PORT),
        print=None,
        access_log=None,
        shutdown_timeout=2,
    )
