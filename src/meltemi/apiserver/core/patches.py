"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from meltemi.apiserver.core.status import ApiError, bad_request

MAX_OPERATIONS = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with a merge patch applied; neither is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merge_patch(found.get(name), value)
    return found


def merge_diff(old: Any, new: Any) -> Any:
    """Return the merge patch that leads from old to new (which must not hold nulls)."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    found: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old:
            # Against nothing: a merge patch must not be read as deleting what is not there.
            found[name] = copy.deepcopy(value)
        elif old[name] != value or type(old[name]) is not type(value):
            found[name] = merge_diff(old[name], value)
    return found


def json_patch(target: Any, operations: Any) -> Any:
    """Return the target with a JSON patch applied; ApiError 400 or 422 when it cannot be."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch must be a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise ApiError(
            413, "RequestEntityTooLarge", f"more than {MAX_OPERATIONS} operations in one JSON patch"
        )
    found = copy.deepcopy(target)
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise bad_request(f"operation {index} of the JSON patch is no object")
        found = _operate(found, operation, index)
    return found


def _operate(document: Any, operation: Mapping[str, Any], index: int) -> Any:
    name = operation.get("op")
    path = _pointer(operation.get("path"), index)
    if name in {"add", "replace", "test"} and "value" not in operation:
        raise bad_request(f"operation {index} ({name}) of the JSON patch has no value")
    if name == "add":
        return _add(document, path, copy.deepcopy(operation["value"]), index)
    if name == "remove":
        return _remove(document, path, index)[0]
    if name == "replace":
        if not path:
            return copy.deepcopy(operation["value"])
        _get(document, path, index)
        document, _ = _remove(document, path, index)
        return _add(document, path, copy.deepcopy(operation["value"]), index)
    if name == "test":
        if not _equal(_get(document, path, index), operation["value"]):
            raise _fail(index, f"testing path {operation.get('path')} failed")
        return document
    if name in {"move", "copy"}:
        source = _pointer(operation.get("from"), index)
        if name == "copy":
            return _add(document, path, copy.deepcopy(_get(document, source, index)), index)
        if path[: len(source)] == source and len(path) > len(source):
            raise _fail(index, "a value cannot be moved into itself")
        document, value = _remove(document, source, index)
        return _add(document, path, value, index)
    raise bad_request(f"operation {index} of the JSON patch: unknown op {name!r}")


def _pointer(text: Any, index: int) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise bad_request(f"operation {index} of the JSON patch: {text!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _step(container: Any, part: str, index: int) -> Any:
    if isinstance(container, dict):
        if part in container:
            return container[part]
    elif isinstance(container, list):
        return container[_position(container, part, index, room=0)]
    raise _fail(index, f"there is nothing at {part!r}")


def _get(document: Any, path: list[str], index: int) -> Any:
    for part in path:
        document = _step(document, part, index)
    return document


def _position(container: list[Any], part: str, index: int, *, room: int) -> int:
    if not (part.isascii() and part.isdecimal() and (part == "0" or part[0] != "0") and len(part) < 10):
        raise _fail(index, f"{part!r} is no list index")
    if int(part) >= len(container) + room:
        raise _fail(index, f"index {part} is behind the end of the list")
    return int(part)


def _add(document: Any, path: list[str], value: Any, index: int) -> Any:
    if not path:
        return value
    container = _get(document, path[:-1], index)
    last = path[-1]
    if isinstance(container, dict):
        container[last] = value
    elif isinstance(container, list):
        container.insert(len(container) if last == "-" else _position(container, last, index, room=1), value)
    else:
        raise _fail(index, f"nothing can be put at {last!r} of a plain value")
    return document


def _remove(document: Any, path: list[str], index: int) -> tuple[Any, Any]:
    if not path:
        return None, document
    container = _get(document, path[:-1], index)
    value = _step(container, path[-1], index)
    if isinstance(container, dict):
        del container[path[-1]]
    else:
        del container[_position(container, path[-1], index, room=0)]
    return document, value


def _equal(left: Any, right: Any) -> bool:
    # JSON tells true from 1; Python does not.
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def _fail(index: int, message: str) -> ApiError:
    return ApiError(
        422, "Invalid", f"the server rejected our request: operation {index} of the JSON patch: {message}"
    )
