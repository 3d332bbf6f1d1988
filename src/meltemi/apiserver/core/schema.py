"""Walking OpenAPI v3 schemas: what a field of an object is, for patches, apply, pruning and checks.

A node is a resolved schema, or None where nothing is known: then maps are granular and lists atomic, as Kubernetes
treats untyped data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

Node = Mapping[str, Any]

_PREFIX = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Schemas:
    """All definitions by name, and the steps from a schema to those of its parts."""

    definitions: Mapping[str, Node]

    def resolve(self, node: Node | None) -> Node | None:
        """Follow references, directly or as the sole member of `allOf`; what stands beside one adds to it."""
        for _ in range(8):
            if node is None:
                return None
            beside = node
            if "$ref" not in node:
                parts = node.get("allOf")
                if not (isinstance(parts, list | tuple) and len(parts) == 1 and "$ref" in parts[0]):
                    return node
                node = parts[0]
            target = self.definitions.get(str(node["$ref"]).removeprefix(_PREFIX))
            extra = {k: v for k, v in beside.items() if k not in {"$ref", "allOf", "description", "default"}}
            node = {**target, **extra} if target is not None and extra else target
        return None

    def field(self, node: Node | None, name: str) -> Node | None:
        """Return the node of a map's entry."""
        if node is None:
            return None
        found = (node.get("properties") or {}).get(name)
        if found is None:
            found = node.get("additionalProperties")
        return self.resolve(found) if isinstance(found, Mapping) else None

    def items(self, node: Node | None) -> Node | None:
        """Return the node of a list's items."""
        found = node.get("items") if node is not None else None
        return self.resolve(found) if isinstance(found, Mapping) else None


def is_declared(node: Node | None, name: str) -> bool:
    """Say whether a map's entry is a field of a struct (and no key of a free map)."""
    return node is not None and name in (node.get("properties") or {})


def is_open(node: Node | None) -> bool:
    """Say whether a map may have any keys."""
    if node is None:
        return True
    if node.get("additionalProperties") or node.get("x-kubernetes-preserve-unknown-fields"):
        return True
    return not node.get("properties")


def map_is_atomic(node: Node | None) -> bool:
    """Say whether a map is owned and replaced as a whole."""
    return node is not None and node.get("x-kubernetes-map-type") == "atomic"


def list_type(node: Node | None) -> str:
    """Return `map`, `set` or `atomic`."""
    found = node.get("x-kubernetes-list-type") if node is not None else None
    return str(found) if found in {"map", "set"} else "atomic"


def map_keys(node: Node | None) -> tuple[str, ...]:
    """Return the fields that tell the items of a list of type `map` apart."""
    return tuple(node.get("x-kubernetes-list-map-keys") or ()) if node is not None else ()


def key_element(schemas: Schemas, node: Node | None, item: Any) -> str:
    """Return the path element of a list's item: `k:{...}` in a list of type `map`, `v:...` in a set."""
    if list_type(node) == "set":
        return "v:" + canonical(item)
    if not isinstance(item, dict):
        return "k:" + canonical(item)
    inner = schemas.items(node)
    found: dict[str, Any] = {}
    for key in map_keys(node):
        value = item.get(key)
        if value is None:
            declared = schemas.field(inner, key)
            value = declared.get("default") if declared is not None else None
            if value is None and inner is not None:
                value = ((inner.get("properties") or {}).get(key) or {}).get("default")
        if value is not None:
            found[key] = value
    return "k:" + canonical(found)


def keyed(schemas: Schemas, node: Node | None, items: list[Any]) -> dict[str, Any]:
    """Return a list's items by path element; of several with one key the last counts."""
    return {key_element(schemas, node, item): item for item in items}


def canonical(value: Any) -> str:
    """Return JSON with sorted keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def is_granular_list(node: Node | None, value: Any) -> bool:
    """Say whether a list's items are owned and merged one by one."""
    kind = list_type(node)
    if kind == "map":
        return bool(map_keys(node)) and all(isinstance(item, dict) for item in value)
    return kind == "set" and all(not isinstance(item, dict | list) for item in value)


def children(
    schemas: Schemas, node: Node | None, value: Any
) -> Iterator[tuple[str, Any, Node | None]] | None:
    """Yield `(path element, value, node)` of a granular map's or list's parts; None for what is one whole."""
    if isinstance(value, dict):
        if map_is_atomic(node):
            return None
        return ((f"f:{name}", part, schemas.field(node, name)) for name, part in value.items())
    if isinstance(value, list) and is_granular_list(node, value):
        inner = schemas.items(node)
        return ((element, part, inner) for element, part in keyed(schemas, node, value).items())
    return None
