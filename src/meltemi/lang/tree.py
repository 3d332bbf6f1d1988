"""The tree of an expression: frozen values. Where a node stood in the text does not count when trees are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from meltemi.api.duration import Duration
from meltemi.api.value_type import ValueType


class Operator(Enum):
    """Operators by how they are written; the names are those that Mixer's own trees give them."""

    LOR = "||"
    LAND = "&&"
    EQ = "=="
    NEQ = "!="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="
    ADD = "+"
    OR = "|"


BINDING: dict[Operator, int] = {
    Operator.LOR: 1,
    Operator.LAND: 2,
    Operator.EQ: 3,
    Operator.NEQ: 3,
    Operator.LT: 3,
    Operator.LEQ: 3,
    Operator.GT: 3,
    Operator.GEQ: 3,
    Operator.ADD: 4,
    Operator.OR: 4,
}
"""How tightly operators bind, as in Go: `a | b == c` is `(a | b) == c`."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: `value` is a str, int, float, bool or Duration, as `type` says."""

    type: ValueType
    value: str | int | float | bool | Duration
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute by its whole name, such as `source.workload.name` or `$out.source_pod_ip`."""

    name: str
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands; `left | right` is the first of them that can be evaluated and is not empty."""

    operator: Operator
    left: Expression
    right: Expression
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """The value of a key in a string map."""

    map: Expression
    key: Expression
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a method of `target`."""

    function: str
    target: Expression | None
    arguments: tuple[Expression, ...]
    offset: int = field(default=0, compare=False)


Expression = Constant | Attribute | Operation | Index | Call


def text(expression: Expression) -> str:
    """Write an expression; parsing the text gives the same tree."""
    match expression:
        case Constant():
            return _constant(expression)
        case Attribute(name):
            return name
        case Operation(operator, left, right):
            binding = BINDING[operator]
            # Operators of one tightness are read from the left.
            before, after = _operand(left, binding), _operand(right, binding + 1)
            return f"{before} {operator.value} {after}"
        case Index(inner, key):
            return f"{_target(inner)}[{text(key)}]"
        case Call(function, target, arguments):
            on = "" if target is None else f"{_target(target)}."
            return f"{on}{function}({', '.join(text(one) for one in arguments)})"


def attributes(expression: Expression) -> Iterator[Attribute]:
    """Give every use of an attribute, in the order of the text."""
    match expression:
        case Attribute():
            yield expression
        case Operation(_, left, right) | Index(left, right):
            yield from attributes(left)
            yield from attributes(right)
        case Call(_, target, arguments):
            for one in arguments if target is None else (target, *arguments):
                yield from attributes(one)
        case Constant():
            return


def _operand(expression: Expression, binding: int) -> str:
    looser = isinstance(expression, Operation) and BINDING[expression.operator] < binding
    return f"({text(expression)})" if looser else text(expression)


def _target(expression: Expression) -> str:
    # `1.f()` would be read as a number, and `true.f()` as a method of the attribute `true`.
    bare = isinstance(expression, Constant) and expression.type not in (ValueType.STRING, ValueType.DURATION)
    return f"({text(expression)})" if bare or isinstance(expression, Operation) else text(expression)


def _constant(constant: Constant) -> str:
    value = constant.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Duration):
        return f'"{value}"'
    if isinstance(value, str):
        # JSON's escapes are Go's as well.
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
