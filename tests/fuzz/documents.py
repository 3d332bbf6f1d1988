"""Documents made of bytes, along the declarations: mostly of the right form, so that the rules are reached."""

from __future__ import annotations

import dataclasses
import typing
from enum import Enum
from typing import Any, Final

from meltemi.api.compiled import fields_of, is_int_or_string, unwrapped
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.registry import KINDS
from meltemi.api.values import Json, Map

WORDS: Final = (
    *(
        "",
        "a",
        "*",
        "*.com",
        "reviews",
        "shop/reviews",
        "reviews.default.svc.cluster.local",
        "10.0.0.0/8",
        "1.2.3.4",
    ),
    *(
        "http",
        "HTTP",
        "TCP",
        "/",
        "/a",
        "(",
        "[a-z]+",
        "x" * 70,
        "x-user",
        ":authority",
        "%REQ(x)%",
        "istio-system",
    ),
    *(
        "unix:///a/b",
        "~",
        ".",
        "5xx,503",
        "spiffe://a/b",
        "https://a/b",
        "request.headers[x]",
        "a == b | c",
        "€",
    ),
)
NUMBERS: Final = (0, 1, -1, 80, 443, 100, 200, 404, 600, 65535, 65536, 2**31, 2**64, 101)
SPANS: Final = ("0s", "1s", "1.5s", "1h30m", "-1s", "500us", "1ms", "x", "")
DEEPEST: Final = 8


class Dice:
    """Choices out of bytes; once they are used up, always the first."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def roll(self, sides: int) -> int:
        """Give a number below `sides`."""
        return next(self._data, 0) % sides

    def of(self, given: typing.Sequence[Any]) -> Any:
        """Give one of them."""
        return given[self.roll(len(given))]


def document(data: bytes) -> tuple[Kind[Any], dict[str, Any]]:
    """Give a kind and a document of it."""
    dice = Dice(data)
    kind = KINDS[(dice.roll(256) * 256 + dice.roll(256)) % len(KINDS)]
    version = dice.of(kind.versions)
    body = _model(dice, kind.model, 0)
    made = {
        "apiVersion": f"{kind.group}/{version}" if kind.group else version,
        "kind": kind.name,
        "metadata": {
            "name": dice.of(("a", "default", "A b")),
            "namespace": dice.of(("shop", "istio-system")),
        },
    }
    return kind, {**made, **body} if kind.body else {**made, "spec": body}


def _model(dice: Dice, model: type[Any], depth: int) -> dict[str, Any]:
    given = {}
    for field in fields_of(model):
        if depth < DEEPEST and (field.meta.required or dice.roll(3) == 1):
            given[field.json] = _value(dice, field.type, depth + 1)
    return given


def _value(dice: Dice, hint: Any, depth: int) -> Any:
    if dice.roll(40) == 39:
        return dice.of((None, [], {}, "x", 5, True, 1e400, [[]], {"a": None}))
    if is_int_or_string(hint):
        return dice.of((80, "http"))
    hint = unwrapped(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return [_value(dice, args[0], depth) for _ in range(dice.roll(3))]
    if origin is Map:
        return {dice.of(WORDS): _value(dice, args[0], depth) for _ in range(dice.roll(3))}
    if hint is Json:
        return dice.of(
            ({}, {"a": 1}, {"@type": "type.googleapis.com/envoy.x", "b": []}, {"name": "x", "value": "a"})
        )
    if hint is Duration:
        return dice.of(SPANS)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _model(dice, hint, depth)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return dice.of([member.name for member in hint])
    plain = {str: WORDS, bool: (False, True), bytes: ("YQ==", "!")}
    return dice.of(plain.get(hint, NUMBERS))
