"""Follow a collection of the Kubernetes API: list, watch, resume, relist; a copy of it, and events as it changes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from meltemi.galley.shell.kube import (
    ApiError,
    Collection,
    Document,
    KubeClient,
    UnreachableError,
    WatchEvent,
    resource_of,
)

log = logging.getLogger(__name__)

Key = tuple[str, str]

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"
_INITIAL_END = "k8s.io/initial-events-end"
# A quiet watch that lasted this many seconds was a good one.
_LONG = 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """A change of one object: ADDED, MODIFIED or DELETED; `old` is what was known before (None for ADDED)."""

    type: str
    document: Document
    old: Document | None = None

    @property
    def key(self) -> Key:
        """Namespace (empty for kinds without) and name."""
        return key_of(self.document)


Handler = Callable[[Event], None]


def key_of(document: Document) -> Key:
    """Give namespace and name of a document."""
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


class Reflector:
    """A live copy of a collection. `run()` follows it until cancelled, through restarts of the server.

    Every change goes to `handler` (called in the event loop, must not block) after the copy has it. `synced` is set
    once the copy is whole, or the server says that it has no such kind. An object that is listed again unchanged makes
    no event; one that vanished while nobody watched makes DELETED with its last known document. With `keep=False` the
    copy holds metadata only.
    """

    def __init__(
        self,
        client: KubeClient,
        collection: Collection,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        handler: Handler | None = None,
        initial_events: bool = False,
        keep: bool = True,
        timeout_seconds: int = 300,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.client = client
        self.resource = resource_of(collection)
        self.namespace = namespace
        self.synced = asyncio.Event()
        self.error: str = ""
        self._labels = label_selector
        self._fields = field_selector
        self._handlers: list[Handler] = [handler] if handler else []
        self._documents: dict[Key, Document] = {}
        self._revision = ""
        self._initial_events = initial_events
        self._keep = keep
        self._timeout = timeout_seconds
        self._dice = dice
        self._waiters: list[asyncio.Future[None]] = []

    def get(self, namespace: str, name: str) -> Document | None:
        """Give one document of the copy; do not change it."""
        return self._documents.get((namespace, name))

    def __iter__(self) -> Iterator[Document]:
        return iter(tuple(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)

    def keys(self) -> tuple[Key, ...]:
        """Give the keys of the copy, sorted."""
        return tuple(sorted(self._documents))

    def subscribe(self, handler: Handler) -> None:
        """Call this for every later change; what is here already comes at once as ADDED."""
        self._handlers.append(handler)
        for document in self:
            handler(Event(ADDED, document))

    async def until(self, holds: Callable[[Reflector], bool]) -> None:
        """Wait until the copy is whole and `holds` of it; bound it with `asyncio.timeout`."""
        await self.synced.wait()
        while not holds(self):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def run(self) -> None:
        """Follow the collection for ever. A server that is away, slow, or forgetful is normal: it is asked again."""
        backoff = Backoff(cap=0.5 if self.client.local else 10.0, dice=self._dice)
        while True:
            try:
                if not self._revision:
                    await self._begin()
                await self._follow(backoff)
            except ApiError as error:
                if error.gone:
                    self._revision = ""
                if error.not_found:
                    self._absent()
                self._failed(error)
            except UnreachableError as error:
                self._failed(error)
            await asyncio.sleep(backoff.next())

    async def _begin(self) -> None:
        if self._initial_events and await self._begin_by_watch():
            return
        listing = await self.client.list(
            self.resource, self.namespace, label_selector=self._labels, field_selector=self._fields
        )
        self._replace({key_of(item): item for item in listing.items})
        self._revision = listing.resource_version

    async def _begin_by_watch(self) -> bool:
        """Take the first copy from the watch itself; False where the server does not offer that."""
        seen: dict[Key, Document] = {}
        try:
            async with asyncio.timeout(30), aclosing(self._watch(initial=True, timeout=25)) as events:
                async for event in events:
                    metadata = event.object.get("metadata") or {}
                    if event.type == "BOOKMARK":
                        if (metadata.get("annotations") or {}).get(_INITIAL_END) == "true":
                            self._replace(seen)
                            self._revision = str(metadata.get("resourceVersion", ""))
                            return True
                    elif event.type == DELETED:
                        seen.pop(key_of(event.object), None)
                    else:
                        seen[key_of(event.object)] = event.object
        except TimeoutError:
            pass
        except ApiError as error:
            if error.code not in (400, 422):
                raise
        self._initial_events = False
        return False

    def _watch(self, *, initial: bool, timeout: int) -> AsyncGenerator[WatchEvent, None]:
        return self.client.watch(
            self.resource,
            self.namespace,
            resource_version="" if initial else self._revision,
            label_selector=self._labels,
            field_selector=self._fields,
            initial_events=initial,
            timeout_seconds=timeout,
            opened=self._well,
        )

    def _well(self) -> None:
        self.error = ""

    async def _follow(self, backoff: Backoff) -> None:
        # Not all at once: reflectors that began together must not begin anew together.
        timeout = self._timeout + int(self._dice() * self._timeout)
        now = asyncio.get_running_loop().time
        begun = now()
        async with aclosing(self._watch(initial=False, timeout=timeout)) as events:
            async for event in events:
                backoff.reset()
                self._take(event)
        if now() - begun > _LONG:
            backoff.reset()

    def _take(self, event: WatchEvent) -> None:
        revision = (event.object.get("metadata") or {}).get("resourceVersion")
        if event.type == DELETED:
            old = self._documents.pop(key_of(event.object), None)
            if old is not None:
                self._tell(Event(DELETED, event.object, old))
        elif event.type in (ADDED, MODIFIED):
            self._put(event.object)
        if revision:
            self._revision = str(revision)
        self._wake()

    def _replace(self, items: dict[Key, Document]) -> None:
        for key in [key for key in self._documents if key not in items]:
            old = self._documents.pop(key)
            self._tell(Event(DELETED, old, old))
        for document in items.values():
            self._put(document)
        self.synced.set()
        self._wake()

    def _put(self, document: Document) -> None:
        key = key_of(document)
        old = self._documents.get(key)
        if old is not None and _same(old, document):
            return
        if old is not None and _uid(old) != _uid(document):
            # Deleted and made anew while nobody watched: two objects, two events.
            self._tell(Event(DELETED, old, old))
            old = None
        self._documents[key] = document if self._keep else {"metadata": document.get("metadata") or {}}
        self._tell(Event(ADDED if old is None else MODIFIED, document, old))

    def _tell(self, event: Event) -> None:
        for handler in self._handlers:
            handler(event)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _absent(self) -> None:
        """Take a kind that the server does not serve for one without objects, until it does.

        What was there stays: a server that has just started may not know all its kinds yet.
        """
        if not self.synced.is_set():
            self.synced.set()
            self._wake()

    def _failed(self, error: Exception) -> None:
        text = str(error)
        if text != self.error:
            log.info("%s: %s", self.resource.plural, text)
        self.error = text


@dataclass(slots=True)
class Backoff:
    """Pauses that double from 50 ms up to `cap` seconds, each shortened at random by up to half."""

    cap: float = 10.0
    first: float = 0.05
    dice: Callable[[], float] = random.random
    _next: float = 0.0

    def next(self) -> float:
        """Give the pause to make now, in seconds."""
        self._next = min(self.cap, self._next * 2 or self.first)
        return self._next * (0.5 + 0.5 * self.dice())

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._next = 0.0


def _same(old: Document, new: Document) -> bool:
    before, after = old.get("metadata") or {}, new.get("metadata") or {}
    revision: Any = before.get("resourceVersion")
    return (
        bool(revision) and revision == after.get("resourceVersion") and before.get("uid") == after.get("uid")
    )


def _uid(document: Document) -> Any:
    return (document.get("metadata") or {}).get("uid")
