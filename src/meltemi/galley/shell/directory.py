"""A directory of YAML as a source: read whole, looked at again and again, and never believed to be empty by mistake.

It is polled, by the stat of every file: that works on every file system (network mounts, overlays and FUSE send no
inotify events), through every way in which files are swapped, and costs 2 ms in a thread for 1,000 files. What changes
is read when it has been still for a moment; a file that changes while it is read is read again.

Hidden names are passed over: a ConfigMap's volume shows its files as links through `..data`, which is swapped whole.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic, Position
from meltemi.galley.core import catalogue
from meltemi.galley.core.catalogue import Entry, Page
from meltemi.galley.core.facts import Document, Key
from meltemi.galley.core.text import LARGEST_TEXT
from meltemi.galley.shell import written
from meltemi.galley.shell.source import ADDED, DELETED, MODIFIED, Deliver, Scope, SourceEvent

_log = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml", ".json")
PERIOD = 0.5
"""Seconds between two looks at a directory in which nothing changes."""
QUIET = 0.1
"""What changes is read when it has not changed for so many seconds..."""
LOOKS = 20
"""...or after this many such looks."""

Root = tuple[int, int]
"""Device and inode of a folder: another one means that another folder has its name."""
Signature = tuple[int, int, int, int, int]
"""Device, inode, size, time of the last write and of the last change: another one means that the file may differ."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `shut` are files and folders that are there and cannot be looked at, with the reason."""

    files: Mapping[str, Signature] = field(default_factory=dict)
    shut: Mapping[str, str] = field(default_factory=dict)
    root: Root | None = None


class DirectorySource:
    """The objects of all files below `folder`; `scopes` say which count.

    `memory` is a file of ours where what each file gave last is written down: a file that is broken, or a folder that
    is away, gives it after a restart, too.
    """

    def __init__(
        self,
        folder: Path,
        scopes: Iterable[Scope],
        *,
        memory: Path | None = None,
        period: float = PERIOD,
        quiet: float = QUIET,
    ) -> None:
        self.name = f"directory {folder}"
        self.trusted = False
        self.errors: tuple[str, ...] = ()
        self.findings: tuple[Diagnostic, ...] = ()
        self._folder = folder
        self._scopes = {scope.kind.resource: scope for scope in scopes}
        self._memory = memory
        self._period = period
        self._quiet = quiet
        self._seen: Seen | None = None
        self._root: Root | None = None
        self._pages: dict[str, Page] = {}
        self._entries: dict[Key, Entry] = {}

    def holds(self, key: Key) -> bool:
        """Say whether some file gives an object."""
        return key in self._entries

    def position(self, key: Key, path: str = "") -> Position | None:
        """Give the place of a path of an object in its file."""
        entry = self._entries.get(key)
        return None if entry is None else entry.source.position(path)

    async def run(self, deliver: Deliver) -> None:
        """Read, tell, and look again."""
        first = self._seen is None
        if first:
            self._pages, self._root = await asyncio.to_thread(remembered, self._memory)
        while True:
            seen = await self._settled()
            if seen == self._seen and not self.errors and all(page.read for page in self._pages.values()):
                await asyncio.sleep(self._period)
                continue
            # Nothing of ours changes in the thread: it may outlive the task that waits for it.
            seen, pages = await asyncio.to_thread(self._read, seen)
            root, before = self._root, self._pages
            events = tuple(self._take(seen, pages))
            if first or events:
                deliver(events)
            if self._root != root or moved(before, pages):
                await asyncio.to_thread(remember, self._memory, pages, self._root)
            first = False
            await asyncio.sleep(self._period)

    async def _settled(self) -> Seen:
        """Look until nothing moves any more."""
        seen = await asyncio.to_thread(look, self._folder)
        if seen == self._seen:
            return seen
        for _ in range(LOOKS):
            await asyncio.sleep(self._quiet)
            again = await asyncio.to_thread(look, self._folder)
            if again == seen:
                break
            seen = again
        return seen

    def _read(self, seen: Seen) -> tuple[Seen, dict[str, Page]]:
        """Read what has changed; what changed meanwhile counts as not seen, so that the next look finds it."""
        old = self._seen or Seen()
        if self._is_away(seen):
            return seen, dict(self._pages)
        pages: dict[str, Page] = {}
        torn = set()
        for file, signature in seen.files.items():
            before = self._pages.get(file, catalogue.EMPTY)
            if signature == old.files.get(file) and before.read:
                pages[file] = before
                continue
            made = self._page(file, signature, before)
            if made is None:
                torn.add(file)
            pages[file] = made or before
        for place, words in seen.shut.items():
            below = [file for file in self._pages if file == place or file.startswith(f"{place}{os.sep}")]
            for file in below or (place,):
                before = self._pages.get(file, catalogue.EMPTY)
                pages[file] = catalogue.unreadable(place, words, before)
        files = {file: signature for file, signature in seen.files.items() if file not in torn}
        return Seen(files, seen.shut, seen.root), pages

    def _is_away(self, seen: Seen) -> bool:
        """Say whether the folder is not there; or another one is, with nothing in it, as where a mount is gone.

        It is compared with what was there last, in this process or before it.
        """
        if seen.root is None:
            return True
        nothing = not seen.files and not seen.shut and bool(self._pages)
        return nothing and self._root is not None and seen.root != self._root

    def _page(self, file: str, signature: Signature, before: Page) -> Page | None:
        """Read one file; None where it changes while it is read."""
        try:
            with Path(file).open("rb") as opened:
                if signed(os.fstat(opened.fileno())) != signature:
                    return None
                data = opened.read(LARGEST_TEXT + 1)
                if signed(os.fstat(opened.fileno())) != signature:
                    return None
        except FileNotFoundError:
            return None
        except OSError as error:
            return catalogue.unreadable(file, error.strerror or str(error), before)
        try:
            return catalogue.page(data, file, before, self._takes)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one file must not take all others along
            return catalogue.unreadable(
                file, f"Meltemi failed on it: {type(error).__name__}: {error}", before
            )

    def _takes(self, key: Key) -> bool:
        scope = self._scopes.get(key[0])
        return scope is not None and scope.takes(*key[1:])

    def _take(self, seen: Seen, pages: dict[str, Page]) -> Iterator[SourceEvent]:
        away = self._is_away(seen)
        self.errors = (f"{self._folder}: {_why(seen)}; what it gave last stays in force",) if away else ()
        if not away:
            self._root = seen.root
        if not away or self._seen is None:
            self._seen = seen
        self._pages = pages
        old, (entries, self.findings) = self._entries, catalogue.merged(pages)
        self._entries = {key: one for key, one in entries.items() if self._takes(key)}
        for key, entry in self._entries.items():
            before = old.get(key)
            if before is None or before.document != entry.document:
                yield SourceEvent(ADDED if before is None else MODIFIED, entry.kind, entry.document)
        for key, entry in old.items():
            if key not in self._entries:
                yield SourceEvent(DELETED, entry.kind, entry.document)


