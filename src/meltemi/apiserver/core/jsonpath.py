"""The JSONPath of printer columns and of `wait`: fields, indices, `[*]`, and filters by equality."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(
    r"""\.(?P<name>(?:[^.\[\]\\'"]|\\.)+)
    | \[\s*(?P<index>-?\d{1,6})\s*\]
    | \[\s*(?P<all>\*)\s*\]
    | \[\s*'(?P<single>[^']*)'\s*\]
    | \[\s*"(?P<double>[^"]*)"\s*\]
    | \[\s*\?\(\s*@\.(?P<field>[A-Za-z0-9_.\-/]+)\s*==\s*(?P<value>"[^"]*"|'[^']*'|true|false|-?\d+)\s*\)\s*\]
    """,
    re.VERBOSE,
)


def find(path: str, document: Any) -> list[Any] | None:
    """Return all values that a path leads to; None when the path is not understood."""
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    values = [document]
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            return None
        values = [part for value in values for part in _step(found, value)]
        place = found.end()
    return values


def _step(token: re.Match[str], value: Any) -> list[Any]:
    for group in ("name", "single", "double"):
        name = token[group]
        if name is not None:
            name = re.sub(r"\\(.)", r"\1", name) if group == "name" else name
            if name == "*":
                return list(value.values()) if isinstance(value, dict) else []
            return [value[name]] if isinstance(value, dict) and name in value else []
    if token["index"] is not None:
        if not isinstance(value, list):
            return []
        index = int(token["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    if token["all"] is not None:
        return (
            list(value)
            if isinstance(value, list)
            else list(value.values())
            if isinstance(value, dict)
            else []
        )
    return [item for item in value if _matches(item, token)] if isinstance(value, list) else []


def _matches(item: Any, token: re.Match[str]) -> bool:
    found: Any = item
    for part in token["field"].split("."):
        found = found.get(part) if isinstance(found, dict) else None
    wanted = token["value"]
    if wanted[0] in "\"'":
        return bool(found == wanted[1:-1])
    if wanted in {"true", "false"}:
        return found is (wanted == "true")
    return not isinstance(found, bool) and bool(found == int(wanted))
