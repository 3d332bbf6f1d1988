"""ServiceEntry: a service that no other registry knows (networking.istio.io)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from meltemi.api.declare import Rule, each, field
from meltemi.api.kind import Column, Kind
from meltemi.api.networking.selector import WorkloadSelector
from meltemi.api.networking.workload_entry import WorkloadEntry
from meltemi.api.paths import Part


class Location(Enum):
    """Whether the service is part of the mesh."""

    MESH_EXTERNAL = 0
    MESH_INTERNAL = 1


class Resolution(Enum):
    """How the service's endpoints are found."""

    NONE = 0
    STATIC = 1
    DNS = 2
    DNS_ROUND_ROBIN = 3
    DYNAMIC_DNS = 4


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of the service."""

    number: int = field("Port number.", 0, required=True, format="uint32", minimum=1, maximum=65535)
    protocol: str = field(
        "HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS; detected if empty.", "", max_length=256
    )
    name: str = field("Name of the port, unique in the object.", "", required=True, max_length=256)
    target_port: int = field(
        "Port of the endpoints, where it differs.", 0, format="uint32", minimum=1, maximum=65535
    )


def _everything(given: Mapping[str, Any]) -> Iterable[tuple[Part, ...]]:
    return (("hosts", index) for index, host in enumerate(given.get("hosts", ())) if host == "*")


def _repeated(given: Mapping[str, Any]) -> Iterable[tuple[Part, ...]]:
    numbers = [port.number for port in given.get("ports", ())]
    return (("ports", at, "number") for at, number in enumerate(numbers) if number in numbers[:at])


def _ranges(given: Mapping[str, Any]) -> Iterable[tuple[Part, ...]]:
    if given.get("resolution", Resolution.NONE) in (Resolution.NONE, Resolution.STATIC):
        return ()
    return (("addresses", at) for at, address in enumerate(given.get("addresses", ())) if "/" in address)


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service declared by hand."""

    hosts: tuple[str, ...] = field(
        "Names of the service; a leading `*` allowed.", (), required=True, min_items=1, max_items=256
    )
    addresses: tuple[str, ...] = field("Virtual addresses or CIDRs.", (), max_items=256, items_max_length=64)
    ports: tuple[ServicePort, ...] = field(
        "Ports of the service.", (), max_items=256, list_type="map", list_keys=("name",)
    )
    location: Location = field("Outside the mesh, or part of it.", Location.MESH_EXTERNAL)
    resolution: Resolution = field("How endpoints are found.", Resolution.NONE)
    endpoints: tuple[WorkloadEntry, ...] = field("Endpoints by hand.", (), max_items=4096)
    workload_selector: WorkloadSelector | None = field("Endpoints by label, for services in the mesh.", None)
    export_to: tuple[str, ...] = field("Namespaces that see it: `.` its own, `*` all, `~` none.", ())
    subject_alt_names: tuple[str, ...] = field("Names of which the server's certificate must bear one.", ())

    RULES: ClassVar[tuple[Rule, ...]] = (
        each(
            "!has(self.hosts) || self.hosts.all(host, host != '*')",
            "hostname cannot be wildcard: every host at once cannot be a service",
            _everything,
        ),
        each(
            "!has(self.ports) || self.ports.all(one, self.ports.exists_one(other, one.number == other.number))",
            "port number cannot be duplicated: a port before it has it",
            _repeated,
        ),
        Rule(
            "!has(self.workloadSelector) || !has(self.endpoints)",
            "only one of WorkloadSelector or Endpoints can be set",
            lambda given: "workload_selector" not in given or "endpoints" not in given,
            "workloadSelector",
        ),
        each(
            "!has(self.addresses) || !has(self.resolution) || self.resolution in ['NONE', 'STATIC'] ||"
            " self.addresses.all(address, !address.contains('/'))",
            "CIDR addresses are allowed only for NONE/STATIC resolution types",
            _ranges,
        ),
        Rule(
            "!has(self.endpoints) || (has(self.resolution) && self.resolution != 'NONE')",
            "NONE mode cannot set endpoints: requests go where they were going",
            lambda given: (
                "endpoints" not in given or given.get("resolution", Resolution.NONE) is not Resolution.NONE
            ),
            "endpoints",
        ),
        Rule(
            "!has(self.endpoints) || !has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' ||"
            " size(self.endpoints) <= 1",
            "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
            lambda given: (
                given.get("resolution") is not Resolution.DNS_ROUND_ROBIN
                or len(given.get("endpoints", ())) <= 1
            ),
            "endpoints",
        ),
    )


SERVICE_ENTRY: Kind[ServiceEntry] = Kind(
    name="ServiceEntry",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="serviceentries",
    singular="serviceentry",
    short=("se",),
    categories=("istio-io", "networking-istio-io"),
    model=ServiceEntry,
    columns=(
        Column("Hosts", "string", ".spec.hosts", "Hosts of the service."),
        Column("Location", "string", ".spec.location", "Outside the mesh, or part of it."),
        Column("Resolution", "string", ".spec.resolution", "How endpoints are found."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="A service that no other registry knows.",
)
