"""Load assignments: the endpoints of a cluster, by locality."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.wrappers_pb2 import UInt32Value

from meltemi.envoy.encoding import encode, struct, uint32
from meltemi.envoy.forms import form
from meltemi.envoy.framing import framed, tag, text, varint

MOST_WEIGHT = 2**32 - 1
Place = tuple[str, str, str]
"""Region, zone, sub-zone."""


class LoadEndpoint(NamedTuple):
    """One endpoint: an address (a name, for DNS clusters), whether it does Istio mutual TLS, what it is for logs.

    Without a port the address is the path of a Unix socket.
    """

    address: str
    port: int
    mtls: bool = False
    workload: str = ""
    """`name;namespace;canonical name;canonical revision;cluster`, as Istio writes it into metadata."""
    weight: int = 1
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """The endpoints of one locality; `weight` 0 means the sum of its endpoints' weights."""

    place: Place
    endpoints: tuple[LoadEndpoint, ...]
    priority: int = 0
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """All endpoints of one cluster."""

    cluster: str
    groups: tuple[Group, ...] = ()


def assignment_message(assignment: Assignment) -> ClusterLoadAssignment:
    """Make the message, for nesting in a cluster."""
    return ClusterLoadAssignment(
        cluster_name=assignment.cluster, endpoints=[_group_message(group) for group in assignment.groups]
    )


def _weight(group: Group) -> int:
    return min(group.weight or sum([endpoint.weight for endpoint in group.endpoints]), MOST_WEIGHT)


def _locality(place: Place) -> LocalityMessage | None:
    region, zone, sub_zone = place
    return LocalityMessage(region=region, zone=zone, sub_zone=sub_zone) if any(place) else None


def _group_message(group: Group) -> LocalityLbEndpoints:
    return LocalityLbEndpoints(
        locality=_locality(group.place),
        lb_endpoints=[_endpoint_message(endpoint) for endpoint in group.endpoints],
        load_balancing_weight=uint32(_weight(group) or None),
        priority=group.priority,
    )


def _endpoint_message(endpoint: LoadEndpoint) -> LbEndpoint:
    filters = {}
    if endpoint.workload:
        filters["istio"] = struct({"workload": endpoint.workload})
    if endpoint.mtls:
        # The socket match reads this namespace alone.
        filters["envoy.transport_socket_match"] = struct({"tlsMode": "istio"})
    return LbEndpoint(
        endpoint=Endpoint(address=_address(endpoint)),
        health_status=HealthStatus.UNKNOWN if endpoint.healthy else HealthStatus.UNHEALTHY,
        load_balancing_weight=uint32(endpoint.weight),
        metadata=Metadata(filter_metadata=filters) if filters else None,
    )


def _address(endpoint: LoadEndpoint) -> Address:
    if not endpoint.port:
        return Address(pipe=Pipe(path=endpoint.address))
    return Address(socket_address=SocketAddress(address=endpoint.address, port_value=endpoint.port))


# The same as bytes, for there are more endpoints than anything else.
_CLUSTER = tag(ClusterLoadAssignment, "cluster_name")
_GROUPS = tag(ClusterLoadAssignment, "endpoints")
_ENDPOINTS = tag(LocalityLbEndpoints, "lb_endpoints")
_PORT = tag(SocketAddress, "port_value")
_VALUE = tag(UInt32Value, "value")
_LOCALITY = tag(LocalityLbEndpoints, "locality")
_REGION = tag(LocalityMessage, "region")
_ZONE = tag(LocalityMessage, "zone")
_SUB_ZONE = tag(LocalityMessage, "sub_zone")
_GROUP_WEIGHT = tag(LocalityLbEndpoints, "load_balancing_weight")
_PRIORITY = tag(LocalityLbEndpoints, "priority")
_LIGHT = tuple(
    [encode(LocalityLbEndpoints(load_balancing_weight=uint32(weight or None))) for weight in range(64)]
)
"""The weights of nearly all groups; without weight there is none."""


def join_assignment(cluster: str, groups: Iterable[bytes]) -> bytes:
    """Return the bytes of a ClusterLoadAssignment around its groups, of `join_group`."""
    return text(_CLUSTER, cluster) + b"".join(groups)


def join_group(place: bytes, endpoints: Iterable[bytes], weight: int, priority: int = 0) -> bytes:
    """Return the bytes of a locality, framed, around `encode_place` and endpoints of `encode_endpoint`."""
    if weight < len(_LIGHT):
        rest = _LIGHT[weight]
    else:
        rest = framed(_GROUP_WEIGHT, _VALUE + varint(min(weight, MOST_WEIGHT)))
    if priority:
        rest += _PRIORITY + varint(priority)
    return framed(_GROUPS, b"".join((place, *endpoints, rest)))


def encode_place(place: Place) -> bytes:
    """Return the bytes of a locality's name, framed for its place in a group; none for nowhere."""
    region, zone, sub_zone = place
    named = text(_REGION, region) + text(_ZONE, zone) + text(_SUB_ZONE, sub_zone)
    return framed(_LOCALITY, named) if named else b""


def encode_endpoint(
    address: str, port: int, mtls: bool = False, workload: str = "", weight: int = 1, healthy: bool = True
) -> bytes:
    """Return the bytes of what a LoadEndpoint says, framed for its place in a group."""
    if weight != 1 or not healthy or not address or not workload or not port:
        given = LoadEndpoint(address, port, mtls, workload, weight, healthy)
        return framed(_ENDPOINTS, encode(_endpoint_message(given)))
    fill = _MUTUAL if mtls else _PLAIN
    return fill(address.encode(), workload.encode(), _PORT + varint(port))


def _form(*, mtls: bool) -> Callable[..., bytes]:
    # A number has no content to be known by: a text holds its place, between the same neighbours.
    sample = _endpoint_message(LoadEndpoint("<address>", 1, mtls, "<workload>"))
    sample.endpoint.address.socket_address.resolver_name = "<port>"
    sample.endpoint.address.socket_address.ClearField("port_value")
    group = LocalityLbEndpoints(lb_endpoints=[sample])
    return form(group, {"address": "<address>", "workload": "<workload>"}, {"port": b"<port>"})


_MUTUAL = _form(mtls=True)
_PLAIN = _form(mtls=False)
