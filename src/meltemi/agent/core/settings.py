"""What a node agent is told at its start, and the annotations by which `meltemi run` speaks to it."""

from __future__ import annotations

from dataclasses import dataclass, field

ATTACH = "meltemi.internal/attach"
"""Annotation: the id under which `init` holds the file descriptors of the app's stdio."""

HOST_PORTS = "meltemi.internal/host-ports"
"""Annotation: `5432,6379`: 127.0.0.1:P in the pod reaches the host's 127.0.0.1:P."""

PROXY_CONTAINER = "istio-proxy"


@dataclass(frozen=True, slots=True)
class Settings:
    """The node's settings. Addresses are dotted quads; durations seconds.

    `ports`: loopback ports to ask for, by `namespace/service:port` (0 picks a free one); Services of type
    LoadBalancer and NodePort that are not named get a free one. `certificate_seconds`: the lifetime asked for.
    """

    cluster_domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    mesh_id: str = "cluster.local"
    pod_network: str = "198.18.0.0/16"
    service_network: str = "198.19.0.0/16"
    gateway: str = "169.254.1.1"
    plain_names: str = "169.254.1.2"
    """The name server that knows no ServiceEntries."""
    host_name: str = "host.meltemi.internal"
    host_address: str = "198.18.255.254"
    api_address: str = "198.19.0.1"
    api_port: int = 443
    certificate_seconds: int = 24 * 3600
    ports: dict[str, int] = field(default_factory=dict)
