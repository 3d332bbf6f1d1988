"""Encoded resources, and the lists of them: what translation hands to the push.

A `Resource` keeps its bytes once, framed as they go on the wire. Lists are *segments* (one per namespace, or
whatever its readers share) that many Views point to. A RouteConfiguration is a *rope*: a head and segments of
virtual hosts, joined only while sending, for every View has its own and they are large.

Within one root a resource's name is unique, over all segments: translation sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Self

from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from envoy.service.discovery.v3.discovery_pb2 import Resource as WireResource
from google.protobuf.any_pb2 import Any as WireAny

from meltemi.envoy.framing import framed, tag, varint

CDS: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
RDS: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SDS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
BOOTSTRAP: Final = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap"
"""Not of ADS: what proxies start from is asked for by itself."""


def digest(*parts: bytes) -> bytes:
    """Hash bytes to the eight that a version is."""
    return blake2b(parts[0] if len(parts) == 1 else b"".join(parts), digest_size=8).digest()


_RESOURCES: Final = tag(DeltaDiscoveryResponse, "resources")
_NAME: Final = tag(WireResource, "name")
_VERSION: Final = tag(WireResource, "version")
_RESOURCE: Final = tag(WireResource, "resource")
_TYPE_URL: Final = tag(WireAny, "type_url")
_VALUE: Final = tag(WireAny, "value")
_VIRTUAL_HOSTS: Final = tag(RouteConfiguration, "virtual_hosts")
_TYPES: Final = {url: framed(_TYPE_URL, url.encode()) for url in (CDS, EDS, LDS, RDS, SDS)}
_VERSION_HEX: Final = _VERSION + varint(16)


@dataclass(frozen=True, slots=True)
class Origin:
    """The object, and the field in it, that a place of a resource came from. `path` as `spec.http[0].timeout`."""

    kind: str
    namespace: str
    name: str
    path: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}{' ' + self.path if self.path else ''}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One named resource, encoded. Equal when name and bytes are; origins are told apart by nobody.

    `version` is the hash of the message's bytes (8 raw bytes; `version.hex()` on the wire).
    `entry` is framed for where it goes: an element of `DeltaDiscoveryResponse.resources` (made by `resource`),
    or of `RouteConfiguration.virtual_hosts` (made by `virtual_host`).
    """

    name: str
    version: bytes
    entry: bytes = field(repr=False)
    origins: tuple[Origin, ...] = field(default=(), compare=False)

    def __adopt__(self, old: Self) -> Self:
        """Take the bytes of an equal resource, which others share, but keep these origins: see `query.db`."""
        if old.origins == self.origins:
            return old
        return type(self)(old.name, old.version, old.entry, self.origins)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A list of resources that is made, shared and compared as one. Made by `segment`.

    `key` pairs it with its older self in a push: unique within a root, such as `("ns", "shop")`.
    Equal when key and version are.
    """

    key: tuple[str, ...]
    version: bytes
    resources: tuple[Resource, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segment):
            return NotImplemented
        return self.version == other.version and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.key, self.version))


@dataclass(frozen=True, slots=True, eq=False)
class Rope:
    """A RouteConfiguration that is joined only while sending. Made by `rope`.

    `head` is the encoded RouteConfiguration without its virtual hosts, `segments` hold those, in this order.
    """

    name: str
    version: bytes
    head: bytes
    segments: tuple[Segment, ...]
    origins: tuple[Origin, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rope):
            return NotImplemented
        return self.version == other.version and self.name == other.name

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def message(self) -> bytes:
        """Join the encoded RouteConfiguration."""
        return b"".join((self.head, *(host.entry for part in self.segments for host in part.resources)))

    def join(self) -> Resource:
        """Join the whole as a resource ready to be sent. As long as it gets: do not keep it."""
        return Resource(
            self.name, self.version, _entry(RDS, self.name, self.version, self.message()), self.origins
        )


Segments = tuple[Segment, ...]
Ropes = tuple[Rope, ...]


@dataclass(frozen=True, slots=True)
class Roots:
    """Everything one View must be sent: what is pushed is the difference between two of these.

    A `load assignment` in `endpoints` bears the name of its cluster in `clusters`.
    """

    clusters: Segments = ()
    endpoints: Segments = ()
    listeners: Segments = ()
    routes: Ropes = ()
    secrets: Segments = ()
    """What a gateway shows and believes. Keys are within: they go to the proxy, and nowhere else."""


def resource(type_url: str, name: str, message: bytes, origins: Iterable[Origin] = ()) -> Resource:
    """Make a resource of an encoded message (never keep the message itself)."""
    version = digest(message)
    return Resource(name, version, _entry(type_url, name, version, message), tuple(origins))


def virtual_host(name: str, message: bytes, origins: Iterable[Origin] = ()) -> Resource:
    """Make the part of a rope that an encoded VirtualHost is."""
    return Resource(name, digest(message), framed(_VIRTUAL_HOSTS, message), tuple(origins))


def segment(key: tuple[str, ...], resources: Iterable[Resource]) -> Segment:
    """Make a segment; its version is the hash of its resources' names and versions, in order."""
    listed = tuple(resources)
    names = "\0".join([each.name for each in listed]).encode()
    version = digest(len(names).to_bytes(4, "big"), names, b"".join([each.version for each in listed]))
    return Segment(key, version, listed)


def rope(name: str, head: bytes, segments: Iterable[Segment], origins: Iterable[Origin] = ()) -> Rope:
    """Make a rope. `head` must be an encoded RouteConfiguration with this name and no virtual hosts."""
    listed = tuple(segments)
    version = digest(len(head).to_bytes(4, "big"), head, b"".join([part.version for part in listed]))
    return Rope(name, version, head, listed, tuple(origins))


def message_of(entry: bytes) -> tuple[str, bytes]:
    """Take the type URL and the encoded message back out of a framed entry: for looking at, not for pushing."""
    response = DeltaDiscoveryResponse.FromString(entry)
    packed = response.resources[0].resource
    return packed.type_url, packed.value


def _entry(type_url: str, name: str, version: bytes, message: bytes) -> bytes:
    typed = (_TYPES.get(type_url) or framed(_TYPE_URL, type_url.encode())) + _VALUE + varint(len(message))
    packed = len(typed) + len(message)
    labels = framed(_NAME, name.encode()) + _VERSION_HEX + version.hex().encode() + _RESOURCE + varint(packed)
    return b"".join((_RESOURCES, varint(len(labels) + packed), labels, typed, message))
