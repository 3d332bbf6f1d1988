"""Reading decoded Kubernetes documents without stumbling over what is absent or null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Document: TypeAlias = Mapping[str, Any]
"""A decoded object; nobody changes it in place."""


def section(document: Document, *path: str) -> Mapping[str, Any]:
    """Give the mapping at a path of fields; the empty one where any of them is absent, null or no mapping."""
    found: Any = document
    for field in path:
        found = found.get(field) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def rows(document: Document, *path: str) -> Sequence[Mapping[str, Any]]:
    """Give the list of mappings at a path of fields; empty where it is absent, and without members of other types."""
    found = section(document, *path[:-1]).get(path[-1])
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def text(document: Document, *path: str) -> str:
    """Give the string at a path of fields; empty where there is none."""
    found = section(document, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def name_of(document: Document) -> str:
    """Give metadata.name."""
    return text(document, "metadata", "name")


def namespace_of(document: Document) -> str:
    """Give metadata.namespace."""
    return text(document, "metadata", "namespace")


def uid_of(document: Document) -> str:
    """Give metadata.uid."""
    return text(document, "metadata", "uid")


def key_of(document: Document) -> tuple[str, str]:
    """Give (namespace, name)."""
    return namespace_of(document), name_of(document)


def being_deleted(document: Document) -> bool:
    """Say whether the object has a deletionTimestamp."""
    return bool(section(document, "metadata").get("deletionTimestamp"))


def matches(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Say whether all pairs of an equality selector are among the labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def condition(document: Document, kind: str) -> str:
    """Give the status of a condition: `True`, `False`, `Unknown`, or empty where it is not reported."""
    for row in rows(document, "status", "conditions"):
        if row.get("type") == kind:
            return str(row.get("status") or "")
    return ""
