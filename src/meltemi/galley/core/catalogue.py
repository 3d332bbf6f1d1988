"""Files of YAML as a catalogue of objects: what each file gives, and what all give together.

A file gives what stands in it, and while it cannot be read for what it says, what it gave before: an object is gone
only when its file was read whole without it. A document that cannot be told (its kind is unknown, it bears no name)
may be an object that the file gave: the object of that name stays, or where there is no name, all that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.api.diagnostics import Diagnostic, Level, Position, Ref, code
from meltemi.api.kind import Kind, Object
from meltemi.api.problems import METADATA, UNKNOWN_KIND
from meltemi.galley.core.facts import Document, Key
from meltemi.galley.core.ingest import NOT_AN_OBJECT, TWICE, Item, ingest
from meltemi.galley.core.text import START, Parsed

UNREADABLE = code(
    "MEL0070",
    "file-unreadable",
    Level.ERROR,
    "A file or folder of a directory of configuration cannot be read. What it gave last stays in force.",
)
EMPTIED = code(
    "MEL0071",
    "file-emptied",
    Level.WARNING,
    "A file of a directory of configuration has become empty, as a file does that is being written, or whose disk is "
    "full. What it gave last stays in force: delete the file to take it back.",
)
NOT_TAKEN = code(
    "MEL0072",
    "not-from-a-directory",
    Level.WARNING,
    "A directory gives the mesh's own configuration only. What else a mesh has is the API server's: apply it there.",
)
GIVEN_AGAIN = code(
    "MEL0073",
    "object-in-two-places",
    Level.WARNING,
    "Two files of a directory, two documents of one file, or two sources give the same object. The API server's is in "
    "force, else that of the first directory, and in a directory that of the first file by name.",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a file, as written, and where."""

    kind: Kind[Any]
    document: Document
    source: Parsed
    key: Key


@dataclass(frozen=True, slots=True)
class Page:
    """What a file gives, and what is wrong with it as a text.

    `read`: its bytes could be read; `whole`: and were understood for all that they say.
    """

    entries: tuple[Entry, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    whole: bool = True
    read: bool = True


EMPTY = Page()

Takes = Callable[[Key], bool]


def page(data: bytes, file: str, before: Page, takes: Takes, namespace: str = "default") -> Page:
    """Read a file. `takes` says which objects count; those that name no namespace get `namespace`."""
    if not data.strip():
        return _emptied(file, before)
    read = ingest(data, file, namespace=namespace, check=_unchecked)
    found = [one for one in read.diagnostics if one.code is not TWICE]
    broken = any(one.level is Level.ERROR and one.code not in (UNKNOWN_KIND, NOT_AN_OBJECT) for one in found)
    if broken:
        return Page(before.entries, tuple(found), whole=False)
    # What is another project's was never one of ours.
    wrong = [one for one in found if one.level is Level.ERROR and one not in read.foreign]
    strays = {one.ref.name if one.ref is not None else "" for one in wrong}
    entries: list[Entry] = []
    for item in read.items:
        named = _named(item)
        if not named:
            strays.add("")
            found.append(_nameless(item))
        elif takes(item.key):
            entries.append(Entry(item.kind, item.document, item.source, item.key))
        else:
            found.append(_not_taken(item))
    given = {entry.key for entry in entries}
    kept = [
        entry
        for entry in before.entries
        if entry.key not in given and ("" in strays or entry.key[2] in strays)
    ]
    return Page((*entries, *kept), tuple(found), whole=not strays)


def unreadable(file: str, words: str, before: Page) -> Page:
    """Give the page of a file that is there and cannot be read."""
    found = Diagnostic(UNREADABLE, words, position=Position(file, 1, 1))
    return Page(before.entries, (found,), whole=False, read=False)


def merged(pages: Mapping[str, Page]) -> tuple[dict[Key, Entry], tuple[Diagnostic, ...]]:
    """Put the pages of a directory together, by name of file; the first to give an object is taken."""
    taken: dict[Key, Entry] = {}
    found: list[Diagnostic] = []
    for _, read in sorted(pages.items()):
        found += read.findings
        for entry in read.entries:
            first = taken.setdefault(entry.key, entry)
            if first is not entry:
                found.append(_again(entry, first))
    return taken, tuple(dict.fromkeys(found))


def _unchecked(_kind: Kind[Any], _document: Any, _version: str) -> tuple[Object[Any] | None, tuple[()]]:
    """Leave the object to who takes it: only what cannot be named is a fault of the text."""
    return None, ()


def _named(item: Item) -> bool:
    metadata = item.document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return isinstance(name, str) and bool(name)


def _emptied(file: str, before: Page) -> Page:
    if not before.entries:
        return EMPTY
    message = "the file is empty now; what it gave stays in force until it says otherwise, or is deleted"
    return Page(before.entries, (Diagnostic(EMPTIED, message, position=Position(file, 1, 1)),), whole=False)


def _nameless(item: Item) -> Diagnostic:
    message = f"Required value: a {item.kind.name} needs a name"
    where = item.position("metadata.name")
    return Diagnostic(METADATA, message, Ref(item.kind.name, "", ""), "metadata.name", position=where)


def _not_taken(item: Item) -> Diagnostic:
    message = f"a {item.kind.name} is not taken from a directory"
    hint = f"kubectl apply -f {item.position().file}"
    return Diagnostic(NOT_TAKEN, message, _ref(item.kind, item.key), "", hint, item.position())


def _again(entry: Entry, first: Entry) -> Diagnostic:
    message = f"the object is given at {first.source.position()} already, which is the one in force"
    return Diagnostic(GIVEN_AGAIN, message, _ref(entry.kind, entry.key), position=entry.source.position())


def _ref(kind: Kind[Any], key: Key) -> Ref:
    return Ref(kind.name, key[1], key[2])


def restored(files: Mapping[str, Iterable[tuple[Kind[Any], Document]]]) -> Iterator[tuple[str, Page]]:
    """Give pages from documents that were written down: what the files gave before this process."""
    for file, documents in files.items():
        entries = []
        for kind, document in documents:
            metadata = document["metadata"]
            key = (kind.resource, str(metadata.get("namespace") or ""), str(metadata["name"]))
            entries.append(Entry(kind, document, Parsed(document, file, START), key))
        yield file, Page(tuple(entries))
