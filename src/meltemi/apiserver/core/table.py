"""Objects as tables (`meta.k8s.io/v1 Table`): what `kubectl get` prints is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meltemi.api.kind import Column, Kind
from meltemi.apiserver.core import jsonpath
from meltemi.apiserver.core.columns import BUILTIN
from meltemi.apiserver.core.durations import age

Include = Literal["None", "Metadata", "Object"]
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind's columns and what fills them, first the name."""

    columns: tuple[Column, ...]
    cells: Callable[[Document, float], list[Any]]


def layout(kind: Kind[Any]) -> Layout:
    """Return the columns of a kind: kubectl's own for Kubernetes' kinds, else what the kind declares, then its age."""
    builtin = BUILTIN.get(kind.resource)
    name = Column("Name", "string", ".metadata.name", "Name of the object")
    if builtin is not None:
        return Layout(
            (name, *builtin.columns), lambda document, now: [_name(document), *builtin.cells(document, now)]
        )
    declared = kind.columns
    if not any(column.name.lower() == "age" for column in declared):
        declared = (*declared, Column("Age", "date", ".metadata.creationTimestamp", "Time since creation"))

    def cells(document: Document, now: float) -> list[Any]:
        return [_name(document), *(_cell(column, document, now) for column in declared)]

    return Layout((name, *declared), cells)


def _name(document: Document) -> str:
    return str(document["metadata"].get("name", ""))


def _cell(column: Column, document: Document, now: float) -> Any:
    values = jsonpath.find(column.json_path, document)
    if not values:
        return None
    value = values[0] if len(values) == 1 else values
    if column.type == "date":
        return age(value, now)
    if column.type == "integer":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if column.type in {"boolean", "number"}:
        return value
    if isinstance(value, str):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Write a value as kubectl shows those of custom resources: lists in JSON, booleans in lower case."""
    if isinstance(value, list):
        return "[" + ",".join(f'"{item}"' if isinstance(item, str) else _text(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ",".join(f'"{k}":{_text([v])[1:-1]}' for k, v in value.items()) + "}"
    return str(value)


def definitions(found: Layout) -> list[dict[str, Any]]:
    """Return the column definitions."""
    return [
        {
            "name": column.name,
            "type": "string" if column.type == "date" else column.type,
            "format": "name" if index == 0 else "",
            "description": column.description or column.name,
            "priority": column.priority,
        }
        for index, column in enumerate(found.columns)
    ]


def row(found: Layout, document: Document, include: Include, now: float) -> dict[str, Any]:
    """Return one row; `document` has its served apiVersion."""
    made: dict[str, Any] = {"cells": found.cells(document, now)}
    if include == "Object":
        made["object"] = document
    elif include == "Metadata":
        made["object"] = partial(document)
    return made


def table(
    found: Layout | None, rows: Iterable[dict[str, Any]], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a Table; without a layout the columns are left out, as in later events of a watch."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata),
        "columnDefinitions": definitions(found) if found is not None else [],
        "rows": list(rows),
    }


def partial(document: Document) -> dict[str, Any]:
    """Return a PartialObjectMetadata of a document."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": document["metadata"],
    }
