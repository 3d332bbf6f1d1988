"""Sets of field paths (FieldsV1), and comparing, merging and cutting objects along them.

A path is a tuple of FieldsV1 elements: `f:NAME` of a map, `k:{...}` of a list by key, `v:...` of a set. Ownership is
of leaves (scalars, atomic parts, empty containers), of the items of granular lists, and of the keys of free maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from meltemi.apiserver.core.schema import (
    Node,
    Schemas,
    children,
    is_declared,
    is_granular_list,
    key_element,
    keyed,
    map_is_atomic,
)

Path = tuple[str, ...]
Paths = frozenset[Path]
NONE: Paths = frozenset()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two objects."""

    added: Paths
    modified: Paths
    removed: Paths


def leaves(schemas: Schemas, node: Node | None, value: Any) -> Paths:
    """Return the paths that an applier of this value owns."""
    found: set[Path] = set()
    _leaves(schemas, node, value, (), found, every=False)
    return frozenset(found)


def everything(schemas: Schemas, node: Node | None, value: Any) -> Paths:
    """Return all paths of a value, containers too."""
    found: set[Path] = set()
    _leaves(schemas, node, value, (), found, every=True)
    return frozenset(found)


def _leaves(
    schemas: Schemas, node: Node | None, value: Any, path: Path, found: set[Path], *, every: bool
) -> None:
    parts = children(schemas, node, value)
    if parts is None or not value:
        if path:
            found.add(path)
        return
    if every and path:
        found.add(path)
    for element, part, inner in parts:
        here = (*path, element)
        # Items of lists and keys of free maps are members themselves: they go when nobody owns them.
        if not element.startswith("f:") or (node is not None and not is_declared(node, element[2:])):
            found.add(here)
        _leaves(schemas, inner, part, here, found, every=every)


def compare(schemas: Schemas, node: Node | None, old: Any, new: Any) -> Comparison:
    """Return what leads from old to new."""
    added: set[Path] = set()
    modified: set[Path] = set()
    removed: set[Path] = set()

    def walk(node: Node | None, old: Any, new: Any, path: Path) -> None:
        if same(old, new):
            return
        before = _table(schemas, node, old)
        after = _table(schemas, node, new)
        if before is None or after is None:
            if path:
                modified.add(path)
            removed.update((*path, *rest) for rest in _under(schemas, node, old))
            added.update((*path, *rest) for rest in _under(schemas, node, new))
            return
        for element, (part, inner) in before.items():
            here = (*path, element)
            if element in after:
                walk(inner, part, after[element][0], here)
            else:
                removed.add(here)
                removed.update((*here, *rest) for rest in everything(schemas, inner, part))
        for element, (part, inner) in after.items():
            if element not in before:
                here = (*path, element)
                added.add(here)
                added.update((*here, *rest) for rest in everything(schemas, inner, part))

    walk(node, old, new, ())
    return Comparison(frozenset(added), frozenset(modified), frozenset(removed))


def _table(schemas: Schemas, node: Node | None, value: Any) -> dict[str, tuple[Any, Node | None]] | None:
    parts = children(schemas, node, value)
    return {element: (part, inner) for element, part, inner in parts} if parts is not None else None


def _under(schemas: Schemas, node: Node | None, value: Any) -> Paths:
    return everything(schemas, node, value) if children(schemas, node, value) is not None else NONE


