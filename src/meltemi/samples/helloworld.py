"""Istio's helloworld: `/hello` names version and instance, `/headers` echoes what arrived, `/health` answers 200.

Environment: `SERVICE_VERSION` (v1), `PORT` (5000), `BIND` (0.0.0.0).
"""

from __future__ import annotations

import os
import socket

from aiohttp import web


def application(version: str, instance: str) -> web.Application:
    """Build the app; `version` and `instance` are what `/hello` tells."""

    async def hello(_: web.Request) -> web.Response:
        """Name version and instance."""
        return web.Response(text=f"Hello version: {version}, instance: {instance}\n")

    async def headers(request: web.Request) -> web.Response:
        """Echo the request's headers."""
        return web.json_response({"headers": dict(request.headers), "version": version})

    async def health(_: web.Request) -> web.Response:
        """Say that it is well."""
        return web.Response(text="Helloworld is healthy\n")

    app = web.Application()
    app.add_routes([web.get("/hello", hello), web.get("/headers", headers), web.get("/health", health)])
    return app


def main() -> None:
    """Serve until SIGTERM."""
    version = os.environ.get("SERVICE_VERSION", "v1")
    instance = os.environ.get("HOSTNAME") or socket.gethostname()
    app = application(version, instance)
    web.run_app(
        app,
        host=os.environ.get("BIND", "0.0.0.0"),
        port=int(os.environ.get("PORT", "5000")),
        print=None,
        access_log=None,
        shutdown_timeout=2,
    )


if __name__ == "__main__":
    main()
