"""The field ledger: every field of every kind by its path, and what this release does with it.

A field is *warned* or *stored only* where `api.unapplied` has a line for it. Every other field is *applied*, and live
tests show it (`tests/live/fields`); `docs/fields.md` is made of both.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

from meltemi.api.compiled import Field, fields_of, is_int_or_string, unwrapped
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.unapplied import GAPS, READ, STORED, Gap, Stored
from meltemi.api.values import Json, Map


class State(Enum):
    """What is done with a field."""

    APPLIED = "applied"
    WARNED = "warned"
    STORED = "stored only"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A field by its path, such as `spec.http[].match[].uri`; `[]` is each member of a list, `{}` of a map."""

    path: str
    field: Field
    type: str
    state: State


def entries(kind: Kind[Any]) -> tuple[Entry, ...]:
    """List every field of a kind, in the order of their declaration, what is below a field right behind it."""
    return tuple(
        Entry(path, field, type_name(field.type), state(kind, path))
        for path, field in _fields(kind.model, "" if kind.body else "spec", ())
    )


def state(kind: Kind[Any], path: str) -> State:
    """Say what is done with a field of a kind."""
    if any(covers(gap.path, path) and not gap.only for gap in GAPS.get(kind.resource, ())):
        return State.WARNED
    if any(covers(stored.path, path) for stored in STORED.get(kind.resource, ())):
        return State.STORED
    return State.APPLIED


def line(kind: Kind[Any], path: str = "") -> Gap | Stored | None:
    """Give the line that says why a field is warned or stored only; by default the one of the whole kind."""
    lines: tuple[Gap | Stored, ...] = (*GAPS.get(kind.resource, ()), *STORED.get(kind.resource, ()))
    for one in lines:
        if isinstance(one, Gap) and one.only:
            continue
        if covers(one.path, path) if path else not one.path:
            return one
    return None


def partly(kind: Kind[Any], path: str) -> tuple[Gap, ...]:
    """List the gaps of a field that are for some of its values only."""
    return tuple(gap for gap in GAPS.get(kind.resource, ()) if gap.only and gap.path == path)


def is_read(kind: Kind[Any]) -> str:
    """Say what the mesh reads of a kind of Kubernetes' own that it lives on; "" for all other kinds."""
    return READ.get(kind.resource, "")


def covers(pattern: str, path: str) -> bool:
    """Say whether the path of a line stands for a field: for itself and everything below; "" is the whole kind.

    `*loadBalancer.warmup` is every place where these settings may stand.
    """
    if not pattern:
        return True
    if not pattern.startswith("*"):
        return path == pattern or path.startswith((pattern + ".", pattern + "[", pattern + "{"))
    inner = pattern[1:]
    at = path.find("." + inner)
    while at >= 0:
        rest = path[at + 1 + len(inner) :]
        if not rest or rest[0] in ".[{":
            return True
        at = path.find("." + inner, at + 1)
    return False


def member(hint: Any) -> tuple[Any, str]:
    """Give the type of the members of a list or map, and how paths write them; other types as they are, and ""."""
    hint = unwrapped(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return unwrapped(args[0]), "[]"
    if origin is Map:
        return unwrapped(args[0]), "{}"
    return hint, ""


def is_model(hint: Any) -> bool:
    """Say whether a type has declared fields."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in (Duration, Json)


def _fields(model: type[Any], above: str, around: tuple[type[Any], ...]) -> Iterator[tuple[str, Field]]:
    for field in fields_of(model):
        path = f"{above}.{field.json}" if above else field.json
        yield path, field
        inner, mark = member(field.type)
        # A type that holds itself is listed once.
        if is_model(inner) and inner not in (*around, model):
            yield from _fields(inner, path + mark, (*around, model))


def type_name(hint: Any) -> str:
    """Name a declared type for people: `string`, `[]HTTPRoute`, `map of StringMatch`."""
    if is_int_or_string(hint):
        return "integer or string"
    hint = unwrapped(hint)
    inner, mark = member(hint)
    if mark:
        return f"[]{type_name(inner)}" if mark == "[]" else f"map of {type_name(inner)}"
    plain = {
        str: "string",
        int: "integer",
        float: "number",
        bool: "boolean",
        bytes: "base64",
        Duration: "duration",
        Json: "any JSON",
    }
    return plain.get(hint) or str(hint.__name__)
