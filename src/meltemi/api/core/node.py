"""Node: a machine that runs pods."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import Map


@dataclass(frozen=True, slots=True)
class Node:
    """What is decided of a node."""

    pod_cidr: str = field("Range its pods' addresses are from.", "", json="podCIDR")
    pod_cidrs: tuple[str, ...] = field("Ranges, one for each IP family.", (), json="podCIDRs")
    provider_id: str = field("Name the machine's provider gives it.", "", json="providerID")
    unschedulable: bool = field("No new pods are put here.", False)


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One address of a node."""

    type: str = field("Hostname, InternalIP, ExternalIP, ...", "")
    address: str = field("The address.", "")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What the node's agent reports."""

    addresses: tuple[NodeAddress, ...] = field("Addresses of the node.", ())
    ready: bool = False
    capacity: Map[str] | None = field("What the machine has.", None)


NODE: Kind[Node] = Kind(
    name="Node",
    group="",
    versions=("v1",),
    plural="nodes",
    singular="node",
    short=("no",),
    namespaced=False,
    model=Node,
    columns=(
        Column(
            "Status", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether the node is ready."
        ),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
        Column("Version", "string", ".status.nodeInfo.kubeletVersion", "Version of the node's agent."),
        Column(
            "Internal-IP", "string", '.status.addresses[?(@.type=="InternalIP")].address', "Its address.", 1
        ),
    ),
    doc="A machine that runs pods.",
)
