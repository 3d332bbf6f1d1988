"""What a YAML scalar means: as kubectl's YAML library (YAML 1.1, without timestamps) takes it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE: Final = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
WORDS: Final = _TRUE | _FALSE | _NULL
"""Words that mean something other than themselves."""
_INFINITE: Final = {
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*|[1-9][0-9_]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NUMERIC_START: Final = frozenset("0123456789+-.")
# Beyond this an integer is no number of any API; as in Go, it is read as a float.
_WIDEST: Final = 2**64


def resolve(text: str, tag: str | None, *, plain: bool) -> Any:
    """Give the value of a scalar; raises ValueError where its explicit tag does not fit or has no meaning."""
    if tag is None or tag == "!":
        return _plain(text) if plain and tag is None else text
    if tag == f"{_TAG}str":
        return text
    if tag == f"{_TAG}binary":
        try:
            return base64.b64decode(text).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("the value tagged !!binary is not base64 of UTF-8 text") from None
    value = _plain(text)
    wanted = {
        f"{_TAG}null": type(None),
        f"{_TAG}bool": bool,
        f"{_TAG}int": int,
        f"{_TAG}float": float,
        f"{_TAG}timestamp": str,
    }.get(tag)
    if wanted is None:
        raise ValueError(f'the tag "{tag}" has no meaning here')
    if wanted is str:
        return text
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ValueError(f'"{text}" is not what its tag {tag.removeprefix(_TAG)} says')
    return value


def _plain(text: str) -> Any:
    if text in _NULL:
        return None
    if text[0] not in _NUMERIC_START:
        if text in _TRUE:
            return True
        return False if text in _FALSE else text
    if text in _INFINITE:
        return _INFINITE[text]
    if _INTEGER.fullmatch(text) and (number := _integer(text)) is not None:
        return number
    return float(text) if _FLOAT.fullmatch(text) else text


def _integer(text: str) -> int | float | None:
    digits = text.replace("_", "").lstrip("+-").lower()
    base = {"0x": 16, "0b": 2, "0o": 8}.get(
        digits[:2], 8 if digits.startswith("0") and len(digits) > 1 else 10
    )
    if len(digits) > 70:
        return None
    try:
        number = int(digits, base)
    except ValueError:
        return None
    number = -number if text.startswith("-") else number
    return number if -_WIDEST < number < _WIDEST else float(number)
