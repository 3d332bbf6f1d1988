"""WorkloadEntry: one workload that is no pod, as ServiceEntry embeds it (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class WorkloadEntry:
    """A workload by address."""

    address: str = field("IP address, DNS name, or `unix:///path`.", "", max_length=256)
    ports: Map[int] = field(
        "Port name to number, where it differs from the service's.", EMPTY, max_items=128, format="uint32"
    )
    labels: Map[str] = field("Labels of the workload.", EMPTY, max_items=256)
    network: str = field("Network it is on; the same as the caller's if empty.", "", max_length=2048)
    locality: str = field("`region/zone/subzone`.", "", max_length=2048)
    weight: int = field("Share of traffic relative to the others.", 0, format="uint32")
    service_account: str = field("Service account it runs as, in the object's namespace.", "", max_length=253)
