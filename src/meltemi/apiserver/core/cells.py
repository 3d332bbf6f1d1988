"""Cells of tables: what the columns of Kubernetes' own kinds are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.api.kind import Column
from meltemi.apiserver.core.durations import age

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns behind the name, and their cells."""

    columns: tuple[Column, ...]
    cells: Callable[[Document, float], list[Any]]


def columns(*names: str) -> tuple[Column, ...]:
    """A name with a `+` shows with `-o wide`; one with a `#` holds an integer."""
    return tuple(
        Column(name.strip("+#"), "integer" if "#" in name else "string", "", "", 1 if "+" in name else 0)
        for name in names
    )


def created(document: Document, now: float) -> str:
    """Write how long ago an object was made."""
    return age(mapping(document, "metadata").get("creationTimestamp"), now)


def mapping(document: Any, *path: str) -> dict[str, Any]:
    """Give the mapping at a path; empty where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return dict(document) if isinstance(document, Mapping) else {}


def items(document: Any, *path: str) -> list[Any]:
    """Give the list at a path; empty where there is none."""
    found = mapping(document, *path[:-1]).get(path[-1])
    return found if isinstance(found, list) else []


def mappings(document: Any, *path: str) -> list[dict[str, Any]]:
    """Give the mappings in the list at a path."""
    return [item for item in items(document, *path) if isinstance(item, dict)]


def number(value: Any) -> int:
    """Give a whole number; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def pairs(value: Any) -> str:
    """Write labels as `a=b,c=d`; `<none>` where there are none."""
    return (
        ",".join(f"{k}={v}" for k, v in sorted(value.items()))
        if isinstance(value, dict) and value
        else "<none>"
    )
