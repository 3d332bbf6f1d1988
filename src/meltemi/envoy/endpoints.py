"""Load assignments: the endpoints of a cluster, by locality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.wrappers_pb2 import UInt32Value

from meltemi.envoy import framing
from meltemi.envoy.encoding import encode, struct, uint32
from meltemi.envoy.framing import entry, framed, tag, text, varint

Place = tuple[str, str, str]
"""Region, zone, sub-zone."""


class LoadEndpoint(NamedTuple):
    """One endpoint: an address (a name, for DNS clusters), whether it does Istio mutual TLS, what it is for logs."""

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
    return group.weight or sum([endpoint.weight for endpoint in group.endpoints])


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
    address = SocketAddress(address=endpoint.address, port_value=endpoint.port)
    return LbEndpoint(
        endpoint=Endpoint(address=Address(socket_address=address)),
        health_status=HealthStatus.UNKNOWN if endpoint.healthy else HealthStatus.UNHEALTHY,
        load_balancing_weight=uint32(endpoint.weight),
        metadata=Metadata(filter_metadata=filters) if filters else None,
    )


# The same by hand, for there are more endpoints than anything else; parts in the order of their fields.
_CLUSTER = tag(ClusterLoadAssignment, "cluster_name")
_GROUPS = tag(ClusterLoadAssignment, "endpoints")
_ENDPOINTS = tag(LocalityLbEndpoints, "lb_endpoints")
_ENDPOINT = tag(LbEndpoint, "endpoint")
_ADDRESS = tag(Endpoint, "address")
_SOCKET = tag(Address, "socket_address")
_HOST = tag(SocketAddress, "address")
_PORT = tag(SocketAddress, "port_value")
_UNHEALTHY = encode(LbEndpoint(health_status=HealthStatus.UNHEALTHY))
_METADATA = tag(LbEndpoint, "metadata")
_FILTER_METADATA = tag(Metadata, "filter_metadata")
_MUTUAL = framed(
    _FILTER_METADATA, entry("envoy.transport_socket_match", framing.struct({"tlsMode": "istio"}))
)
_WEIGHT = tag(LbEndpoint, "load_balancing_weight")
_VALUE = tag(UInt32Value, "value")
_WEIGHT_ONE = framed(_WEIGHT, _VALUE + varint(1))
_LOCALITY = tag(LocalityLbEndpoints, "locality")
_REGION = tag(LocalityMessage, "region")
_ZONE = tag(LocalityMessage, "zone")
_SUB_ZONE = tag(LocalityMessage, "sub_zone")
_GROUP_WEIGHT = tag(LocalityLbEndpoints, "load_balancing_weight")
_PRIORITY = tag(LocalityLbEndpoints, "priority")


def encode_assignment(assignment: Assignment) -> bytes:
    """Return the bytes of Envoy's ClusterLoadAssignment."""
    groups = [framed(_GROUPS, _group(group)) for group in assignment.groups]
    return text(_CLUSTER, assignment.cluster) + b"".join(groups)


def _group(group: Group) -> bytes:
    region, zone, sub_zone = group.place
    parts = []
    if region or zone or sub_zone:
        parts.append(framed(_LOCALITY, text(_REGION, region) + text(_ZONE, zone) + text(_SUB_ZONE, sub_zone)))
    parts += [framed(_ENDPOINTS, _endpoint(endpoint)) for endpoint in group.endpoints]
    weight = _weight(group)
    if weight:
        parts.append(framed(_GROUP_WEIGHT, _VALUE + varint(weight)))
    if group.priority:
        parts.append(_PRIORITY + varint(group.priority))
    return b"".join(parts)


def _endpoint(endpoint: LoadEndpoint) -> bytes:
    address, port, mtls, workload, weight, healthy = endpoint
    socket = framed(_SOCKET, text(_HOST, address) + _PORT + varint(port))
    metadata = _MUTUAL if mtls else b""
    if workload:
        metadata += framed(_FILTER_METADATA, entry("istio", framing.struct({"workload": workload})))
    made = framed(_ENDPOINT, framed(_ADDRESS, socket))
    if not healthy:
        made += _UNHEALTHY
    if metadata:
        made += framed(_METADATA, metadata)
    return made + (
        _WEIGHT_ONE if weight == 1 else framed(_WEIGHT, _VALUE + varint(weight) if weight else b"")
    )
