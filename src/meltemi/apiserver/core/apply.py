"""Server-side apply and the bookkeeping of who owns which field (`metadata.managedFields`).

The rules are those of Kubernetes' structured merge: an applier owns what it applied; applying a value that differs
from one another manager owns is a conflict; what an applier applied before and no longer does goes, unless somebody
else owns it. Any other write takes over what it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from meltemi.apiserver.core.fields import (
    NONE,
    Path,
    Paths,
    compare,
    cut,
    cut_empty,
    decode,
    encode,
    leaves,
    merge,
    same,
    shown,
    with_parents,
)
from meltemi.apiserver.core.schema import Node, Schemas
from meltemi.apiserver.core.status import Cause, bad_request, conflict

APPLY = "Apply"
UPDATE = "Update"
MAX_UPDATERS = 10
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_MANAGER_LENGTH = 128

# The server's own fields, which nobody owns.
_SYSTEM: Paths = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "selfLink",
                "uid",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    version: str
    subresource: str
    time: str
    paths: Paths

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells entries apart; an applier is the same in every version."""
        version = "" if self.operation == APPLY else self.version
        return self.name, self.operation, version, self.subresource

    def document(self) -> dict[str, Any]:
        """Return it as ManagedFieldsEntry."""
        found: dict[str, Any] = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(self.paths),
        }
        if self.subresource:
            found["subresource"] = self.subresource
        return found


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: the field manager, in which version, to which subresource, when (RFC 3339)."""

    name: str
    version: str
    subresource: str
    time: str


def managers_of(document: Mapping[str, Any]) -> tuple[Manager, ...]:
    """Read managedFields; entries that are malformed are left out."""
    metadata = document.get("metadata") or {}
    found = []
    entries = metadata.get("managedFields")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("operation") not in {APPLY, UPDATE}:
            continue
        paths = decode(entry.get("fieldsV1"))
        if paths:
            found.append(
                Manager(
                    str(entry.get("manager") or ""),
                    str(entry["operation"]),
                    str(entry.get("apiVersion") or ""),
                    str(entry.get("subresource") or ""),
                    str(entry.get("time") or ""),
                    paths,
                )
            )
    return tuple(found)


def with_managers(document: Mapping[str, Any], managers: Iterable[Manager]) -> dict[str, Any]:
    """Return the document with these managedFields."""
    ordered = sorted((m for m in managers if m.paths), key=lambda m: (m.operation, m.time, m.name))
    metadata = {k: v for k, v in document["metadata"].items() if k != "managedFields"}
    if ordered:
        metadata["managedFields"] = [manager.document() for manager in ordered]
    return {**document, "metadata": metadata}


def without_managers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without managedFields."""
    return with_managers(document, ())


