"""Delta discovery messages to values and back, without building a message around resources that are bytes already.

A *framed entry* is one `resources` element of a DeltaDiscoveryResponse as it stands on the wire: tag, length and the
encoded `Resource` (name, version, Any). A response is then a join (`reference`: 15 times faster than through messages).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from meltemi.envoy.framing import framed

INVALID_ARGUMENT: Final = 3
"""google.rpc.Code of a NACK."""

_RESOURCES: Final = b"\x12"  # field 2, length-delimited


class Malformed(ValueError):  # noqa: N818 - it names what the message is
    """Bytes that are no discovery message."""


@dataclass(frozen=True, slots=True)
class Request:
    """A DeltaDiscoveryRequest. `error` is None for an ACK, and Envoy's words for a NACK; `nonce` is "" for neither."""

    type: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_resource_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """What a client says about itself in `node`: a hint for people and logs, never an identity."""

    id: str = ""
    cluster: str = ""
    version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its metadata: `LABELS`."""
    locality: str = ""
    """`region/zone/subzone`."""
    probed: bool = False
    """Its agent has a readiness probe, and will report what that finds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a response: `framed` is its place in the message, ready to be joined into another one."""

    name: str
    version: str
    framed: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A DeltaDiscoveryResponse as a client sees it."""

    type: str
    nonce: str
    resources: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()


def decode_request(data: bytes) -> tuple[Request, Hint | None]:
    """Read a request, and the node that the first one of a stream carries. Raises Malformed."""
    message = discovery_pb2.DeltaDiscoveryRequest()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("not a DeltaDiscoveryRequest") from error
    refused = message.HasField("error_detail")
    request = Request(
        type=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_resource_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=(message.error_detail.message or "refused without a reason") if refused else None,
    )
    return request, hint_of(message.node) if message.HasField("node") else None


def hint_of(node: base_pb2.Node) -> Hint:
    """Read what people want to know of a client."""
    texts = {
        key: value.string_value
        for key, value in node.metadata.fields.items()
        if value.HasField("string_value")
    }
    built = node.user_agent_build_version.version
    version = f"{built.major_number}.{built.minor_number}.{built.patch}" if built.major_number else ""
    labels = node.metadata.fields["LABELS"].struct_value.fields if "LABELS" in node.metadata.fields else {}
    config = (
        node.metadata.fields["PROXY_CONFIG"].struct_value if "PROXY_CONFIG" in node.metadata.fields else None
    )
    place = (node.locality.region, node.locality.zone, node.locality.sub_zone)
    return Hint(
        id=node.id,
        cluster=node.cluster,
        version=version,
        metadata=texts,
        labels={key: value.string_value for key, value in labels.items() if value.HasField("string_value")},
        locality="/".join(place).rstrip("/"),
        probed=config is not None and "readinessProbe" in config.fields,
    )


def encode_request(request: Request, node: bytes = b"") -> bytes:
    """Write a request; `node` is an encoded `core.v3.Node` for the first one of a stream."""
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url=request.type,
        resource_names_subscribe=request.subscribe,
        resource_names_unsubscribe=request.unsubscribe,
        initial_resource_versions=request.initial_resource_versions,
        response_nonce=request.nonce,
    )
    if request.error is not None:
        message.error_detail.CopyFrom(status_pb2.Status(code=INVALID_ARGUMENT, message=request.error))
    if node:
        message.node.ParseFromString(node)
    return message.SerializeToString()


def response_body(type_url: str, framed: Iterable[bytes], removed: Iterable[str]) -> bytes:
    """All of a response but its nonce: shared by every stream that gets the same change."""
    head = discovery_pb2.DeltaDiscoveryResponse(type_url=type_url, removed_resources=removed)
    return b"".join((*framed, head.SerializeToString()))


def with_nonce(body: bytes, nonce: str) -> bytes:
    """A response that can be sent: fields may stand in any order, so the nonce comes last."""
    return body + discovery_pb2.DeltaDiscoveryResponse(nonce=nonce).SerializeToString()


def encode_response(response: Response) -> bytes:
    """Write a whole response."""
    framed = (entry.framed for entry in response.resources)
    return with_nonce(response_body(response.type, framed, response.removed), response.nonce)


def decode_response(data: bytes) -> Response:
    """Read a response and frame its resources anew. Raises Malformed."""
    message = discovery_pb2.DeltaDiscoveryResponse()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("not a DeltaDiscoveryResponse") from error
    entries = tuple(_entry(resource) for resource in message.resources)
    return Response(message.type_url, message.nonce, entries, tuple(message.removed_resources))


def _entry(resource: discovery_pb2.Resource) -> Entry:
    return Entry(resource.name, resource.version, frame(resource.SerializeToString()))


def frame(resource: bytes) -> bytes:
    """Frame an encoded `discovery.v3.Resource` as an element of `resources`."""
    return framed(_RESOURCES, resource)


def unframe(framed: bytes) -> tuple[str, str, bytes]:
    """`(name, type_url, value)` of the Any in one framed entry, for config dumps and for keeping. Raises Malformed."""
    message = discovery_pb2.DeltaDiscoveryResponse()
    try:
        message.ParseFromString(framed)
    except DecodeError as error:
        raise Malformed("not a framed resource") from error
    if len(message.resources) != 1:
        raise Malformed("not one framed resource")
    resource = message.resources[0]
    return resource.name, resource.resource.type_url, resource.resource.value