def moved(before: Mapping[str, Page], now: Mapping[str, Page]) -> bool:
    """Say whether what is to be remembered has changed; a page that is as it was is the same value."""
    return before.keys() != now.keys() or any(page is not before[file] for file, page in now.items())


def _why(seen: Seen) -> str:
    return next(iter(seen.shut.values()), "another folder is in its place, with nothing in it")


def look(folder: Path) -> Seen:
    """Find all files below a folder, by the stat of what their names lead to; `root` is None where it is away."""
    try:
        root = folder.stat()
        if not stat.S_ISDIR(root.st_mode):
            return Seen(shut={str(folder): "is no directory"})
    except OSError as error:
        return Seen(shut={str(folder): error.strerror or str(error)})
    files: dict[str, Signature] = {}
    shut: dict[str, str] = {}
    seen = {(root.st_dev, root.st_ino)}
    left = [str(folder)]
    while left:
        try:
            for path, status in _entries(left.pop(), shut):
                if stat.S_ISREG(status.st_mode) and path.endswith(SUFFIXES):
                    files[path] = signed(status)
                # A link back up would have no end.
                elif stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    left.append(path)
        except OSError as error:
            shut[error.filename or str(folder)] = error.strerror or str(error)
    if str(folder) in shut:
        return Seen(shut=shut)
    return Seen(files, shut, (root.st_dev, root.st_ino))


def _entries(folder: str, shut: dict[str, str]) -> Iterator[tuple[str, os.stat_result]]:
    """List what is in a folder and is not hidden, by name, each with what it leads to."""
    with os.scandir(folder) as found:
        entries = sorted((one for one in found if not one.name.startswith(".")), key=_name)
    for entry in entries:
        try:
            yield entry.path, entry.stat()
        except OSError as error:
            # Only what may be ours is told of: a dangling link of another name is nobody's fault.
            if entry.name.endswith(SUFFIXES):
                shut[entry.path] = error.strerror or str(error)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def signed(found: os.stat_result) -> Signature:
    """Tell one state of a file from another."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def remembered(memory: Path | None) -> tuple[dict[str, Page], Root | None]:
    """Read what was written down, and of which folder; nothing where there is none, or it cannot be read."""
    if memory is None:
        return {}, None
    try:
        kept = json.loads(memory.read_bytes())
        rows: dict[str, list[Document]] = kept["files"]
        files = {
            file: [(kind, one) for one in documents if (kind := registry.of_document(one)) is not None]
            for file, documents in rows.items()
        }
        device, inode = kept["root"]
        return dict(catalogue.restored(files)), (int(device), int(inode))
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        _log.warning("%s: %s: it is not used", memory, error)
        return {}, None


def remember(memory: Path | None, pages: Mapping[str, Page], root: Root | None) -> None:
    """Write down what each file of a folder gives; a disk that is full costs nobody the mesh."""
    # Of a folder that was never there everything came from here.
    if memory is None or root is None:
        return
    files = {file: [entry.document for entry in page.entries] for file, page in pages.items() if page.entries}
    try:
        written.replace(memory, {"root": root, "files": files})
    except OSError as error:
        _log.warning("%s: %s: a restart would lose what a broken file gave last", memory, error)
