"""State-of-the-world discovery messages to values and back.

Entries stay what they are for delta: the Any within a framed entry is, tag and all, an element of `resources` of a
DiscoveryResponse, since the number of the field is the same in both messages. It is cut out, not encoded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from meltemi.pilot.wire.messages import INVALID_ARGUMENT, Hint, Malformed, hint_of
from meltemi.pilot.wire.sotw import StateRequest

_RESOURCE: Final = 0x12  # Resource.resource and DiscoveryResponse.resources: field 2, length-delimited
_LENGTH_DELIMITED: Final = 2


def decode_state_request(data: bytes) -> tuple[StateRequest, Hint | None]:
    """Read a request, and the node that the first one of a stream carries. Raises Malformed."""
    message = discovery_pb2.DiscoveryRequest()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("not a DiscoveryRequest") from error
    refused = message.HasField("error_detail")
    request = StateRequest(
        type=message.type_url,
        names=tuple(message.resource_names),
        nonce=message.response_nonce,
        error=(message.error_detail.message or "refused without a reason") if refused else None,
    )
    return request, hint_of(message.node) if message.HasField("node") else None


def encode_state_request(request: StateRequest, node: bytes = b"") -> bytes:
    """Write a request; `node` is an encoded `core.v3.Node` for the first one of a stream."""
    message = discovery_pb2.DiscoveryRequest(
        type_url=request.type, resource_names=request.names, response_nonce=request.nonce
    )
    if request.error is not None:
        message.error_detail.CopyFrom(status_pb2.Status(code=INVALID_ARGUMENT, message=request.error))
    if node:
        message.node.ParseFromString(node)
    return message.SerializeToString()


def state_body(type_url: str, framed: Iterable[bytes], _removed: Iterable[str]) -> bytes:
    """All of a response but its version and nonce: shared by every stream that gets the same. Raises Malformed."""
    head = discovery_pb2.DiscoveryResponse(type_url=type_url)
    return b"".join((*map(any_of, framed), head.SerializeToString()))


def with_state_nonce(body: bytes, nonce: str) -> bytes:
    """A response that can be sent. Its version is the nonce: both only have to differ from those before."""
    return body + discovery_pb2.DiscoveryResponse(version_info=nonce, nonce=nonce).SerializeToString()


def any_of(framed: bytes) -> bytes:
    """Cut the Any out of a framed entry, with the tag and length that it has there. Raises Malformed."""
    try:
        _, at = _length(framed, 1)
        while at < len(framed):
            start, tag = at, framed[at]
            size, content = _length(framed, at + 1)
            at = content + size
            if tag == _RESOURCE and at <= len(framed):
                return framed[start:at]
            if tag & 7 != _LENGTH_DELIMITED:
                break
    except IndexError:
        pass
    raise Malformed("an entry without a resource")


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The varint at a place, and the place behind it. Raises IndexError."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
