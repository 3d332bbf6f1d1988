"""The rules that Envoy's messages bear (`validate.rules`), which Envoy checks before all else: a value against them.

What is merged need not be whole: what it lacks may be there already. What is put into a list or a map is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from validate import validate_pb2

from meltemi.api.diagnostics import Level, code
from meltemi.envoy.messages import blank
from meltemi.galley.validate.findings import At, Findings

BROKEN = code(
    "MEL0153",
    "patch-breaks-a-rule",
    Level.ERROR,
    "A patch of an EnvoyFilter gives a field a value that Envoy never takes there, or adds a message without one that "
    "it must have.",
)

_WRAPPED: Final = re.compile(r"google\.protobuf\.\w+Value")
_HEADERS: Final = {
    (1, True): re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+"),
    (1, False): re.compile(r"[^\x00\x0A\x0D]+"),
    (2, True): re.compile(r"[^\x00-\x08\x0A-\x1F\x7F]*"),
    (2, False): re.compile(r"[^\x00\x0A\x0D]*"),
}


def check(found: Findings, at: At, message: Message, given: Any, *, whole: bool) -> None:
    """Check a message that was read from `given`. `whole`: what it lacks, nothing else brings."""
    for where, fault in _faults(message, given, (), whole):
        found.add(BROKEN, (*at, *where), fault)


Fault = tuple[At, str]


def _faults(message: Message, given: Any, at: At, whole: bool) -> Iterator[Fault]:
    options: Any = message.DESCRIPTOR.GetOptions()
    skipped = options.Extensions[validate_pb2.disabled] or options.Extensions[validate_pb2.ignored]
    fields: Iterable[Any] = message.DESCRIPTOR.fields
    groups: Iterable[Any] = message.DESCRIPTOR.oneofs
    table = given if isinstance(given, Mapping) else {}
    for field in fields:
        if (
            field.containing_oneof is not None
            and message.WhichOneof(field.containing_oneof.name) != field.name
        ):
            continue
        key = field.json_name if field.json_name in table else field.name
        here = (*at, key)
        rules: Any = None if skipped else field.GetOptions().Extensions[validate_pb2.rules]
        if rules is not None:
            yield from _of_field(message, field, rules, here, whole or key in table, whole)
        yield from _below(message, field, table.get(key), here, whole)
    for group in () if skipped or not whole else groups:
        if group.GetOptions().Extensions[validate_pb2.required] and message.WhichOneof(group.name) is None:
            names = ", ".join(field.name for field in group.fields)
            yield at, f"Required value: one of {names}"


def _below(message: Message, field: FieldDescriptor, given: Any, at: At, whole: bool) -> Iterator[Fault]:
    inner = field.message_type
    if inner is None:
        return
    if inner.GetOptions().map_entry:
        if inner.fields_by_name["value"].message_type is not None:
            table = given if isinstance(given, Mapping) else {}
            for key, one in getattr(message, field.name).items():
                yield from _message(one, table.get(str(key)), (*at, str(key)), True)
    elif field.is_repeated:
        listed = given if isinstance(given, list) else []
        for index, one in enumerate(getattr(message, field.name)):
            yield from _message(one, listed[index] if index < len(listed) else None, (*at, index), True)
    elif message.HasField(field.name):
        yield from _message(getattr(message, field.name), given, at, whole)


def _message(message: Message, given: Any, at: At, whole: bool) -> Iterator[Fault]:
    if isinstance(message, any_pb2.Any):
        held = blank(message.type_url.rpartition("/")[2])
        if held is None:
            return
        try:
            held.ParseFromString(message.value)
        except DecodeError:
            return
        message = held
    if not message.DESCRIPTOR.full_name.startswith("google.protobuf."):
        yield from _faults(message, given, at, whole)


def _of_field(
    message: Message, field: FieldDescriptor, rules: Any, at: At, told: bool, whole: bool
) -> Iterator[Fault]:
    """Check one field. `told`: it is given, or what it is without a word counts."""
    value = getattr(message, field.name)
    if field.is_repeated:
        if told:
            yield from _many(value, rules, at)
        return
    if field.message_type is not None:
        there = message.HasField(field.name)
        needed = rules.message.required or rules.any.required or rules.duration.required
        if not there:
            if whole and needed:
                yield at, f"Required value: {field.message_type.full_name}"
            return
        if isinstance(value, duration_pb2.Duration):
            yield from _span(value, rules.duration, at)
            return
        if not _WRAPPED.fullmatch(field.message_type.full_name):
            return
        value = value.value
    elif (field.has_presence and not message.HasField(field.name)) or not told:
        return
    fault = _value(value, rules, field)
    if fault:
        yield at, fault


def _many(value: Any, rules: Any, at: At) -> Iterator[Fault]:
    limits = rules.repeated if rules.HasField("repeated") else rules.map
    least = limits.min_items if rules.HasField("repeated") else limits.min_pairs
    most = limits.max_items if rules.HasField("repeated") else limits.max_pairs
    if len(value) < least and not (limits.ignore_empty and not value):
        yield at, f"must have at least {least} of them"
    if most and len(value) > most:
        yield at, f"must have at most {most} of them"
    if rules.HasField("repeated") and rules.repeated.HasField("items"):
        for index, one in enumerate(value):
            if not isinstance(one, Message) and (fault := _value(one, rules.repeated.items, None)):
                yield (*at, index), fault


def _span(value: duration_pb2.Duration, rules: Any, at: At) -> Iterator[Fault]:
    own = value.seconds * 10**9 + value.nanos
    for name, holds, words in _ORDER:
        if rules.HasField(name):
            limit = getattr(rules, name)
            if not holds(own, limit.seconds * 10**9 + limit.nanos):
                yield at, f"must be {words} {limit.seconds + limit.nanos / 10**9:g}s"


_ORDER: Final[tuple[tuple[str, Callable[[Any, Any], bool], str], ...]] = (
    ("gt", lambda a, b: a > b, "more than"),
    ("gte", lambda a, b: a >= b, "at least"),
    ("lt", lambda a, b: a < b, "less than"),
    ("lte", lambda a, b: a <= b, "at most"),
)


def _value(value: Any, rules: Any, field: FieldDescriptor | None) -> str:
    """Say what is wrong with a number, a text or a word; "" for nothing."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return ""
    own = getattr(rules, kind)
    if getattr(own, "ignore_empty", False) and not value:
        return ""
    if kind == "string":
        return _text(value, own)
    if kind == "bool":
        wrong = own.HasField("const") and value is not own.const
        return f"must be {str(own.const).lower()}" if wrong else ""
    if kind == "enum":
        known = field is None or field.enum_type is None or value in field.enum_type.values_by_number
        if (own.defined_only and not known) or value in own.not_in:
            return f"{value} is not one of its names"
        return ""
    if kind == "bytes":
        return _length(value, own.min_len, own.max_len, "bytes")
    for name, holds, words in _ORDER:
        if own.HasField(name) and not holds(value, getattr(own, name)):
            return f"must be {words} {getattr(own, name)}"
    return ""


def _length(value: Any, least: int, most: int, unit: str) -> str:
    if len(value) < least:
        return "Required value: must not be empty" if not value else f"must have at least {least} {unit}"
    return f"must have at most {most} {unit}" if most and len(value) > most else ""


def _text(value: str, rules: Any) -> str:
    fault = _length(value, rules.min_len, rules.max_len, "characters") or _length(
        value.encode(), rules.min_bytes, rules.max_bytes, "bytes"
    )
    if fault:
        return fault
    known = _HEADERS.get((rules.well_known_regex, rules.strict))
    if known is not None and not known.fullmatch(value):
        return f"must be a header's {'name' if rules.well_known_regex == 1 else 'value'}"
    if rules.prefix and not value.startswith(rules.prefix):
        return f"must begin with {rules.prefix}"
    if getattr(rules, "in") and value not in getattr(rules, "in"):
        return f"must be one of {', '.join(getattr(rules, 'in'))}"
    return ""
