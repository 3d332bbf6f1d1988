"""Texts to trees: recursive descent over Go's precedence, bounded in size and depth."""

from __future__ import annotations

import math
from typing import Final

from meltemi.api import duration
from meltemi.api.value_type import ValueType
from meltemi.lang.faults import Fault
from meltemi.lang.lexer import Kind, Token, tokens
from meltemi.lang.tree import BINDING, Attribute, Call, Constant, Expression, Index, Operation, Operator

LONGEST: Final = 16_384
"""Characters of the longest expression."""
DEEPEST: Final = 200
"""Nodes on the longest way from the root of a tree to a leaf: so many terms may a chain of `||` have."""
NESTED: Final = 100
"""Parentheses, calls and operands within each other."""

_OPERATORS: Final = {operator.value: operator for operator in Operator}
_OTHERS: Final = frozenset({"-", "*", "/", "%", "&", "^", "<<", ">>", "&^", "!", "=", "~"})
_INSTEAD: Final = {
    "!": "write x == false",
    "=": "write ==",
    "&": "write &&",
    "-": "there are no negative numbers and no subtraction",
}
_LARGEST: Final = 2**63 - 1


def parse(text: str) -> Expression | Fault:
    """Give the tree of an expression, or what is wrong with it first. Never raises."""
    if len(text) > LONGEST:
        return Fault(f"an expression may be at most {LONGEST} characters long, not {len(text)}")
    found = tokens(text)
    if isinstance(found, Fault):
        return found
    if len(found) == 1:
        return Fault("an expression must not be empty")
    try:
        return _Parser(found).whole()
    except _Wrong as wrong:
        return wrong.fault


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, message: str, token: Token, hint: str = "") -> None:
        super().__init__(message)
        self.fault = Fault(message, token.offset, hint)


class _Parser:
    """Reads tokens once; each node is given with the depth of its tree."""

    def __init__(self, found: tuple[Token, ...]) -> None:
        self._tokens = found
        self._at = 0
        self._open = 0

    def whole(self) -> Expression:
        made, _ = self._expression(1)
        if self._peek().kind is not Kind.END:
            raise self._unexpected()
        return made

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, sign: str) -> bool:
        token = self._peek()
        return token.kind is Kind.SIGN and token.text == sign

    def _take(self, sign: str) -> bool:
        if self._is(sign):
            self._at += 1
            return True
        return False

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected(f'"{sign}" is wanted')

    def _unexpected(self, wanted: str = "") -> _Wrong:
        token = self._peek()
        if token.kind is Kind.SIGN and token.text in _OTHERS:
            return _Wrong(f'the language has no operator "{token.text}"', token, _INSTEAD.get(token.text, ""))
        said = f"{token} is unexpected"
        return _Wrong(f"{said}: {wanted}" if wanted else said, token)

    def _deep(self, depth: int, token: Token) -> int:
        if depth > DEEPEST:
            raise _Wrong(f"an expression may be at most {DEEPEST} levels deep", token)
        return depth

    def _expression(self, least: int) -> tuple[Expression, int]:
        self._open += 1
        if self._open > NESTED:
            raise _Wrong(f"at most {NESTED} parentheses and calls may stand within each other", self._peek())
        left, depth = self._postfix()
        while True:
            token = self._peek()
            operator = _OPERATORS.get(token.text) if token.kind is Kind.SIGN else None
            if operator is None or BINDING[operator] < least:
                break
            self._next()
            right, other = self._expression(BINDING[operator] + 1)
            left = Operation(operator, left, right, token.offset)
            depth = self._deep(max(depth, other) + 1, token)
        self._open -= 1
        return left, depth

    def _postfix(self) -> tuple[Expression, int]:
        made, depth = self._operand()
        while True:
            token = self._peek()
            if self._take("["):
                key, other = self._expression(1)
                self._want("]")
                made, depth = Index(made, key, token.offset), max(depth, other) + 1
            elif self._take("."):
                name = self._name()
                self._want("(")
                arguments, other = self._arguments()
                made, depth = Call(name.text, made, arguments, name.offset), max(depth, other) + 1
            else:
                return made, depth
            self._deep(depth, token)

    def _operand(self) -> tuple[Expression, int]:
        token = self._peek()
        if token.kind is Kind.NAME:
            return self._named()
        if token.kind is Kind.SIGN:
            if not self._take("("):
                raise self._unexpected()
            made = self._expression(1)
            self._want(")")
            return made
        if token.kind is Kind.END:
            raise self._unexpected("a value is wanted")
        self._next()
        return _literal(token), 1

    def _name(self) -> Token:
        if self._peek().kind is not Kind.NAME:
            raise self._unexpected("a name is wanted")
        return self._next()

    def _named(self) -> tuple[Expression, int]:
        """Read `true`, an attribute, a function's call, or a method's call on an attribute."""
        parts = [self._next()]
        while self._take("."):
            parts.append(self._name())
        first, last = parts[0], parts[-1]
        if self._take("("):
            arguments, depth = self._arguments()
            on = _attribute(parts[:-1]) if parts[:-1] else None
            return Call(last.text, on, arguments, last.offset), self._deep(depth + 1, last)
        if len(parts) == 1 and first.text.lower() in ("true", "false"):
            return Constant(ValueType.BOOL, first.text.lower() == "true", first.offset), 1
        return _attribute(parts), 1

    def _arguments(self) -> tuple[tuple[Expression, ...], int]:
        """Read what follows the opening parenthesis of a call."""
        made: list[Expression] = []
        deepest = 1
        while not self._take(")"):
            one, depth = self._expression(1)
            made.append(one)
            deepest = max(deepest, depth)
            if not self._take(","):
                self._want(")")
                break
        return tuple(made), deepest


def _attribute(parts: list[Token]) -> Attribute:
    return Attribute(".".join(part.text for part in parts), parts[0].offset)


def _literal(token: Token) -> Constant:
    if token.kind is Kind.STRING:
        # As in Mixer, a text that can be read as a duration is one.
        span = duration.parse(token.text)
        if span is not None and abs(span.nanoseconds) <= _LARGEST:
            return Constant(ValueType.DURATION, span, token.offset)
        return Constant(ValueType.STRING, token.text, token.offset)
    if token.kind is Kind.INTEGER:
        digits = token.text.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) > _LARGEST:
            raise _Wrong(f"an integer may be at most {_LARGEST}", token)
        return Constant(ValueType.INT64, int(digits), token.offset)
    number = float(token.text)
    if math.isinf(number):
        raise _Wrong("the number is too large", token)
    return Constant(ValueType.DOUBLE, number, token.offset)
