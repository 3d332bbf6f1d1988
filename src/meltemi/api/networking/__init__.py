"""Kinds of networking.istio.io: the spec of each, and the names most used."""

from meltemi.api.networking.destination_rule import DestinationRule, Subset, TrafficPolicy
from meltemi.api.networking.gateway import Gateway, Server
from meltemi.api.networking.service_entry import ServiceEntry
from meltemi.api.networking.virtual_service import (
    Destination,
    HTTPRetry,
    HTTPRoute,
    StringMatch,
    VirtualService,
)
from meltemi.api.networking.workload_entry import WorkloadEntry

__all__ = [
    "Destination",
    "DestinationRule",
    "Gateway",
    "HTTPRetry",
    "HTTPRoute",
    "Server",
    "ServiceEntry",
    "StringMatch",
    "Subset",
    "TrafficPolicy",
    "VirtualService",
    "WorkloadEntry",
]
