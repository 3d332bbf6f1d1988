"""EndpointSlice: addresses behind a service (discovery.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.service import Protocol
from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"


@dataclass(frozen=True, slots=True)
class EndpointConditions:
    """State of an endpoint; None is unknown, which readers take as ready, serving, not terminating."""

    ready: bool | None = field("Takes new connections.", None)
    serving: bool | None = field("Works, even while terminating.", None)
    terminating: bool | None = field("Is being stopped.", None)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """A reference to an object."""

    kind: str = field("Kind.", "")
    namespace: str = field("Namespace.", "")
    name: str = field("Name.", "")
    uid: str = field("UID.", "")
    api_version: str = field("API version.", "")
    field_path: str = field("Part of the object.", "")
    resource_version: str = field("Version of the object.", "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint."""

    addresses: tuple[str, ...] = field(
        "Its addresses, all of one family; the first is used.", (), required=True
    )
    conditions: EndpointConditions = field("Its state.", EndpointConditions())
    hostname: str = field("Its host name, for headless services.", "")
    node_name: str = field("Node it is on.", "")
    zone: str = field("Zone it is in.", "")
    target_ref: ObjectReference | None = field("The pod behind it.", None)
    deprecated_topology: Map[str] = field("Labels of v1beta1.", EMPTY)


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """One port that all endpoints of the slice have."""

    name: str = field("Name of the service's port.", "")
    protocol: Protocol = field("Transport protocol.", Protocol.TCP)
    port: int | None = field("Port number; None means all ports.", None)
    app_protocol: str = field("What is spoken on the port.", "")


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """A slice of a service's endpoints; the service is named by the label `kubernetes.io/service-name`."""

    address_type: str = field("IPv4, IPv6 or FQDN.", "", required=True)
    endpoints: tuple[Endpoint, ...] = field("The endpoints.", ())
    ports: tuple[EndpointPort, ...] = field("Their ports.", ())


ENDPOINT_SLICE: Kind[EndpointSlice] = Kind(
    name="EndpointSlice",
    group="discovery.k8s.io",
    versions=("v1",),
    plural="endpointslices",
    singular="endpointslice",
    body=True,
    has_status=False,
    model=EndpointSlice,
    columns=(
        Column("AddressType", "string", ".addressType", "Family of the addresses."),
        Column("Ports", "string", ".ports[*].port", "Ports of the endpoints."),
        Column("Endpoints", "string", ".endpoints[*].addresses[0]", "Addresses of the endpoints."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Addresses behind a service.",
)
