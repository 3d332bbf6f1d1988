"""Kubernetes' own kinds, typed for what the mesh reads of them: the spec of each, or its body."""

from typing import Any, Final

from meltemi.api.core.config import CONFIG_MAP, SECRET, SERVICE_ACCOUNT, ConfigMap, Secret, ServiceAccount
from meltemi.api.core.endpoint_slice import ENDPOINT_SLICE, Endpoint, EndpointSlice
from meltemi.api.core.endpoints import ENDPOINTS, Endpoints
from meltemi.api.core.event import EVENT, EVENT_OF_EVENTS, LEASE, Event, Lease
from meltemi.api.core.namespace import NAMESPACE, Namespace
from meltemi.api.core.node import NODE, Node, NodeStatus
from meltemi.api.core.pod import POD, Container, Pod, PodStatus
from meltemi.api.core.replication import REPLICATION_CONTROLLER, ReplicationController
from meltemi.api.core.service import SERVICE, Service, ServicePort, ServiceStatus
from meltemi.api.core.volume import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from meltemi.api.kind import Alias, Kind

KINDS: Final[tuple[Kind[Any], ...]] = (
    NAMESPACE,
    NODE,
    SERVICE_ACCOUNT,
    SECRET,
    CONFIG_MAP,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    ENDPOINTS,
    ENDPOINT_SLICE,
    POD,
    REPLICATION_CONTROLLER,
    EVENT,
    LEASE,
)
ALIASES: Final[tuple[Alias[Any], ...]] = (EVENT_OF_EVENTS,)

__all__ = [
    "ALIASES",
    "KINDS",
    "ConfigMap",
    "Container",
    "Endpoint",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "Lease",
    "Namespace",
    "Node",
    "NodeStatus",
    "Pod",
    "PodStatus",
    "ReplicationController",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServicePort",
    "ServiceStatus",
]
