"""WorkloadEntry: one workload that is no pod (networking.istio.io); ServiceEntry and WorkloadGroup embed it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from meltemi.api.declare import Rule, field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map

UNIX: Final = "unix://"
_PORT_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?", re.ASCII)


def _socket(given: Mapping[str, Any]) -> bool:
    return bool(given.get("address", "").startswith(UNIX))


def _names_ports(given: Mapping[str, Any]) -> bool:
    return all(len(name) < 63 and _PORT_NAME.fullmatch(name) for name in given.get("ports", EMPTY))


@dataclass(frozen=True, slots=True)
class WorkloadEntry:
    """A workload by address."""

    address: str = field("IP address, DNS name, or `unix:///path`.", "", max_length=256)
    ports: Map[int] = field(
        "Port name to number, where it differs from the service's.",
        EMPTY,
        max_items=128,
        format="uint32",
        minimum=1,
        maximum=65535,
    )
    labels: Map[str] = field("Labels of the workload.", EMPTY, max_items=256)
    network: str = field("Network it is on; the same as the caller's if empty.", "", max_length=2048)
    locality: str = field("`region/zone/subzone`.", "", max_length=2048)
    weight: int = field("Share of traffic relative to the others.", 0, format="uint32")
    service_account: str = field("Service account it runs as, in the object's namespace.", "", max_length=253)

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.address) || has(self.network)",
            "Address is required, unless a network is given",
            lambda given: "address" in given or "network" in given,
            "address",
        ),
        Rule(
            "!has(self.address) || !self.address.startsWith('unix://') || !has(self.ports)",
            "UDS may not include ports: a unix domain socket has none",
            lambda given: not _socket(given) or "ports" not in given,
            "ports",
        ),
        Rule(
            "!has(self.address) || !self.address.startsWith('unix://') ||"
            " self.address.startsWith('unix:///') || self.address.startsWith('unix://@')",
            "UDS must be an absolute path or abstract socket, such as unix:///run/a.sock or unix://@a",
            lambda given: not _socket(given) or given["address"].startswith((f"{UNIX}/", f"{UNIX}@")),
            "address",
        ),
        Rule(
            "!has(self.address) || !self.address.startsWith('unix://') || !self.address.endsWith('/')",
            "UDS may not be a dir: name the socket itself",
            lambda given: not _socket(given) or not given["address"].endswith("/"),
            "address",
        ),
        Rule(
            "!has(self.ports) || self.ports.all(name, size(name) < 63 &&"
            " name.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
            "port name must be valid: letters, digits and '-' within, at most 62",
            _names_ports,
            "ports",
        ),
    )


@dataclass(frozen=True, slots=True)
class WorkloadTemplate(WorkloadEntry):
    """What the workloads of a group have alike; each brings its own address."""

    RULES: ClassVar[tuple[Rule, ...]] = WorkloadEntry.RULES[1:]


WORKLOAD_ENTRY: Kind[WorkloadEntry] = Kind(
    name="WorkloadEntry",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="workloadentries",
    singular="workloadentry",
    short=("we",),
    categories=("istio-io", "networking-istio-io"),
    model=WorkloadEntry,
    columns=(
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
        Column("Address", "string", ".spec.address", "Where the workload is reached."),
    ),
    doc="One workload that is no pod, such as a virtual machine; a ServiceEntry selects it by its labels.",
)
