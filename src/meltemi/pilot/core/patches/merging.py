"""Merging as Istio does it (`pkg/proto/merge`): protobuf's way, but a duration is replaced whole."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from meltemi.envoy.encoding import pack
from meltemi.envoy.messages import blank


def merge(into: Message, value: Message) -> None:
    """Merge a message: what is set replaces, lists are appended, maps are joined by key, messages merged in turn."""
    for field, given in value.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _join(getattr(into, field.name), given, field)
        elif field.is_repeated:
            getattr(into, field.name).extend(given)
        elif field.message_type is None:
            setattr(into, field.name, given)
        elif field.message_type.full_name == "google.protobuf.Duration":
            getattr(into, field.name).CopyFrom(given)
        else:
            inner = getattr(into, field.name)
            inner.SetInParent()
            merge(inner, given)


def merge_named(into: Message, value: Message) -> None:
    """Merge a message that others know by its `name`, as they know a listener or a cluster: that name stays."""
    held = into.name  # type: ignore[attr-defined]
    merge(into, value)
    into.name = held  # type: ignore[attr-defined]


def _join(into: object, given: object, field: FieldDescriptor) -> None:
    entry = field.message_type
    of_messages = entry is not None and entry.fields_by_name["value"].message_type is not None
    for key, one in given.items():  # type: ignore[attr-defined]
        if of_messages:
            into[key].CopyFrom(one)  # type: ignore[index]
        else:
            into[key] = one  # type: ignore[index]


def merge_any(into: AnyMessage, value: AnyMessage) -> bool:
    """Merge what two Anys hold, if it is of one type; say whether it is."""
    if into.type_url.rpartition("/")[2] != value.type_url.rpartition("/")[2]:
        return False
    held, given = opened(into), opened(value)
    if held is None or given is None:
        return False
    merge(held, given)
    into.CopyFrom(pack(held))
    return True


def opened(packed: AnyMessage) -> Message | None:
    """Open an Any; None where its type or its bytes cannot be read."""
    made = blank(packed.type_url.rpartition("/")[2])
    if made is None:
        return None
    try:
        made.ParseFromString(packed.value)
    except DecodeError:
        return None
    return made
