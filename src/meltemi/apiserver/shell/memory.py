"""What readers see: the objects as of the last synced revision, and a window of the changes that led to it."""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from meltemi.apiserver.core.status import expired
from meltemi.apiserver.core.storage import Entry, Event, Key

Table = dict[str, dict[str, Entry]]


class Memory:
    """Objects by resource, namespace and name, and the last `window` events.

    Only ever changed by `apply`, with events that are on disk. `floor` is the newest revision whose event is no
    longer kept: a watch or an exact list from before it is answered 410.
    """

    def __init__(self, window: int) -> None:
        self.revision = 0
        self.floor = 0
        self._window = window
        self._objects: dict[str, Table] = {}
        self._events: deque[Event] = deque()
        self._by_resource: dict[str, deque[Event]] = {}
        self._signals: dict[str, asyncio.Event] = {}
        self._later: dict[str, Callable[[], Iterable[Entry]]] = {}

    def provide(self, resource: str, make: Callable[[], Iterable[Entry]]) -> None:
        """Have a resource's objects made when they are first looked for: such as are always there, in no store."""
        self._later[resource] = make

    def _spaces(self, resource: str) -> Table:
        make = self._later.pop(resource, None)
        if make is not None:
            table = self._objects.setdefault(resource, {})
            for entry in make():
                table.setdefault(entry.key.namespace, {})[entry.key.name] = entry
        return self._objects.get(resource, {})

    def apply(self, event: Event) -> None:
        """Take one event into the state and the window."""
        key = event.entry.key
        spaces = self._objects.setdefault(key.resource, {})
        if event.type == "DELETED":
            names = spaces.get(key.namespace, {})
            names.pop(key.name, None)
            if not names:
                spaces.pop(key.namespace, None)
        else:
            spaces.setdefault(key.namespace, {})[key.name] = event.entry
        self.revision = event.revision
        self._events.append(event)
        self._by_resource.setdefault(key.resource, deque()).append(event)
        while len(self._events) > self._window:
            old = self._events.popleft()
            self._by_resource[old.entry.key.resource].popleft()
            self.floor = old.revision

    def wake(self, resources: set[str]) -> None:
        """Wake everyone who waits for changes of these resources."""
        for resource in resources:
            signal = self._signals.pop(resource, None)
            if signal is not None:
                signal.set()

    def wake_all(self) -> None:
        """Wake everyone."""
        self.wake(set(self._signals))

    def signal(self, resource: str) -> asyncio.Event:
        """Return the event that the next change of the resource sets; take it before looking for changes."""
        found = self._signals.get(resource)
        if found is None:
            found = self._signals[resource] = asyncio.Event()
        return found

    def get(self, key: Key) -> Entry | None:
        """Return one object."""
        return self._spaces(key.resource).get(key.namespace, {}).get(key.name)

    def entries(self, resource: str, namespace: str | None = None) -> Iterator[Entry]:
        """Yield objects in order of namespace and name."""
        spaces = self._spaces(resource)
        chosen = sorted(spaces) if namespace is None else [namespace]
        for space in chosen:
            names = spaces.get(space, {})
            for name in sorted(names):
                yield names[name]

    def entries_at(self, resource: str, namespace: str | None, revision: int) -> list[Entry]:
        """Return the objects as they were at an earlier revision; ApiError 410 when that is no longer known."""
        if revision < self.floor:
            raise expired(f"The provided resource version is too old: {revision} ({self.floor})")
        found = {entry.key: entry for entry in self.entries(resource, namespace)}
        if revision >= self.revision:
            return list(found.values())
        for event in reversed(self._by_resource.get(resource, ())):
            if event.revision <= revision:
                break
            key = event.entry.key
            if namespace is not None and key.namespace != namespace:
                continue
            if event.previous is None:
                found.pop(key, None)
            else:
                found[key] = event.previous
        return [found[key] for key in sorted(found)]

    def since(self, resource: str, revision: int) -> list[Event]:
        """Return the resource's events after a revision, oldest first; ApiError 410 when some are gone."""
        if revision < self.floor:
            raise expired(f"too old resource version: {revision} ({self.floor})")
        found: list[Event] = []
        for event in reversed(self._by_resource.get(resource, ())):
            if event.revision <= revision:
                break
            found.append(event)
        found.reverse()
        return found

    def count(self, resource: str) -> int:
        """Return how many objects there are of a resource."""
        return sum(len(names) for names in self._spaces(resource).values())


def after(entries: list[Entry], namespace: str, name: str) -> int:
    """Return the index of the first entry behind a place, in entries sorted by namespace and name."""
    return bisect.bisect_right(entries, (namespace, name), key=lambda e: (e.key.namespace, e.key.name))