def applied(
    schemas: Schemas,
    node: Node | None,
    live: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    writer: Writer,
    *,
    force: bool,
) -> dict[str, Any]:
    """Return the object after an apply, managedFields included; equal to `live` when nothing changes.

    `config` holds what the applier wants, in the version that the schema `node` describes. Raises ApiError 409 with a
    cause per conflict.
    """
    if (config.get("metadata") or {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    there = without_managers(live) if live is not None else {}
    managers = managers_of(live) if live is not None else ()
    if live is not None and not managers:
        everyone = leaves(schemas, node, there) - _SYSTEM
        managers = (Manager("before-first-apply", UPDATE, writer.version, "", writer.time, everyone),)
    merged = merge(schemas, node, there, config)
    wanted = leaves(schemas, node, config) - _SYSTEM
    me = (writer.name, APPLY, "", writer.subresource)
    mine = next((m for m in managers if m.identity == me), None)
    others = tuple(m for m in managers if m.identity != me)

    changed = compare(schemas, node, there, merged)
    taken = (changed.added | changed.modified) - _SYSTEM
    clashes = [(other, taken & other.paths) for other in others if taken & other.paths]
    if clashes and not force:
        clashes = [(other, paths - _client_side(schemas, node, there, writer)) for other, paths in clashes]
        clashes = [(other, paths) for other, paths in clashes if paths]
        if clashes:
            raise _conflict(config, clashes)
    others = tuple(replace(other, paths=other.paths - taken) for other in others)

    last = mine.paths if mine is not None else NONE
    result = _without_given_up(schemas, node, merged, last=last, wanted=wanted, others=others)
    result = _with_last_applied(result, config, writer)
    now = Manager(writer.name, APPLY, writer.version, writer.subresource, writer.time, wanted)
    if mine is not None and mine.paths == wanted and mine.version == writer.version and same(result, there):
        # A second apply of the same changes nothing: not even the time.
        now = mine
    if live is not None and same(result, there) and now == mine:
        return dict(live)
    return with_managers(result, (*others, now))


def _client_side(schemas: Schemas, node: Node | None, live: Mapping[str, Any], writer: Writer) -> Paths:
    """Return what the same user applied before by kubectl's old way: changing it by the new way is no conflict."""
    if writer.name != KUBECTL:
        return NONE
    annotations = (live.get("metadata") or {}).get("annotations") or {}
    try:
        last = orjson.loads(annotations.get(LAST_APPLIED, "{}"))
    except (orjson.JSONDecodeError, TypeError):
        return NONE
    return leaves(schemas, node, last) if isinstance(last, dict) else NONE


def _with_last_applied(result: dict[str, Any], config: Mapping[str, Any], writer: Writer) -> dict[str, Any]:
    """Keep kubectl's record of the last apply true, where it has one, so that its old way can be gone back to."""
    annotations = (result.get("metadata") or {}).get("annotations") or {}
    if writer.name != KUBECTL or LAST_APPLIED not in annotations:
        return result
    text = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    metadata = {**result["metadata"], "annotations": {**annotations, LAST_APPLIED: text}}
    return {**result, "metadata": metadata}


def _without_given_up(
    schemas: Schemas, node: Node | None, merged: Any, *, last: Paths, wanted: Paths, others: Iterable[Manager]
) -> Any:
    """Cut what the applier owned, no longer applies, and nobody else owns.

    A container that it only passed through goes too, but only when nothing is left in it: what nobody owns (an
    address given at creation) must not disappear with its neighbours.
    """
    kept = with_parents(wanted).union(*(with_parents(other.paths) for other in others))
    rest = cut(schemas, node, merged, (last - kept) - _SYSTEM)
    return cut_empty(schemas, node, rest, (with_parents(last) - last - kept) - _SYSTEM)


def _conflict(config: Mapping[str, Any], clashes: list[tuple[Manager, Paths]]) -> Exception:
    causes: list[Cause] = []
    for other, paths in clashes:
        what = f'conflict with "{other.name}"'
        if other.subresource:
            what += f' with subresource "{other.subresource}"'
        if other.operation == UPDATE:
            what += f" using {other.version}"
        causes.extend(Cause("FieldManagerConflict", what, shown(path)) for path in sorted(paths))
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    text = "; ".join(f"{cause.message}: {cause.field}" for cause in causes)
    metadata = config.get("metadata") or {}
    return conflict("", str(metadata.get("name") or ""), f"Apply failed with {count}: {text}", causes)


def tracked(
    schemas: Schemas, node: Node | None, old: Mapping[str, Any] | None, new: Mapping[str, Any], writer: Writer
) -> dict[str, Any]:
    """Return the object with managedFields after any other write than an apply.

    managedFields that the writer sent are taken as theirs to set; `[]` or `[{}]` forgets all owners.
    """
    sent = (new.get("metadata") or {}).get("managedFields")
    there = without_managers(old) if old is not None else {}
    fresh = without_managers(new)
    reset = isinstance(sent, list) and (not sent or sent == [{}])
    managers = managers_of(new) or (managers_of(old) if old is not None else ())
    if reset and old is not None and managers_of(old):
        return fresh
    changed = compare(schemas, node, there, fresh)
    taken = (changed.added | changed.modified) - _SYSTEM
    gone = changed.removed
    if not taken and not gone:
        return with_managers(fresh, managers)
    me = (writer.name, UPDATE, writer.version, writer.subresource)
    mine = next((m for m in managers if m.identity == me), None)
    found = [replace(other, paths=other.paths - taken - gone) for other in managers if other.identity != me]
    owned = ((mine.paths if mine is not None else NONE) - gone) | taken
    found.append(Manager(writer.name, UPDATE, writer.version, writer.subresource, writer.time, owned))
    return with_managers(fresh, _capped(found))


def _capped(managers: list[Manager]) -> list[Manager]:
    """Fold the oldest updaters into one, so that many short-lived ones do not grow every object."""
    updaters = sorted(
        (m for m in managers if m.operation == UPDATE and m.paths), key=lambda m: (m.time, m.name)
    )
    if len(updaters) <= MAX_UPDATERS:
        return managers
    old = updaters[: len(updaters) - MAX_UPDATERS + 1]
    folded: dict[tuple[str, str], Manager] = {}
    for manager in old:
        place = (manager.version, manager.subresource)
        before: set[Path] = set(folded[place].paths) if place in folded else set()
        folded[place] = replace(manager, name="ancient-changes", paths=frozenset(before | manager.paths))
    return [m for m in managers if m not in old] + list(folded.values())
