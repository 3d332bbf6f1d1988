"""watch: a stream of changes as JSON lines, following the store's window of synced events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson
from aiohttp import web

from meltemi.apiserver.core.lists import flag, revision_of, whole
from meltemi.apiserver.core.scheme import Target
from meltemi.apiserver.core.status import ApiError, Cause, bad_request, invalid
from meltemi.apiserver.core.storage import Entry, Event, EventType, entry_of
from meltemi.apiserver.shell.context import Context
from meltemi.apiserver.shell.reads import Selection, View, check_reached, selection

CLOSING = web.AppKey("closing", asyncio.Event)
INITIAL_END = {"k8s.io/initial-events-end": "true"}
BOOKMARK_SECONDS = 30.0
WRITE_SECONDS = 60.0
_LEAST_SECONDS = 1800
_MOST_SECONDS = 24 * 3600
_CHUNK_EVENTS = 500


class Watch:
    """One watch: where it stands, what it shows, how far its client has been told."""

    def __init__(
        self, context: Context, view: View, target: Target, query: Mapping[str, str], request: web.Request
    ) -> None:
        self._context = context
        self._memory = context.store.memory
        self._view = view
        self._namespace = target.namespace or None
        self._chosen: Selection = selection(query, target, view.kind.resource)
        self._request = request
        self._bookmarks = flag(query.get("allowWatchBookmarks", ""), "allowWatchBookmarks")
        self._initial, self._revision = _start(query)
        seconds = whole(query.get("timeoutSeconds", ""), "timeoutSeconds", most=_MOST_SECONDS)
        self._seconds = seconds or _LEAST_SECONDS * (1 + context.fraction())
        self._mark_initial = flag(query.get("sendInitialEvents", ""), "sendInitialEvents")
        self._columns = True
        check_reached(self._memory, self._revision)

    async def serve(self) -> web.StreamResponse:
        """Answer until the time is over, the client goes, or the client is too far behind."""
        response = web.StreamResponse()
        response.headers["Content-Type"] = self._view.form.content_type
        response.headers["Cache-Control"] = "no-cache, private"
        response.enable_chunked_encoding()
        # Clients wait for the headers before they wait for events: they go out now.
        await response.prepare(self._request)
        try:
            async with asyncio.timeout(self._seconds):
                await self._run(response)
        except TimeoutError:
            if self._bookmarks and not self._gone():
                await self._send(response, [self._bookmark({})])
        except ApiError as error:
            await self._send(response, [_line("ERROR", orjson.dumps(error.status()))])
        except ConnectionError:
            return response
        if not self._gone():
            await response.write_eof()
        return response

    async def _run(self, response: web.StreamResponse) -> None:
        if self._initial:
            await self._send_state(response)
        while not self._gone():
            # The signal first: a change between looking and waiting must not be missed.
            signal = self._memory.signal(self._view.kind.resource)
            events = self._memory.since(self._view.kind.resource, self._revision)
            for start in range(0, len(events), _CHUNK_EVENTS):
                chunk = events[start : start + _CHUNK_EVENTS]
                lines = [line for event in chunk if (line := self._shown(event))]
                self._revision = chunk[-1].revision
                if lines:
                    await self._send(response, lines)
            if events:
                continue
            # All of this resource up to here is told: other kinds' revisions may be passed over.
            self._revision = max(self._revision, self._memory.revision)
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    await signal.wait()
            except TimeoutError:
                if self._bookmarks:
                    await self._send(response, [self._bookmark({})])

    async def _send_state(self, response: web.StreamResponse) -> None:
        """Show what is there as if it were just added."""
        self._revision = self._memory.revision
        entries = [
            entry
            for entry in self._memory.entries(self._view.kind.resource, self._namespace)
            if self._chosen.matches(entry)
        ]
        for start in range(0, len(entries), _CHUNK_EVENTS):
            await self._send(
                response, [self._object("ADDED", e) for e in entries[start : start + _CHUNK_EVENTS]]
            )
        if self._mark_initial and self._bookmarks:
            await self._send(response, [self._bookmark(INITIAL_END)])

    def _shown(self, event: Event) -> bytes | None:
        """Return an event as this watch sees it: what enters or leaves a selection is added or deleted."""
        if self._namespace is not None and event.entry.key.namespace != self._namespace:
            return None
        if self._chosen.everything:
            return self._object(event.type, event.entry)
        now = event.type != "DELETED" and self._chosen.matches(event.entry)
        before = event.previous is not None and self._chosen.matches(event.previous)
        if now:
            return self._object("MODIFIED" if before else "ADDED", event.entry)
        if before and event.previous is not None:
            last = entry_of(event.entry.key, event.previous.document(), event.revision)
            return self._object("DELETED", event.entry if event.type == "DELETED" else last)
        return None

    def _object(self, kind: EventType, entry: Entry) -> bytes:
        columns, self._columns = self._columns, False
        return _line(kind, self._view.event(entry, columns=columns))

    def _bookmark(self, annotations: Mapping[str, str]) -> bytes:
        return _line("BOOKMARK", self._view.bookmark(self._revision, annotations))

    async def _send(self, response: web.StreamResponse, lines: list[bytes]) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(b"".join(lines))
        except TimeoutError:
            # A peer that takes nothing for so long is gone, whatever its TCP says.
            transport = self._request.transport
            if transport is not None:
                transport.abort()
            raise ConnectionResetError from None

    def _gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing() or bool(self._request.app[CLOSING].is_set())


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def _start(query: Mapping[str, str]) -> tuple[bool, int]:
    """Return whether the state is sent first, and the revision to follow from."""
    text = query.get("resourceVersion", "")
    revision = revision_of(text)
    match = query.get("resourceVersionMatch", "")
    if query.get("sendInitialEvents"):
        if match != "NotOlderThan":
            message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid(
                "ListOptions",
                "meta.k8s.io",
                "",
                (Cause("FieldValueForbidden", message, "sendInitialEvents"),),
            )
        return flag(query["sendInitialEvents"], "sendInitialEvents"), revision
    if match:
        raise bad_request("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    return revision == 0, revision