def same(left: Any, right: Any) -> bool:
    """Say whether two JSON values are equal (`true` is not `1`)."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def merge(schemas: Schemas, node: Node | None, live: Any, applied: Any) -> Any:
    """Return live with everything that is applied laid over it."""
    if isinstance(live, dict) and isinstance(applied, dict) and not map_is_atomic(node):
        found = dict(live)
        for name, value in applied.items():
            if name in found:
                found[name] = merge(schemas, schemas.field(node, name), found[name], value)
            else:
                found[name] = value
        return found
    both_lists = isinstance(live, list) and isinstance(applied, list)
    if both_lists and is_granular_list(node, live) and is_granular_list(node, applied):
        return _merge_list(schemas, node, live, applied)
    return applied


def _merge_list(schemas: Schemas, node: Node | None, live: list[Any], applied: list[Any]) -> list[Any]:
    """The applied order wins; items that only live has stay before the applied item they stood before."""
    inner = schemas.items(node)
    there = [(key_element(schemas, node, item), item) for item in live]
    wanted = keyed(schemas, node, applied)
    first: dict[str, int] = {}
    for index, (element, _) in enumerate(there):
        first.setdefault(element, index)
    if not any(element in first for element in wanted):
        return [*live, *wanted.values()]
    found: list[Any] = []
    done = 0
    for element, item in wanted.items():
        if element not in first:
            found.append(item)
            continue
        place = first[element]
        if place >= done:
            found.extend(other for e, other in there[done:place] if e not in wanted)
            done = place + 1
        found.append(merge(schemas, inner, there[place][1], item))
    found.extend(other for e, other in there[done:] if e not in wanted)
    return found


def cut(schemas: Schemas, node: Node | None, value: Any, paths: Iterable[Path]) -> Any:
    """Return the value without these paths."""
    tree: dict[str, Any] = {}
    for path in paths:
        here = tree
        for element in path[:-1]:
            here = here.setdefault(element, {})
        if path:
            here.setdefault(path[-1], {})["."] = True
    return _cut(schemas, node, value, tree)


def _cut(schemas: Schemas, node: Node | None, value: Any, tree: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        found = {}
        for name, part in value.items():
            below = tree.get(f"f:{name}")
            if below is None:
                found[name] = part
            elif "." not in below:
                found[name] = _cut(schemas, schemas.field(node, name), part, below)
        return found
    if isinstance(value, list) and is_granular_list(node, value):
        kept = []
        for item in value:
            below = tree.get(key_element(schemas, node, item))
            if below is None:
                kept.append(item)
            elif "." not in below:
                kept.append(_cut(schemas, schemas.items(node), item, below))
        return kept
    return value


def cut_empty(schemas: Schemas, node: Node | None, value: Any, paths: Paths) -> Any:
    """Return the value without those of these containers that are empty, innermost first."""
    return _cut_empty(schemas, node, value, (), paths)


def _cut_empty(schemas: Schemas, node: Node | None, value: Any, path: Path, paths: Paths) -> Any:
    below = frozenset(found for found in paths if len(found) > len(path) and found[: len(path)] == path)
    if not below:
        return value
    if isinstance(value, dict):
        found = {}
        for name, part in value.items():
            here = (*path, f"f:{name}")
            rest = _cut_empty(schemas, schemas.field(node, name), part, here, below)
            if not (here in below and isinstance(rest, dict | list) and not rest):
                found[name] = rest
        return found
    if isinstance(value, list) and is_granular_list(node, value):
        inner = schemas.items(node)
        return [
            _cut_empty(schemas, inner, item, (*path, key_element(schemas, node, item)), below)
            for item in value
        ]
    return value


def with_parents(paths: Paths) -> Paths:
    """Return the paths and all that lead to them."""
    return frozenset(path[:size] for path in paths for size in range(1, len(path) + 1))


def encode(paths: Paths) -> dict[str, Any]:
    """Write a set as FieldsV1."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        here = tree
        for element in path:
            here = here.setdefault(element, {})
        here["."] = {}
    return _without_dots(tree)


def _without_dots(tree: dict[str, Any]) -> dict[str, Any]:
    """A node without children is a member by being there; only one with children needs its dot."""
    if tree.keys() == {"."}:
        return {}
    return {name: ({} if name == "." else _without_dots(below)) for name, below in tree.items()}


def decode(tree: Any) -> Paths:
    """Read FieldsV1; what is malformed is left out."""
    found: set[Path] = set()
    todo: list[tuple[Path, Any]] = [((), tree)]
    while todo:
        path, node = todo.pop()
        if not isinstance(node, dict):
            continue
        if not node and path:
            found.add(path)
        for name, below in node.items():
            if name == "." and path:
                found.add(path)
            elif isinstance(name, str) and name[:2] in {"f:", "k:", "v:", "i:"}:
                todo.append(((*path, _canonical(name)), below))
    return frozenset(found)


def _canonical(element: str) -> str:
    if element[:2] not in {"k:", "v:"}:
        return element
    try:
        return element[:2] + orjson.dumps(orjson.loads(element[2:]), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONDecodeError:
        return element


def shown(path: Path) -> str:
    """Return a path as conflicts show it: `.spec.ports[port=80,protocol="TCP"].name`."""
    found = []
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            found.append(f".{rest}")
        elif kind == "k:":
            pairs = orjson.loads(rest)
            text = (
                ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in pairs.items())
                if isinstance(pairs, dict)
                else rest
            )
            found.append(f"[{text}]")
        elif kind == "v:":
            found.append(f"[={rest}]")
        else:
            found.append(f"[{rest}]")
    return "".join(found)
