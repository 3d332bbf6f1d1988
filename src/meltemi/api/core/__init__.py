"""Kubernetes' own kinds, typed for what the mesh reads of them: the spec of each, or its body."""

from meltemi.api.core.config import ConfigMap, Secret, ServiceAccount
from meltemi.api.core.endpoint_slice import Endpoint, EndpointSlice
from meltemi.api.core.event import Event, Lease
from meltemi.api.core.namespace import Namespace
from meltemi.api.core.node import Node, NodeStatus
from meltemi.api.core.pod import Container, Pod, PodStatus
from meltemi.api.core.service import Service, ServicePort, ServiceStatus

__all__ = [
    "ConfigMap",
    "Container",
    "Endpoint",
    "EndpointSlice",
    "Event",
    "Lease",
    "Namespace",
    "Node",
    "NodeStatus",
    "Pod",
    "PodStatus",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServicePort",
    "ServiceStatus",
]
