"""Strategic merge patch: a merge patch whose lists of objects merge by key, as the schema says.

Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
"""

from __future__ import annotations

import copy
from typing import Any

from meltemi.apiserver.core.schema import Node, Schemas, canonical
from meltemi.apiserver.core.status import bad_request

_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_merge(schemas: Schemas, node: Node | None, current: Any, patch: Any) -> Any:
    """Return the current value with the patch applied; neither is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return _plain({name: value for name, value in patch.items() if name != "$patch"})
    if directive == "delete":
        return {}
    if directive not in {None, "merge"}:
        raise bad_request(f"unknown $patch directive {directive!r}")
    found = dict(current) if isinstance(current, dict) else {}
    retain = patch.get("$retainKeys")
    if retain is not None:
        if not isinstance(retain, list):
            raise bad_request("$retainKeys must be a list")
        found = {name: value for name, value in found.items() if name in retain}
    _delete_primitives(found, patch)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        inner = schemas.field(node, name)
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict):
            base = {} if "replace" in _strategies(inner) else found.get(name)
            found[name] = strategic_merge(schemas, inner, base, value)
        elif isinstance(value, list) and "merge" in _strategies(inner):
            there = found.get(name)
            found[name] = _merge_list(schemas, inner, there if isinstance(there, list) else [], value)
        else:
            found[name] = _plain(value)
    for name, order in patch.items():
        if name.startswith(_ORDER):
            field = name.removeprefix(_ORDER)
            if isinstance(order, list) and isinstance(found.get(field), list):
                key = _merge_key(schemas.field(node, field))
                sent = patch.get(field)
                found[field] = _reorder(found[field], order, key, sent if isinstance(sent, list) else [])
    return found


def _strategies(node: Node | None) -> list[str]:
    text = node.get("x-kubernetes-patch-strategy") if node is not None else None
    return text.split(",") if isinstance(text, str) else []


def _merge_key(node: Node | None) -> str:
    found = node.get("x-kubernetes-patch-merge-key") if node is not None else None
    return str(found) if found else ""


def _plain(value: Any) -> Any:
    """Copy a value without directives and nulls."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [
            _plain(v) for v in value if not (isinstance(v, dict) and v.get("$patch") in {"delete", "replace"})
        ]
    return value


def _delete_primitives(found: dict[str, Any], patch: dict[str, Any]) -> None:
    for name, gone in patch.items():
        if name.startswith(_DELETE_FROM):
            if not isinstance(gone, list):
                raise bad_request(f"{name} must be a list")
            field = name.removeprefix(_DELETE_FROM)
            if isinstance(found.get(field), list):
                found[field] = [item for item in found[field] if item not in gone]


def _merge_list(schemas: Schemas, node: Node | None, current: list[Any], patch: list[Any]) -> list[Any]:
    key = _merge_key(node)
    if not key:
        found = list(current)
        found.extend(item for item in patch if item not in found)
        return found
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [_plain(item) for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    inner = schemas.items(node)
    merged = list(current)
    for item in patch:
        if not isinstance(item, dict):
            raise bad_request(f"an item of a list that merges by {key} must be an object")
        if item.get(key) is None:
            raise bad_request(f"an item of a list that merges by {key} does not have it")
        same = [i for i, old in enumerate(merged) if isinstance(old, dict) and old.get(key) == item[key]]
        if item.get("$patch") == "delete":
            merged = [old for i, old in enumerate(merged) if i not in same]
        elif same:
            merged[same[0]] = strategic_merge(schemas, inner, merged[same[0]], item)
        else:
            merged.append(strategic_merge(schemas, inner, {}, item))
    return merged


def _identity(item: Any, key: str) -> str:
    return canonical(item.get(key)) if key and isinstance(item, dict) else canonical(item)


def _reorder(items: list[Any], order: list[Any], key: str, sent: list[Any]) -> list[Any]:
    """Put the items that the order names into its sequence; others keep their place between their neighbours."""
    ranks = {_identity(item, key): rank for rank, item in enumerate(order)}
    for item in sent:
        ranks.setdefault(_identity(item, key), len(ranks))
    named = sorted((i for i in items if _identity(i, key) in ranks), key=lambda i: ranks[_identity(i, key)])
    # A server-only item stays behind as many named items as it stood behind before.
    found: list[Any] = []
    for item in items:
        if _identity(item, key) in ranks:
            found.append(named[sum(1 for f in found if _identity(f, key) in ranks)])
        else:
            found.append(item)
    return found
