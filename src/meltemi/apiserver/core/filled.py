"""What a schema fills in, and what it lets nobody change: `default` and `self == oldSelf` of custom resources.

Kubernetes' own kinds get their defaults in `core.defaults`: what their OpenAPI calls defaults is for clients only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.schema import Node, Schemas
from meltemi.apiserver.core.status import Cause

FIXED: Final = "self == oldSelf"


def filled(schemas: Schemas, node: Node | None, value: Any) -> Any:
    """Return a value with every default that its schema has for a field that is not there; the rest is shared."""
    node = schemas.resolve(node)
    if node is None:
        return value
    if isinstance(value, dict):
        properties: Mapping[str, Node] = node.get("properties") or {}
        made = dict(value)
        for name, inner in properties.items():
            if name not in made and "default" in inner:
                made[name] = copy.deepcopy(inner["default"])
        for name, part in made.items():
            if isinstance(part, dict | list):
                made[name] = filled(schemas, properties.get(name) or node.get("additionalProperties"), part)
        return made
    if isinstance(value, list):
        member = node.get("items")
        return [filled(schemas, member, item) if isinstance(item, dict | list) else item for item in value]
    return value


def fixed_problems(
    schemas: Schemas, node: Node | None, new: Any, old: Any, path: str = ""
) -> Iterator[Cause]:
    """Yield the fields that may not change and did; the members of lists are not told apart, and not looked at."""
    node = schemas.resolve(node)
    if node is None or not isinstance(new, Mapping) or not isinstance(old, Mapping):
        return
    for name, inner in (node.get("properties") or {}).items():
        if name not in new or name not in old:
            continue
        here = f"{path}.{name}" if path else name
        for rule in inner.get("x-kubernetes-validations") or ():
            if rule.get("rule") == FIXED and not same(new[name], old[name]):
                yield Cause("FieldValueInvalid", f"Invalid value: {rule.get('message') or FIXED}", here)
        yield from fixed_problems(schemas, inner, new[name], old[name], here)
