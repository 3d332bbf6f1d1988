"""Load assignments: the endpoints of a cluster, by locality."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from meltemi.envoy.encoding import encode, struct, uint32

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
    made = LocalityLbEndpoints(
        locality=locality, load_balancing_weight=uint32(weight or None), priority=group.priority
    )
    for endpoint in group.endpoints:
        _fill(made.lb_endpoints.add(), endpoint)
    return made


# A template, filled in: there are more endpoints than anything else. The socket match reads this namespace alone.
_MUTUAL = LbEndpoint(
    metadata=Metadata(filter_metadata={"envoy.transport_socket_match": struct({"tlsMode": "istio"})})
)


def _fill(message: LbEndpoint, endpoint: LoadEndpoint) -> None:
    if endpoint.mtls:
        message.CopyFrom(_MUTUAL)
    where = message.endpoint.address.socket_address
    where.address, where.port_value = endpoint.address, endpoint.port
    if not endpoint.healthy:
        message.health_status = HealthStatus.UNHEALTHY
    message.load_balancing_weight.value = endpoint.weight
    if endpoint.workload:
        message.metadata.filter_metadata["istio"].fields["workload"].string_value = endpoint.workload
