"""Kinds of networking.istio.io: the spec of each, and the names most used."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.networking.destination_rule import DESTINATION_RULE, DestinationRule, Subset, TrafficPolicy
from meltemi.api.networking.envoy_filter import ENVOY_FILTER, EnvoyFilter
from meltemi.api.networking.gateway import GATEWAY, Gateway, Server
from meltemi.api.networking.proxy_config import PROXY_CONFIG, ProxyConfig
from meltemi.api.networking.service_entry import SERVICE_ENTRY, ServiceEntry
from meltemi.api.networking.sidecar import SIDECAR, Sidecar
from meltemi.api.networking.virtual_service import (
    VIRTUAL_SERVICE,
    Destination,
    HTTPRetry,
    HTTPRoute,
    StringMatch,
    VirtualService,
)
from meltemi.api.networking.workload_entry import WORKLOAD_ENTRY, WorkloadEntry
from meltemi.api.networking.workload_group import WORKLOAD_GROUP, WorkloadGroup

KINDS: Final[tuple[Kind[Any], ...]] = (
    GATEWAY,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    SERVICE_ENTRY,
    WORKLOAD_GROUP,
    WORKLOAD_ENTRY,
    SIDECAR,
    PROXY_CONFIG,
    ENVOY_FILTER,
)

__all__ = [
    "KINDS",
    "Destination",
    "DestinationRule",
    "EnvoyFilter",
    "Gateway",
    "HTTPRetry",
    "HTTPRoute",
    "ProxyConfig",
    "Server",
    "ServiceEntry",
    "Sidecar",
    "StringMatch",
    "Subset",
    "TrafficPolicy",
    "VirtualService",
    "WorkloadEntry",
    "WorkloadGroup",
]
