"""Load assignments: the endpoints of a cluster, by locality."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint as EndpointMessage
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.struct_pb2 import Struct

from meltemi.envoy.encoding import encode, struct, uint32
from meltemi.envoy.sockets import address

Place = tuple[str, str, str]
"""Region, zone, sub-zone."""


@dataclass(frozen=True, slots=True)
class LoadEndpoint:
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


_TLS_MODE = struct({"tlsMode": "istio"})


def encode_assignment(assignment: Assignment) -> bytes:
    """Return the bytes of Envoy's ClusterLoadAssignment."""
    return encode(assignment_message(assignment))


def assignment_message(assignment: Assignment) -> ClusterLoadAssignment:
    """Make the message, for encoding or nesting in a cluster."""
    return ClusterLoadAssignment(
        cluster_name=assignment.cluster, endpoints=[_group(group) for group in assignment.groups]
    )


def _group(group: Group) -> LocalityLbEndpoints:
    region, zone, sub_zone = group.place
    locality = LocalityMessage(region=region, zone=zone, sub_zone=sub_zone) if any(group.place) else None
    weight = group.weight or sum(endpoint.weight for endpoint in group.endpoints)
    return LocalityLbEndpoints(
        locality=locality,
        lb_endpoints=[_endpoint(endpoint) for endpoint in group.endpoints],
        load_balancing_weight=uint32(weight or None),
        priority=group.priority,
    )


def _endpoint(endpoint: LoadEndpoint) -> LbEndpoint:
    return LbEndpoint(
        endpoint=EndpointMessage(address=address(endpoint.address, endpoint.port)),
        health_status=HealthStatus.UNKNOWN if endpoint.healthy else HealthStatus.UNHEALTHY,
        load_balancing_weight=uint32(endpoint.weight),
        metadata=_metadata(endpoint),
    )


def _metadata(endpoint: LoadEndpoint) -> Metadata | None:
    filters: dict[str, Struct] = {}
    if endpoint.workload:
        filters["istio"] = struct({"workload": endpoint.workload})
    if endpoint.mtls:
        # The socket match reads this namespace and no other.
        filters["envoy.transport_socket_match"] = _TLS_MODE
    return Metadata(filter_metadata=filters) if filters else None
