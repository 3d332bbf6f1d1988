"""A small API server for tests of the client: one collection, and whatever goes wrong on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

Document = dict[str, Any]
PATHS = ("/api/v1/configmaps", "/api/v1/namespaces/{namespace}/configmaps")


class FakeServer:
    """ConfigMaps on a Unix socket. `start` and `stop` restart it; its objects outlive that."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.revision = 10
        self.oldest = 0
        self.objects: dict[tuple[str, str], Document] = {}
        self.log: list[tuple[int, str, Document]] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.headers: list[dict[str, str]] = []
        self.page = 500
        self.offers_initial_events = False
        self.answer: tuple[int, Any] | None = None
        self.cut_after: int | None = None
        self.silent_lists = 0
        self.watchers: set[asyncio.Queue[bytes | None]] = set()
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    async def start(self) -> None:
        app = web.Application()
        for path in PATHS:
            app.router.add_get(path, self._get)
        app.router.add_route("*", "/{rest:.*}", self._any)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        for queue in self.watchers:
            queue.put_nowait(None)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket.unlink(missing_ok=True)

    def put(self, name: str, namespace: str = "a", **data: str) -> Document:
        self.revision += 1
        old = self.objects.get((namespace, name))
        uid = old["metadata"]["uid"] if old else f"uid-{self.revision}"
        made = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": uid,
                "resourceVersion": str(self.revision),
            },
            "data": data,
        }
        self.objects[namespace, name] = made
        self._emit("MODIFIED" if old else "ADDED", made)
        return made

    def delete(self, name: str, namespace: str = "a") -> None:
        self.revision += 1
        made = self.objects.pop((namespace, name))
        gone = {**made, "metadata": {**made["metadata"], "resourceVersion": str(self.revision)}}
        self._emit("DELETED", gone)

    def bookmark(self) -> None:
        self.revision += 1
        self._send(_line("BOOKMARK", _bookmark(self.revision)))

    def cut(self) -> None:
        """Break every watch in the middle of a line."""
        self._send(b'{"type":"ADDED","object":{"meta')
        self._send(None)

    def _emit(self, kind: str, document: Document) -> None:
        self.log.append((self.revision, kind, document))
        self._send(_line(kind, document))

    def _send(self, data: bytes | None) -> None:
        for queue in self.watchers:
            queue.put_nowait(data)

    async def _any(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self._note(request, json.loads(body) if body else None)
        status, document = self.answer or (200, {"kind": "ConfigMap"})
        if isinstance(document, bytes):
            return web.Response(status=status, body=document)
        return web.json_response(document, status=status)

    def _note(self, request: web.Request, body: Any) -> None:
        self.requests.append((request.method, request.path, dict(request.query), body))
        self.headers.append(dict(request.headers))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._note(request, None)
        if self.answer is not None:
            status, document = self.answer
            return web.json_response(document, status=status)
        if request.query.get("watch") == "true":
            return await self._watch(request)
        return self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        start = 0
        token = request.query.get("continue")
        if token is not None:
            if token.startswith("old"):
                return web.json_response(_status(410, "Expired"), status=410)
            start = int(token)
        limit = int(request.query.get("limit", "0")) or len(self.objects) or 1
        limit = min(limit, self.page)
        everything = [self.objects[key] for key in sorted(self.objects)]
        items = [{k: v for k, v in item.items() if k in ("metadata", "data")} for item in everything]
        metadata: Document = {"resourceVersion": str(self.revision)}
        if start + limit < len(items):
            metadata["continue"] = "old" if self.silent_lists else str(start + limit)
            self.silent_lists = max(0, self.silent_lists - 1)
            if metadata["continue"] == "old":
                self.page = 500
        return web.json_response({"metadata": metadata, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("resourceVersion", "")
        initial = request.query.get("sendInitialEvents") == "true"
        if initial and not self.offers_initial_events:
            return web.json_response(_status(422, "Invalid"), status=422)
        response = web.StreamResponse()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        lines: list[bytes] = []
        if initial:
            lines = [_line("ADDED", item) for item in self.objects.values()]
            lines.append(_line("BOOKMARK", _bookmark(self.revision, {"k8s.io/initial-events-end": "true"})))
        elif int(since or 0) < self.oldest:
            lines = [_line("ERROR", _status(410, "Expired"))]
            queue.put_nowait(None)
        else:
            lines = [_line(kind, item) for revision, kind, item in self.log if revision > int(since or 0)]
        self.watchers.add(queue)
        await response.prepare(request)
        try:
            for line in lines:
                await response.write(line)
            while (data := await queue.get()) is not None:
                # In small pieces, as a slow network brings them.
                for at in range(0, len(data), 100):
                    await response.write(data[at : at + 100])
        except ConnectionError:
            pass
        finally:
            self.watchers.discard(queue)
        if request.transport is not None and self.cut_after is not None:
            request.transport.abort()
        return response


def _line(kind: str, document: Document) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"


def _bookmark(revision: int, annotations: dict[str, str] | None = None) -> Document:
    metadata: Document = {"resourceVersion": str(revision)}
    if annotations:
        metadata["annotations"] = annotations
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}


def _status(code: int, reason: str) -> Document:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": f"{reason}!"}


@contextlib.asynccontextmanager
async def running(server: FakeServer) -> AsyncIterator[FakeServer]:
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
