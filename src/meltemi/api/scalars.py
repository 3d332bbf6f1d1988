"""Decoders of scalar values: JSON in, exact Python out, or a problem."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from meltemi.api import duration
from meltemi.api.declare import Meta
from meltemi.api.duration import Duration
from meltemi.api.problems import Problem, Problems, nearest, shown
from meltemi.api.values import Json

Decoder = Callable[[Any, Problems], Any]

INTEGERS: Final[dict[str, tuple[int, int]]] = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_END: Final = re.compile(r"(\\.|\[(?:\\.|[^\]])*\])|\$", re.DOTALL)
INT_OR_STRING: Final = "int-or-string"
"""Format of an int64 that documents may give as a text too, as proto JSON does and no CRD's schema."""


def decoder(wanted: Any, meta: Meta) -> Decoder | None:
    """Give the decoder of a scalar type with its bounds; None where the type is no scalar."""
    if wanted is str:
        return _string(meta)
    if wanted is int:
        return _integer(meta)
    if wanted is bool:
        return _boolean
    if wanted is float:
        return _number(meta)
    if wanted is bytes:
        return _bytes
    if wanted is Json:
        return _json(meta)
    if wanted is Duration:
        return _duration(meta)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _enum(wanted)
    return None


def _string(meta: Meta) -> Decoder:
    shortest, longest = meta.min_length, meta.max_length
    pattern = re.compile(_as_re2(meta.pattern), re.ASCII) if meta.pattern else None

    def decode(value: Any, problems: Problems) -> str:
        if type(value) is not str and not isinstance(value, str):
            hint = f'put it in quotes: "{shown(value)}"' if isinstance(value, (int, float)) else ""
            problems.append(Problem(f"must be a string, not {shown(value)}", hint=hint))
            return ""
        if longest is not None and len(value) > longest:
            problems.append(Problem(f"may be at most {longest} characters long, not {len(value)}"))
        elif shortest is not None and len(value) < shortest:
            problems.append(Problem(f"must be at least {shortest} characters long"))
        elif pattern is not None and not pattern.search(value):
            problems.append(Problem(f"{shown(value)} does not match {meta.pattern}"))
        return value

    return decode


def _as_re2(pattern: str) -> str:
    """Give a pattern of a schema as Python's: the `$` of RE2 has no newline before the end."""
    return _END.sub(lambda found: found[1] or r"\Z", pattern)


def _integer(meta: Meta) -> Decoder:
    low, high = INTEGERS.get(meta.format, INTEGERS["int64"])
    if meta.minimum is not None:
        low = int(meta.minimum)
    if meta.maximum is not None:
        high = int(meta.maximum)

    quoted = re.compile(r"-?[0-9]{1,19}") if meta.format == INT_OR_STRING else None

    def decode(value: Any, problems: Problems) -> int:
        if quoted is not None and isinstance(value, str) and quoted.fullmatch(value):
            value = int(value)
        if type(value) is not int:
            if type(value) is not float or not value.is_integer():
                hint = (
                    "write it without quotes" if isinstance(value, str) and value.strip().isdecimal() else ""
                )
                problems.append(Problem(f"must be an integer, not {shown(value)}", hint=hint))
                return 0
            value = int(value)
        if not low <= value <= high:
            problems.append(Problem(f"must be between {low} and {high}, not {shown(value)}"))
        return int(value)

    return decode


def _number(meta: Meta) -> Decoder:
    def decode(value: Any, problems: Problems) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.append(Problem(f"must be a number, not {shown(value)}"))
            return 0.0
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            problems.append(Problem(f"must be a finite number, not {shown(value)}"))
        elif meta.minimum is not None and number < meta.minimum:
            problems.append(Problem(f"must be at least {meta.minimum:g}, not {shown(value)}"))
        elif meta.maximum is not None and number > meta.maximum:
            problems.append(Problem(f"must be at most {meta.maximum:g}, not {shown(value)}"))
        return number

    return decode


def _boolean(value: Any, problems: Problems) -> bool:
    if type(value) is not bool:
        hint = (
            "write it without quotes" if isinstance(value, str) and value.lower() in ("true", "false") else ""
        )
        problems.append(Problem(f"must be true or false, not {shown(value)}", hint=hint))
        return False
    return value


def _bytes(value: Any, problems: Problems) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            pass
    problems.append(Problem(f"must be base64, not {shown(value)}"))
    return b""


def _json(meta: Meta) -> Decoder:
    objects_only = meta.format == "object"
    # Who reads an object need not ask whether it was right.
    nothing = Json("{}") if objects_only else Json()

    def decode(value: Any, problems: Problems) -> Json:
        if objects_only and not isinstance(value, dict):
            problems.append(Problem(f"must be an object, not {shown(value)}"))
            return nothing
        try:
            return Json.of(value)
        except (TypeError, ValueError):
            problems.append(Problem("must be a value that JSON can hold"))
            return nothing

    return decode


def _duration(meta: Meta) -> Decoder:
    least = int(meta.minimum) if meta.minimum is not None else None

    def decode(value: Any, problems: Problems) -> Duration:
        found = duration.parse(value) if isinstance(value, str) else None
        if found is None:
            hint = f'write it with its unit: "{value}s"' if isinstance(value, (int, float)) else ""
            problems.append(Problem(f'must be a duration such as "1.5s", not {shown(value)}', hint=hint))
            return Duration()
        if least is not None and found.nanoseconds < least:
            problems.append(
                Problem(f"must be a valid duration of at least {Duration(least).milliseconds:g}ms")
            )
        return found

    return decode


def _enum(wanted: type[Enum]) -> Decoder:
    names = {member.name: member for member in wanted}
    numbers = {member.value: member for member in wanted if isinstance(member.value, int)}
    default = next(iter(wanted))

    def decode(value: Any, problems: Problems) -> Enum:
        if isinstance(value, str):
            found = names.get(value)
        elif type(value) is int:
            found = numbers.get(value)
        else:
            found = None
        if found is None:
            hint = nearest(value, names) if isinstance(value, str) else ""
            listed = ", ".join(names)
            problems.append(Problem(f"Unsupported value: {shown(value)}; it is one of {listed}", hint=hint))
            return default
        return found

    return decode
