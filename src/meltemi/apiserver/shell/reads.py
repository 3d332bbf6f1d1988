"""get and list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from meltemi.api.kind import Alias, Kind
from meltemi.apiserver.core import table
from meltemi.apiserver.core.convert import served
from meltemi.apiserver.core.lists import Continue, continued, flag, revision_of, whole
from meltemi.apiserver.core.negotiate import Accepted
from meltemi.apiserver.core.scheme import Target, api_version
from meltemi.apiserver.core.selectors import FieldSelector, LabelSelector, field_selector, label_selector
from meltemi.apiserver.core.status import ApiError, Cause, bad_request, expired, not_found
from meltemi.apiserver.core.storage import Entry, Key, in_version
from meltemi.apiserver.shell import answers
from meltemi.apiserver.shell.context import Context
from meltemi.apiserver.shell.memory import Memory, after

MAX_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a collection are asked for."""

    labels: LabelSelector
    fields: FieldSelector
    name: str | None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.labels.terms and not self.fields.terms and self.name is None

    def matches(self, entry: Entry) -> bool:
        """Say whether an object is meant."""
        if self.name is not None and entry.key.name != self.name:
            return False
        if self.labels.terms and not self.labels.matches(entry.labels):
            return False
        return not self.fields.terms or self.fields.matches(entry.document())


def selection(query: Mapping[str, str], target: Target, resource: str) -> Selection:
    """Read the selectors of a query; ApiError 400 when malformed. A target with a name selects that one object."""
    fields = field_selector(query.get("fieldSelector", ""), resource)
    name = target.name or fields.exact("metadata.name")
    return Selection(label_selector(query.get("labelSelector", "")), fields, name)


