"""What is read over the API server's port besides the API: Istio's `/debug/*`, and `/meltemi/v1/*` of our own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from aiohttp import web

from meltemi.api.diagnostics import Diagnostic
from meltemi.apiserver.core.hooks import Route
from meltemi.galley.core import render
from meltemi.galley.core.facts import Key, Verdict
from meltemi.galley.shell.feed import Feed
from meltemi.pilot.shell import debug
from meltemi.pilot.shell.server import PilotServer

Serve = Callable[[Any], Awaitable[Any]]


def all_routes(pilot: PilotServer, feed: Feed) -> tuple[Route, ...]:
    """Give every route; all are reads."""
    table: dict[str, Serve] = {
        "/debug/syncz": _fixed(lambda: debug.syncz(pilot)),
        "/debug/connections": _fixed(lambda: debug.connections(pilot)),
        "/debug/config_dump": _config_dump(pilot),
        "/meltemi/v1/status": _fixed(lambda: _status(pilot, feed)),
        "/meltemi/v1/progress/": _progress(pilot),
    }
    return tuple(Route("GET", path, serve) for path, serve in table.items())


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, dumps=lambda found: json.dumps(found, default=str))


def _fixed(make: Callable[[], Any]) -> Serve:
    async def serve(_: web.Request) -> web.Response:
        return _json(make())

    return serve


def _config_dump(pilot: PilotServer) -> Serve:
    async def serve(request: web.Request) -> web.Response:
        proxy = request.query.get("proxyID", "")
        found = debug.config_dump(pilot, proxy)
        if found is None:
            return _json({"error": f'no proxy "{proxy}" is connected'}, 404)
        return _json(found)

    return serve


def _progress(pilot: PilotServer) -> Serve:
    """`/meltemi/v1/progress/RESOURCE/NAMESPACE/NAME`: how far an object has come, and who lacks it.

    The namespace is `-` for kinds without.
    """

    async def serve(request: web.Request) -> web.Response:
        parts = request.path.removeprefix("/meltemi/v1/progress/").strip("/").split("/")
        parts[1:2] = ["" if part == "-" else part for part in parts[1:2]]
        found = pilot.progress.progress(*parts) if len(parts) == 3 else None
        if found is None:
            return _json({"error": "translation does not know this object"}, 404)
        return _json(
            {
                "generation": found.generation,
                "reconciled": found.n,
                "total": found.m,
                "missing": list(pilot.progress.missing(*parts)),
                "rejected": [{"proxy": proxy, "reason": reason} for proxy, reason in found.rejected],
            }
        )

    return serve


def _status(pilot: PilotServer, feed: Feed) -> dict[str, Any]:
    """What the control plane says of itself."""
    return {
        "version": version("meltemi"),
        "transaction": pilot.transaction,
        "proxies": len(pilot.connections),
        "failures": [str(failure) for _, failure in pilot.failures],
        "translation": _translation(pilot),
        "objects": [_verdict(key, verdict) for key, verdict in feed.found.items()],
        "sources": [
            {
                "name": state.name,
                "synced": state.synced,
                "errors": list(state.errors),
                "findings": [render.json(one) for one in state.findings],
            }
            for state in feed.states
        ],
    }


def _translation(pilot: PilotServer) -> list[dict[str, Any]]:
    """What translation found, for proxies that are connected; nothing while a thread has the engine."""
    if pilot.busy:
        return []
    return [render.json(one) for one in pilot.engine.all_reports() if isinstance(one, Diagnostic)]


def _verdict(key: Key, verdict: Verdict) -> dict[str, Any]:
    """What is wrong with an object, and what of it is in force."""
    resource, namespace, name = key
    return {
        "resource": resource,
        "namespace": namespace,
        "name": name,
        "generation": verdict.generation,
        "inForce": verdict.stand.name,
        "findings": [render.json(one) for one in verdict.findings],
    }
