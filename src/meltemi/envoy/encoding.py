"""Bytes, Any, durations, wrappers: the grain of Envoy's messages.

Serialisation is deterministic: a resource's version is the hash of its bytes, so map entries are sorted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value, UInt64Value
from xds.type.v3.typed_struct_pb2 import TypedStruct

from meltemi.api.duration import Duration as Span

TYPE_PREFIX = "type.googleapis.com/"


def encode(message: Message) -> bytes:
    """Serialise deterministically."""
    return message.SerializeToString(deterministic=True)


def type_url(message: Message | type[Message]) -> str:
    """Return the type URL of a message or of its class."""
    return TYPE_PREFIX + message.DESCRIPTOR.full_name


def pack(message: Message) -> AnyMessage:
    """Wrap a message in an Any, its bytes deterministic."""
    return AnyMessage(type_url=type_url(message), value=encode(message))


def struct(fields: Mapping[str, object]) -> Struct:
    """Make a Struct of plain JSON values; Struct's own `update` is several times dearer."""
    return Struct(fields={key: _value(value) for key, value in fields.items()})


def _value(value: object) -> Value:
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, Mapping):
        return Value(struct_value=struct(value))
    if isinstance(value, list | tuple):
        return Value(list_value=ListValue(values=[_value(one) for one in value]))
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if value is None:
        return Value(null_value=NULL_VALUE)
    raise TypeError(f"no JSON value: {type(value).__name__}")


def typed_struct(url: str, fields: Mapping[str, object]) -> AnyMessage:
    """Wrap a configuration whose message our generated code does not know; Envoy reads it by `url`.

    The fields are proto3 JSON.
    """
    return pack(TypedStruct(type_url=url, value=struct(fields)))


@overload
def duration(value: Span) -> Duration: ...
@overload
def duration(value: None) -> None: ...
@overload
def duration(value: Span | None) -> Duration | None: ...
def duration(value: Span | None) -> Duration | None:
    """Make Envoy's Duration of the API's; None stays unset."""
    if value is None:
        return None
    whole, rest = value.parts
    return Duration(seconds=whole, nanos=rest)


@overload
def uint32(value: int) -> UInt32Value: ...
@overload
def uint32(value: None) -> None: ...
@overload
def uint32(value: int | None) -> UInt32Value | None: ...
def uint32(value: int | None) -> UInt32Value | None:
    """Wrap an unsigned integer; None stays unset."""
    return None if value is None else UInt32Value(value=value)


def uint64(value: int | None) -> UInt64Value | None:
    """Wrap an unsigned integer of 64 bits; None stays unset."""
    return None if value is None else UInt64Value(value=value)


@overload
def boolean(value: bool) -> BoolValue: ...
@overload
def boolean(value: None) -> None: ...
@overload
def boolean(value: bool | None) -> BoolValue | None: ...
def boolean(value: bool | None) -> BoolValue | None:
    """Wrap a truth value; None stays unset."""
    return None if value is None else BoolValue(value=value)
