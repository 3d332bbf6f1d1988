"""Protobuf's wire format by hand, for the few messages of which a mesh has tens of thousands.

Field numbers are looked up, never typed; parts that are always the same are encoded once from typed messages. The
order of the parts is that of the field numbers, as in serialisation: tests hold each against the typed builder, byte
for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration as DurationMessage
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from meltemi.api.duration import Duration

LENGTH_DELIMITED: Final = 2


def varint(number: int) -> bytes:
    """Encode an integer as protobuf's varint. Raises ValueError for a negative one."""
    if 0 <= number < KNOWN:
        return VARINTS[number]
    return bytes((number & 0x7F | 0x80, number >> 7)) if 0 <= number < 1 << 14 else _varint(number)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


KNOWN: Final = 4096
VARINTS: Final = tuple([_varint(number) for number in range(KNOWN)])
"""Nearly all lengths there are."""


def tag(message: type[Message], name: str) -> bytes:
    """Look up the tag of a field."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return varint(field.number << 3 | _WIRE_TYPES.get(field.type, 0))


_WIRE_TYPES: Final = {
    FieldDescriptor.TYPE_STRING: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_BYTES: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
}


def framed(tag_bytes: bytes, content: bytes) -> bytes:
    """Put a tag and a length before some bytes."""
    length = len(content)
    return tag_bytes + (VARINTS[length] if length < KNOWN else varint(length)) + content


def content(field: bytes) -> bytes:
    """Take the content out of an encoded length-delimited field."""
    at = 0
    for _ in ("tag", "length"):
        while field[at] > 0x7F:
            at += 1
        at += 1
    return field[at:]


def text(tag_bytes: bytes, value: str) -> bytes:
    """Encode a string field that is left out when it is empty."""
    if not value:
        return b""
    return framed(tag_bytes, value.encode())


def span(value: Duration) -> bytes:
    """Encode a Duration, which must not be negative."""
    whole, rest = value.parts
    return (_SECONDS + varint(whole) if whole else b"") + (_NANOS + varint(rest) if rest else b"")


_SECONDS: Final = tag(DurationMessage, "seconds")
_NANOS: Final = tag(DurationMessage, "nanos")
_FIELDS: Final = tag(Struct, "fields")
_STRING: Final = tag(Value, "string_value")
_STRUCT: Final = tag(Value, "struct_value")
_LIST: Final = tag(Value, "list_value")
_VALUES: Final = tag(ListValue, "values")
# An entry of a map is a message of these two fields, whatever the map (the encoding specification, "Maps").
_KEY: Final = varint(1 << 3 | LENGTH_DELIMITED)
_VALUE: Final = varint(2 << 3 | LENGTH_DELIMITED)


def struct(fields: Mapping[str, str | tuple[Mapping[str, str], ...]]) -> bytes:
    """Encode a Struct of texts and of lists of texts by name.

    `fields` must come in the order in which deterministic serialisation has them: sorted by key, but a key before its
    own prefixes (`namespace`, then `name`).
    """
    return b"".join([framed(_FIELDS, entry(key, _value(value))) for key, value in fields.items()])


def _value(value: str | tuple[Mapping[str, str], ...]) -> bytes:
    if isinstance(value, str):
        return framed(_STRING, value.encode())
    return framed(_LIST, b"".join([framed(_VALUES, framed(_STRUCT, struct(one))) for one in value]))


def entry(key: str, value: bytes) -> bytes:
    """Encode an entry of a map from strings to messages."""
    return framed(_KEY, key.encode()) + framed(_VALUE, value)
