"""Endpoints: addresses behind a service in one object, as Kubernetes had them before EndpointSlice."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.endpoint_slice import ObjectReference
from meltemi.api.core.service import Protocol
from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """One address."""

    ip: str = field("The address.", "", required=True)
    hostname: str = field("Its host name.", "")
    node_name: str = field("Node it is on.", "")
    target_ref: ObjectReference | None = field("The pod behind it.", None)


@dataclass(frozen=True, slots=True)
class SubsetPort:
    """One port that all addresses of a subset have."""

    name: str = field("Name of the service's port.", "")
    port: int = field("Port number.", 0, required=True)
    protocol: Protocol = field("Transport protocol.", Protocol.TCP)
    app_protocol: str = field("What is spoken on the port.", "")


@dataclass(frozen=True, slots=True)
class EndpointSubset:
    """Addresses that have the same ports."""

    addresses: tuple[EndpointAddress, ...] = field("Those that take connections.", ())
    not_ready_addresses: tuple[EndpointAddress, ...] = field("Those that do not yet.", ())
    ports: tuple[SubsetPort, ...] = field("Their ports.", ())


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses behind the service of the same name."""

    subsets: tuple[EndpointSubset, ...] = field("Addresses, by ports.", ())


ENDPOINTS: Kind[Endpoints] = Kind(
    name="Endpoints",
    group="",
    versions=("v1",),
    plural="endpoints",
    singular="endpoints",
    short=("ep",),
    body=True,
    has_status=False,
    model=Endpoints,
    columns=(
        Column("Endpoints", "string", ".subsets[*].addresses[*].ip", "Addresses."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="The addresses behind the service of the same name.",
)
