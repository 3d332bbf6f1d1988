"""Text to objects: documents are decoded by their kind, lists taken apart, findings given their place in the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from meltemi.api import paths, registry
from meltemi.api.decode import decode, decode_readable
from meltemi.api.diagnostics import Diagnostic, Level, Position, Ref, code
from meltemi.api.kind import Alias, Kind, Object
from meltemi.api.problems import UNKNOWN_KIND, nearest, shown
from meltemi.galley.core.text import Parsed, parse
from meltemi.galley.validate import validate

NOT_AN_OBJECT = code(
    "MEL0013",
    "not-an-object",
    Level.ERROR,
    "A document is not a mapping with `apiVersion` and `kind`, so it says nothing that could be applied.",
)
TWICE = code(
    "MEL0014",
    "object-given-twice",
    Level.WARNING,
    "Two documents are the same object by kind, namespace and name; the later one replaces the earlier.",
)

Check = Callable[[Kind[Any], Any, str], tuple[Object[Any] | None, tuple[Diagnostic, ...]]]


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a text: its document as written, and the decoded object (None where it has errors)."""

    kind: Kind[Any]
    version: str
    document: dict[str, Any]
    object: Object[Any] | None
    source: Parsed

    @property
    def key(self) -> tuple[str, str, str]:
        """Resource, namespace and name as written."""
        metadata = self.document.get("metadata")
        found = metadata if isinstance(metadata, dict) else {}
        return self.kind.resource, str(found.get("namespace") or ""), str(found.get("name") or "")

    def position(self, path: str = "") -> Position:
        """Give the place of a path of the object."""
        return self.source.position(path)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a text held. `foreign` are those of the diagnostics that speak of other projects' kinds."""

    items: tuple[Item, ...]
    diagnostics: tuple[Diagnostic, ...]
    foreign: tuple[Diagnostic, ...] = ()

    @property
    def good(self) -> bool:
        """Whether there are no errors; warnings may be there."""
        return all(one.level is not Level.ERROR for one in self.diagnostics)


def checked(
    kind: Kind[Any], document: Any, version: str
) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
    """Decode and check by the rules of the kind; no object where it cannot be decoded."""
    obj, found = decode(kind, document, version)
    if obj is not None:
        return obj, found + validate(kind, obj)
    return None, found + _beside(kind, document, found)


def _beside(kind: Kind[Any], document: Any, wrong: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Check what could be read of a document that cannot be decoded, so that all mistakes are told at once.

    What could not be read has a default, so nothing is said of what holds it and of what stands beside it: an unknown
    field may be a missing one, and a wrong one may be what another asks for.
    """
    holders = {paths.parts(one.path)[:-1] for one in wrong}
    if () in holders or isinstance(kind, Alias):
        return ()
    return tuple(
        one
        for one in validate(kind, decode_readable(kind, document))
        if not any(_related(paths.parts(one.path), holder) for holder in holders)
    )


def _related(one: tuple[paths.Part, ...], other: tuple[paths.Part, ...]) -> bool:
    """Say whether one path is the other, or lies below it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def ingest(data: bytes | str, file: str, *, namespace: str = "", check: Check = checked) -> Ingested:
    """Read all objects of a text.

    Where `namespace` is given, objects of namespaced kinds that name none get it. `check` decodes and checks one
    document; `checks.check` knows the rules of every room.
    """
    documents, problems = parse(data, file)
    found = list(problems)
    items: list[Item] = []
    strangers: list[Diagnostic] = []
    for document in documents:
        for part in parts(document, found):
            item = _item(part, namespace, check, found)
            if item is not None:
                items.append(item)
            elif foreign(part.value):
                strangers.append(found[-1])
    found += _twice(items)
    return Ingested(tuple(items), tuple(found), tuple(strangers))


def parts(source: Parsed, found: list[Diagnostic]) -> Iterator[Parsed]:
    """Take a List apart; anything else is its only part, and what is no mapping is told."""
    value = source.value
    if not isinstance(value, dict):
        message = f"a document must be an object with apiVersion and kind, not {shown(value)}"
        found.append(Diagnostic(NOT_AN_OBJECT, message, position=source.position()))
        return
    kind, items = str(value.get("kind", "")), value.get("items")
    if not isinstance(items, list) or not kind.endswith("List"):
        if kind != "List" or items is not None:
            yield source
        return
    for index, _ in enumerate(items):
        part = source.part(("items", index))
        if isinstance(part.value, dict) and "kind" not in part.value and kind != "List":
            # Members of a typed list need not say their kind.
            inherited = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List")}
            part = replace(part, value={**inherited, **part.value})
        yield from parts(part, found)


def _item(source: Parsed, namespace: str, check: Check, found: list[Diagnostic]) -> Item | None:
    document = source.value
    kind = registry.of_document(document)
    if kind is None:
        found.append(unknown(source))
        return None
    metadata = document.get("metadata")
    if namespace and kind.namespaced and isinstance(metadata, dict) and not metadata.get("namespace"):
        document = {**document, "metadata": {**metadata, "namespace": namespace}}
    version = registry.split(document["apiVersion"])[1]
    obj, problems = check(kind, document, version)
    found += (replace(one, position=source.position(one.path)) for one in problems)
    return Item(kind, version, document, obj, source)


def unknown(source: Parsed) -> Diagnostic:
    """Say why a document is of no kind that is known, and which may have been meant."""
    document = source.value
    api_version, name = document.get("apiVersion"), document.get("kind")
    metadata = document.get("metadata")
    called = metadata.get("name") if isinstance(metadata, dict) else None
    ref = Ref(name, "", str(called or "")) if isinstance(name, str) else None
    for field, value in (("apiVersion", api_version), ("kind", name)):
        if not isinstance(value, str) or not value:
            message = f"a document must say its {field}"
            return Diagnostic(NOT_AN_OBJECT, message, ref, field, position=source.position(field))
    message, path, hint = f'the kind "{name}" of "{api_version}" is not known', "kind", ""
    if not foreign(document):
        group, _ = registry.split(str(api_version))
        same = [kind for kind in registry.KINDS if kind.name == name]
        if same:
            served = ", ".join(f"{kind.group}/{one}".lstrip("/") for kind in same for one in kind.versions)
            message, hint, path = f'{name} has no version "{api_version}"', f"use {served}", "apiVersion"
        else:
            own = [kind.name for kind in registry.in_group(group)]
            hint = nearest(str(name), own) or nearest(str(name), [kind.name for kind in registry.KINDS])
    return Diagnostic(UNKNOWN_KIND, message, ref, path, hint, source.position(path))


def foreign(document: Any) -> bool:
    """Say whether a document is of another project's kind: nothing is known of it, and nothing wrong with it.

    A group that is one of ours but for a letter, with a kind of that one, is a mistake.
    """
    api_version, name = str(document.get("apiVersion") or ""), document.get("kind")
    group, _ = registry.split(api_version)
    if not group or group in registry.PACKAGES:
        return False
    meant = get_close_matches(group, registry.PACKAGES, n=1, cutoff=0.9)
    return not any(kind.name == name for near in meant for kind in registry.in_group(near))


def _twice(items: Iterable[Item]) -> Iterator[Diagnostic]:
    seen: dict[tuple[str, str, str], Item] = {}
    for item in items:
        key = item.key
        before = seen.get(key)
        if before is not None and key[2]:
            _, namespace, name = key
            message = f"the object is given at {before.position()} already; this one replaces it"
            yield Diagnostic(TWICE, message, Ref(item.kind.name, namespace, name), position=item.position())
        seen[key] = item
