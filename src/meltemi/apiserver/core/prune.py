"""A document against its schema: unknown fields, nulls, wrong types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.api.problems import nearest
from meltemi.apiserver.core.schema import Node, Schemas, is_open
from meltemi.apiserver.core.status import Cause

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


@dataclass(frozen=True, slots=True)
class Pruned:
    """A document without what its schema does not know: sentences about what is `unknown`, `wrong` types as causes."""

    document: dict[str, Any]
    unknown: tuple[str, ...]
    wrong: tuple[Cause, ...]


def prune(schemas: Schemas, node: Node | None, document: Mapping[str, Any]) -> Pruned:
    """Drop unknown fields and nulls; `metadata` that no schema describes is kept as it is."""
    unknown: list[str] = []
    wrong: list[Cause] = []
    known = schemas.resolve(node)
    clean = _walk(schemas, known, dict(document), "", unknown=unknown, wrong=wrong)
    return Pruned(clean if isinstance(clean, dict) else {}, tuple(unknown), tuple(wrong))


def _walk(
    schemas: Schemas, node: Node | None, value: Any, path: str, *, unknown: list[str], wrong: list[Cause]
) -> Any:
    if node is None:
        return value
    if not _fits(node, value):
        kind = node.get("type")
        message = f"Invalid value: {_shown(value)}: must be of type {kind}"
        wrong.append(Cause("FieldValueTypeInvalid", message, path or "."))
        return value
    if isinstance(value, dict):
        free = is_open(node)
        properties = node.get("properties") or {}
        found: dict[str, Any] = {}
        for name, part in value.items():
            here = f"{path}.{name}" if path else name
            if (
                name not in properties
                and not free
                and not (not path and name in {"apiVersion", "kind", "metadata"})
            ):
                hint = nearest(name, properties)
                unknown.append(f'unknown field "{here}"' + (f" ({hint})" if hint else ""))
                continue
            inner = schemas.field(node, name)
            if (
                part is None
                and (name in properties or inner is not None)
                and not (inner or {}).get("nullable")
            ):
                continue
            found[name] = _walk(schemas, inner, part, here, unknown=unknown, wrong=wrong)
        return found
    if isinstance(value, list):
        inner = schemas.items(node)
        return [
            _walk(schemas, inner, part, f"{path}[{i}]", unknown=unknown, wrong=wrong)
            for i, part in enumerate(value)
        ]
    return value


def _fits(node: Node, value: Any) -> bool:
    if value is None:
        return True
    if node.get("x-kubernetes-int-or-string") or node.get("format") == "int-or-string":
        return not isinstance(value, dict | list)
    wanted = node.get("type")
    if not isinstance(wanted, str) or wanted not in _TYPES:
        return True
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return f'"{value[:64]}"'
    return str(value).lower()