class View:
    """How objects of one kind are shown: in which version, in which form."""

    def __init__(self, context: Context, kind: Kind[Any], version: str, form: Accepted, include: str) -> None:
        if include not in {"", "None", "Metadata", "Object"}:
            raise bad_request(f"includeObject: Invalid value: {include!r}: must be None, Metadata or Object")
        self.kind = kind
        self.form = form
        self._context = context
        self._stored = kind.api_version
        self._served = api_version(kind.group, version)
        self._include: table.Include = (
            "None" if include == "None" else "Object" if include == "Object" else "Metadata"
        )
        self._layout = table.layout(kind) if form.form == "table" else None

    def body(self, entry: Entry) -> bytes:
        """Return an object's bytes in the served version."""
        if isinstance(self.kind, Alias):
            return orjson.dumps(served(self.kind, self._served, entry.document()))
        return in_version(entry.body, self._stored, self._served)

    def shown(self, entry: Entry) -> bytes:
        """Return one object in the form asked for."""
        if self.form.form == "partial":
            return orjson.dumps(table.partial(entry.document()))
        if self._layout is not None:
            return orjson.dumps(self._table([entry], {"resourceVersion": str(entry.revision)}, columns=True))
        return self.body(entry)

    def event(self, entry: Entry, *, columns: bool) -> bytes:
        """Return an object as a watch shows it; only the first event of a Table watch has columns."""
        if self._layout is None:
            return self.shown(entry)
        return orjson.dumps(self._table([entry], {"resourceVersion": str(entry.revision)}, columns=columns))

    def listed(self, entries: list[Entry], metadata: Mapping[str, Any]) -> bytes:
        """Return a list in the form asked for."""
        if self._layout is not None:
            return orjson.dumps(self._table(entries, metadata, columns=True))
        if self.form.form == "partial":
            items = [orjson.dumps(table.partial(entry.document())) for entry in entries]
            name, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        else:
            items = [self.body(entry) for entry in entries]
            name, version = f"{self.kind.name}List", self._served
        head = orjson.dumps({"kind": name, "apiVersion": version, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(items) + b"]}"

    def bookmark(self, revision: int, annotations: Mapping[str, str]) -> bytes:
        """Return the object of a bookmark."""
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = dict(annotations)
        found: dict[str, Any] = {"kind": self.kind.name, "apiVersion": self._served, "metadata": metadata}
        if self.form.form == "partial":
            found.update(kind="PartialObjectMetadata", apiVersion="meta.k8s.io/v1")
        elif self._layout is not None:
            found = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            found.update(columnDefinitions=[], rows=[])
            if annotations:
                # Where a Table has the annotations: in the object of its only row.
                row = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
                found["rows"] = [{"cells": [], "object": row}]
        return orjson.dumps(found)

    def _table(
        self, entries: Iterable[Entry], metadata: Mapping[str, Any], *, columns: bool
    ) -> dict[str, Any]:
        found = self._layout
        if found is None:
            raise RuntimeError("this view has no layout")
        now = self._context.clock()
        rows = [
            table.row(found, {**entry.document(), "apiVersion": self._served}, self._include, now)
            for entry in entries
        ]
        return table.table(found if columns else None, rows, metadata)


def get(context: Context, view: View, target: Target) -> web.Response:
    """Answer one object."""
    entry = context.store.memory.get(Key(view.kind.resource, target.namespace, target.name))
    if entry is None:
        raise not_found(view.kind.resource, target.name)
    return answers.raw(view.shown(entry), content_type=view.form.content_type)


def list_(context: Context, view: View, target: Target, query: Mapping[str, str]) -> web.Response:
    """Answer a collection, or a page of it."""
    memory = context.store.memory
    chosen = selection(query, target, view.kind.resource)
    limit = whole(query.get("limit", ""), "limit", most=MAX_LIMIT) or 0
    place = continued(query["continue"]) if query.get("continue") else None
    revision, entries = _state(memory, view.kind, target, query, place)
    start = after(entries, place.namespace, place.name) if place is not None else 0
    found: list[Entry] = []
    more = False
    index = start
    for index in range(start, len(entries)):
        if not chosen.matches(entries[index]):
            continue
        if limit and len(found) == limit:
            more = True
            break
        found.append(entries[index])
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if more:
        last = found[-1].key
        metadata["continue"] = Continue(revision, last.namespace, last.name).token()
        if chosen.everything:
            metadata["remainingItemCount"] = len(entries) - index
    return answers.raw(view.listed(found, metadata), content_type=view.form.content_type)


def _state(
    memory: Memory, kind: Kind[Any], target: Target, query: Mapping[str, str], place: Continue | None
) -> tuple[int, list[Entry]]:
    """Return the revision a list is of, and all objects in its scope at that revision."""
    namespace = target.namespace or None
    asked = revision_of(query.get("resourceVersion", ""))
    match = query.get("resourceVersionMatch", "")
    if place is not None:
        if asked:
            raise bad_request("specifying resource version is not allowed when using continue")
        if place.revision < memory.floor:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        return place.revision, memory.entries_at(kind.resource, namespace, place.revision)
    if match not in {"", "NotOlderThan", "Exact"}:
        raise bad_request(
            f"resourceVersionMatch: Unsupported value: {match!r}: supported: Exact, NotOlderThan"
        )
    if match and not query.get("resourceVersion"):
        raise bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
    check_reached(memory, asked)
    if match == "Exact":
        if not asked:
            raise bad_request('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        return asked, memory.entries_at(kind.resource, namespace, asked)
    return memory.revision, list(memory.entries(kind.resource, namespace))


def check_reached(memory: Memory, revision: int) -> None:
    """Raise ApiError 504 for a revision that is not reached yet, as after a store was replaced."""
    if revision > memory.revision:
        message = f"Too large resource version: {revision}, current: {memory.revision}"
        raise ApiError(
            504,
            "Timeout",
            message,
            causes=(Cause("ResourceVersionTooLarge", "Too large resource version"),),
            retry_after=1,
        )


def wants_watch(query: Mapping[str, str]) -> bool:
    """Say whether a GET of a collection is a watch."""
    return flag(query.get("watch", ""), "watch")
