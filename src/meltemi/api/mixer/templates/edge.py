"""Edge: who talks to whom (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class Edge:
    """Caller and callee; fields are expressions."""

    timestamp: str = field("When the call was made.", "")
    source_workload_namespace: str = field("Namespace of the caller's workload.", "")
    source_workload_name: str = field("Name of the caller's workload.", "")
    source_owner: str = field("What the caller's pods belong to.", "")
    source_uid: str = field("Uid of the caller.", "")
    destination_workload_namespace: str = field("Namespace of the callee's workload.", "")
    destination_workload_name: str = field("Name of the callee's workload.", "")
    destination_owner: str = field("What the callee's pods belong to.", "")
    destination_uid: str = field("Uid of the callee.", "")
    destination_service_namespace: str = field("Namespace of the service.", "")
    destination_service_name: str = field("Name of the service.", "")
    context_protocol: str = field("Protocol of the connection.", "")
    api_protocol: str = field("Protocol of the API.", "")


EDGE: Kind[Edge] = declared("edge", "edges", Edge, "An edge of the graph of workloads.")
