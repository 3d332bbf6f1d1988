"""The static types of expressions against a vocabulary of attributes; every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meltemi.api.problems import nearest, shown
from meltemi.api.value_type import ValueType
from meltemi.lang import literals
from meltemi.lang.faults import Fault
from meltemi.lang.functions import FUNCTIONS, Signature
from meltemi.lang.tree import Attribute, Call, Constant, Expression, Index, Operation, Operator

HINTED: Final = 20
"""Faults of an expression that are told with the attribute that is most alike."""

_BOOLEAN: Final = frozenset({Operator.LOR, Operator.LAND})
_EQUAL: Final = frozenset({Operator.EQ, Operator.NEQ})
_ORDERED: Final = frozenset(
    {ValueType.STRING, ValueType.INT64, ValueType.DOUBLE, ValueType.TIMESTAMP, ValueType.DURATION}
)
_ADDED: Final = frozenset({ValueType.STRING, ValueType.INT64, ValueType.DOUBLE})


@dataclass(frozen=True, slots=True)
class Checked:
    """The type of an expression (None where a fault keeps it from being known) and what is wrong with it."""

    type: ValueType | None
    faults: tuple[Fault, ...]


def check(
    expression: Expression, vocabulary: Mapping[str, ValueType], wanted: ValueType | None = None
) -> Checked:
    """Give the type of an expression; `wanted` is the type that it must have, if any."""
    work = _Checker(vocabulary)
    found = work.type_of(expression)
    if wanted is not None:
        work.must_be(expression, found, wanted)
    return Checked(found, tuple(work.faults))


def begins(expression: Expression) -> int:
    """Give the offset of an expression's first token, parentheses aside."""
    match expression:
        case Operation(_, left, _):
            return begins(left)
        case Index(inner, _):
            return begins(inner)
        case Call(_, target, _) if target is not None:
            return begins(target)
        case _:
            return expression.offset


class _Checker:
    def __init__(self, vocabulary: Mapping[str, ValueType]) -> None:
        self._vocabulary = vocabulary
        self.faults: list[Fault] = []

    def type_of(self, expression: Expression) -> ValueType | None:
        match expression:
            case Constant():
                return expression.type
            case Attribute():
                return self._attribute(expression)
            case Operation():
                return self._operation(expression)
            case Index(inner, key):
                self.must_be(inner, self.type_of(inner), ValueType.STRING_MAP)
                self.must_be(key, self.type_of(key), ValueType.STRING)
                return ValueType.STRING
            case Call():
                return self._call(expression)

    def must_be(self, expression: Expression, found: ValueType | None, wanted: ValueType) -> None:
        if found is None or found is wanted:
            return
        hint = ""
        if found is ValueType.DURATION and wanted is ValueType.STRING and isinstance(expression, Constant):
            hint = "a text that can be read as a duration is one"
        elif found is ValueType.STRING and wanted is ValueType.BOOL:
            hint = 'compare it: x == "..."'
        elif found is ValueType.STRING:
            hint = _OF_TEXT.get(wanted, "")
        self._fault(f"{wanted.name} is wanted, not {found.name}", begins(expression), hint)

    def _fault(self, message: str, offset: int, hint: str = "") -> None:
        self.faults.append(Fault(message, offset, hint))

    def _attribute(self, attribute: Attribute) -> ValueType | None:
        found = self._vocabulary.get(attribute.name)
        if found is None:
            # Comparing with every name is dear: of very many faults the first have hints.
            hint = nearest(attribute.name, self._vocabulary) if len(self.faults) < HINTED else ""
            if not hint and "." not in attribute.name:
                hint = f'texts stand in double quotes: "{attribute.name}"'
            message = f'there is no attribute "{attribute.name}"'
            self.faults.append(Fault(message, attribute.offset, hint, unknown=attribute.name))
        return found

    def _operation(self, operation: Operation) -> ValueType | None:
        operator, left, right = operation.operator, operation.left, operation.right
        of_left, of_right = self.type_of(left), self.type_of(right)
        if operator in _BOOLEAN:
            self.must_be(left, of_left, ValueType.BOOL)
            self.must_be(right, of_right, ValueType.BOOL)
            return ValueType.BOOL
        found = of_left if of_left is not None else of_right
        if found is not None:
            self.must_be(right, of_right, found)
            if not self._may(operator, found):
                self._fault(f'"{operator.value}" is not for {found.name}', operation.offset)
        return found if operator in (Operator.OR, Operator.ADD) else ValueType.BOOL

    @staticmethod
    def _may(operator: Operator, operands: ValueType) -> bool:
        if operator is Operator.OR:
            return True
        if operator in _EQUAL:
            return operands is not ValueType.STRING_MAP
        return operands in (_ADDED if operator is Operator.ADD else _ORDERED)

    def _call(self, call: Call) -> ValueType | None:
        signature = FUNCTIONS.get(call.function)
        target = self.type_of(call.target) if call.target is not None else None
        found = [self.type_of(one) for one in call.arguments]
        if signature is None:
            hint = nearest(call.function, FUNCTIONS)
            self._fault(f'there is no function "{call.function}"', call.offset, hint)
            return None
        if (signature.target is None) != (call.target is None):
            self._misused(call, signature)
        elif call.target is not None and signature.target is not None:
            self.must_be(call.target, target, signature.target)
        wanted = len(signature.arguments)
        if len(found) != wanted:
            said = f"{wanted} argument" if wanted == 1 else f"{wanted} arguments"
            self._fault(f'"{call.function}" has {said}, not {len(found)}', call.offset)
        free: ValueType | None = None
        for one, kind, right in zip(call.arguments, found, signature.arguments, strict=False):
            if right is not None:
                self.must_be(one, kind, right)
            elif free is None:
                free = kind
            else:
                self.must_be(one, kind, free)
        self._literal(call)
        return signature.returns if signature.returns is not None else free

    def _misused(self, call: Call, signature: Signature) -> None:
        if signature.target is None:
            self._fault(f'"{call.function}" is no method', call.offset, f"write {call.function}(...)")
        else:
            hint = f"write x.{call.function}(...)"
            self._fault(f'"{call.function}" is a method of {signature.target.name}', call.offset, hint)

    def _literal(self, call: Call) -> None:
        """Tell of a constant that the function cannot take at any request."""
        if call.function == "matches":
            of, fault_of = call.target, literals.REGEX
        elif call.function in literals.FAULTS and call.arguments:
            of, fault_of = call.arguments[0], literals.FAULTS[call.function]
        else:
            return
        if isinstance(of, Constant) and isinstance(of.value, str):
            fault = fault_of(of.value)
            if fault:
                self._fault(f"{shown(of.value)} {fault}", of.offset)


_OF_TEXT: Final = {
    ValueType.INT64: "numbers stand without quotes",
    ValueType.DOUBLE: "numbers stand without quotes",
    ValueType.IP_ADDRESS: 'write ip("...")',
    ValueType.TIMESTAMP: 'write timestamp("...")',
    ValueType.EMAIL_ADDRESS: 'write email("...")',
    ValueType.DNS_NAME: 'write dnsName("...")',
    ValueType.URI: 'write uri("...")',
    ValueType.STRING_MAP: "write emptyStringMap() for no entries",
}
