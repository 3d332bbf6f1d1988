"""Documents to objects, strictly: every error at once, each with its path; and back."""

from __future__ import annotations

from typing import Any, TypeVar

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Kind, Object

T = TypeVar("T")

Document = dict[str, Any]


def decode(
    kind: Kind[T], document: Any, version: str = ""
) -> tuple[Object[T] | None, tuple[Diagnostic, ...]]:
    """Decode a whole object (`apiVersion`, `kind`, `metadata`, `spec` or body); no object where there is any error.

    `version` is the version the document is written in; if empty, that of its `apiVersion`, else the storage version.
    `status` is checked where Kubernetes has a schema for it, and otherwise not looked at.
    """
    raise NotImplementedError


def decode_status(kind: Kind[Any], document: Any) -> Any:
    """Give what others report of an object, as a frozen value: `PodStatus`, `ServiceStatus`, `NodeStatus`, else None.

    Lenient: statuses are written by agents, and what cannot be read is left at its default.
    """
    raise NotImplementedError


def encode(kind: Kind[T], obj: Object[T], version: str = "") -> Document:
    """Write an object as a document in that version (the storage version if empty): the round trip of `decode`."""
    raise NotImplementedError


def encode_value(value: Any) -> Any:
    """Write a declared value (a spec or a part of one) as JSON; fields at their defaults are left out."""
    raise NotImplementedError
