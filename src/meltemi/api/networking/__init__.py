"""Kinds of networking.istio.io: the spec of each, and the names most used."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.networking.destination_rule import DESTINATION_RULE, DestinationRule, Subset, TrafficPolicy
from meltemi.api.networking.gateway import GATEWAY, Gateway, Server
from meltemi.api.networking.service_entry import SERVICE_ENTRY, ServiceEntry
from meltemi.api.networking.virtual_service import (
    VIRTUAL_SERVICE,
    Destination,
    HTTPRetry,
    HTTPRoute,
    StringMatch,
    VirtualService,
)
from meltemi.api.networking.workload_entry import WorkloadEntry

KINDS: Final[tuple[Kind[Any], ...]] = (GATEWAY, VIRTUAL_SERVICE, DESTINATION_RULE, SERVICE_ENTRY)

__all__ = [
    "KINDS",
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
