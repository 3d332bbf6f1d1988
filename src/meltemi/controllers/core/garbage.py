"""Garbage collection in the background: what is owned goes when the last owner is gone.

Owners are known by uid: an owner made anew under the same name does not keep what belonged to the former one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from meltemi.controllers.core.documents import (
    Document,
    being_deleted,
    name_of,
    namespace_of,
    rows,
    section,
    uid_of,
)

Find = Callable[[str, str, str, str], str | None]
"""`(apiVersion, kind, namespace, name)` -> uid of that object: empty if there is none, None if the kind is unknown."""


def is_owned(document: Document) -> bool:
    """Say whether an object names any owner."""
    return bool(rows(document, "metadata", "ownerReferences"))


def is_garbage(document: Document, find: Find) -> bool:
    """Say whether every owner of an object is gone.

    An owner of a kind that we do not know counts as there: better left than wrongly deleted.
    """
    owners = rows(document, "metadata", "ownerReferences")
    return (
        bool(owners)
        and not being_deleted(document)
        and not any(_lives(owner, document, find) for owner in owners)
    )


def _lives(owner: Document, document: Document, find: Find) -> bool:
    api_version, kind, name = (str(owner.get(field) or "") for field in ("apiVersion", "kind", "name"))
    uid = find(api_version, kind, namespace_of(document), name)
    return uid is None or (bool(uid) and uid == owner.get("uid"))


def foreground_waits(owner: Document, dependents: Iterable[Document]) -> bool:
    """Say whether an owner that is deleted in the foreground still waits for a dependent that blocks it."""
    uid = uid_of(owner)
    return any(
        reference.get("uid") == uid and reference.get("blockOwnerDeletion")
        for dependent in dependents
        for reference in rows(dependent, "metadata", "ownerReferences")
    )


FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def finalizer_to_settle(owner: Document) -> str:
    """Give the collector's own finalizer that a deleted owner carries: `foregroundDeletion`, `orphan`, or none."""
    if not being_deleted(owner):
        return ""
    held = section(owner, "metadata").get("finalizers") or ()
    return next((name for name in (FOREGROUND, ORPHAN) if name in held), "")


def without_finalizer(owner: Document, finalizer: str) -> dict[str, Any]:
    """Take a finalizer away."""
    metadata = section(owner, "metadata")
    left = [name for name in metadata.get("finalizers") or () if name != finalizer]
    return {**owner, "metadata": {**metadata, "finalizers": left}}


def without_owner(dependent: Document, owner: Document) -> dict[str, Any]:
    """Take an owner's reference away from what it owned: it is to outlive it."""
    metadata = section(dependent, "metadata")
    left = [row for row in rows(dependent, "metadata", "ownerReferences") if row.get("uid") != uid_of(owner)]
    return {**dependent, "metadata": {**metadata, "ownerReferences": left}}


def order(documents: Iterable[Document]) -> tuple[Document, ...]:
    """Sort what is to be deleted, so that runs are alike."""
    return tuple(sorted(documents, key=lambda row: (str(row.get("kind")), namespace_of(row), name_of(row))))
