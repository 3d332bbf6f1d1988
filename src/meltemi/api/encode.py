"""Objects to documents: the way back of `decode`."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from meltemi.api.compiled import fields_of
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind, Object
from meltemi.api.values import Json

T = TypeVar("T")

Document = dict[str, Any]


def encode(kind: Kind[T], obj: Object[T], version: str = "") -> Document:
    """Write an object as a document in that version (the storage version if empty): the round trip of `decode`."""
    version = version or kind.storage_version
    metadata: Document = {"name": obj.name}
    if obj.namespace:
        metadata["namespace"] = obj.namespace
    if obj.labels:
        metadata["labels"] = dict(obj.labels)
    if obj.annotations:
        metadata["annotations"] = dict(obj.annotations)
    if obj.generation:
        metadata["generation"] = obj.generation
    if obj.uid:
        metadata["uid"] = obj.uid
    if obj.created:
        metadata["creationTimestamp"] = timestamp(obj.created)
    document: Document = {
        "apiVersion": f"{kind.group}/{version}" if kind.group else version,
        "kind": kind.name,
        "metadata": metadata,
    }
    body = encode_value(obj.spec)
    return {**document, **body} if kind.body else {**document, "spec": body}


def encode_value(value: Any) -> Any:
    """Write a declared value (a spec or a part of one) as JSON; fields at their defaults are left out."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, Json):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [encode_value(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode_value(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.json: encode_value(getattr(value, field.name))
            for field in fields_of(type(value))
            if field.meta.required or getattr(value, field.name) != field.default
        }
    return value


def timestamp(seconds: float) -> str:
    """Write seconds since the epoch as Kubernetes writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
