"""The inputs of the engine: what there is to read, and how each piece is named.

Facts of objects are `Object[Spec]`, named as their kind's `resource`. What others report about an object
(a pod's address and readiness) is a fact of its own, so that it wakes only those who read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltemi.query import FactKind

if TYPE_CHECKING:
    from meltemi.api.core import (
        ConfigMap,
        EndpointSlice,
        Namespace,
        Node,
        Pod,
        Secret,
        Service,
        ServiceAccount,
    )
    from meltemi.api.core.ingress import Ingress, IngressClass
    from meltemi.api.core.service import LoadBalancerIngress
    from meltemi.api.gatewayapi import (
        BackendTLSPolicy,
        GatewayClass,
        GRPCRoute,
        HTTPRoute,
        ListenerSet,
        ReferenceGrant,
        StreamRoute,
        TLSRoute,
    )
    from meltemi.api.gatewayapi import Gateway as ApiGateway
    from meltemi.api.kind import Object
    from meltemi.api.mesh import MeshConfig, MeshNetworks
    from meltemi.api.networking import (
        DestinationRule,
        EnvoyFilter,
        Gateway,
        ServiceEntry,
        Sidecar,
        VirtualService,
        WorkloadEntry,
        WorkloadGroup,
    )
    from meltemi.api.security import PeerAuthentication
    from meltemi.api.values import Map


@dataclass(frozen=True, slots=True)
class PodStatus:
    """What the node reports of a Pod: its address ("" until it has one), its node, whether it serves.

    `terminating` is set from the moment the Pod is marked for deletion.
    """

    ip: str = ""
    ready: bool = False
    node: str = ""
    phase: str = ""
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class Nack:
    """An Envoy refused one exact version of a resource; `message` is in Envoy's words."""

    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What stood in the refusing Envoy's place before: the last version that it accepted, with its bytes.

    Written in the same transaction as the Nack it belongs to, under the same key.
    """

    version: str
    body: bytes


def nack_key(name: str, version: str, envoy: str) -> str:
    """Name a Nack (and its Accepted): resource name, the refused version in hex, the Envoy release (`1.40`).

    The fact's namespace is the resource's type URL.
    """
    return f"{version}/{envoy}/{name}"


# Kubernetes' own kinds.
NAMESPACES: FactKind[Object[Namespace]] = FactKind("namespaces")
NODES: FactKind[Object[Node]] = FactKind("nodes")
SERVICES: FactKind[Object[Service]] = FactKind("services")
ENDPOINT_SLICES: FactKind[Object[EndpointSlice]] = FactKind("endpointslices.discovery.k8s.io")
PODS: FactKind[Object[Pod]] = FactKind("pods")
SERVICE_ACCOUNTS: FactKind[Object[ServiceAccount]] = FactKind("serviceaccounts")
SECRETS: FactKind[Object[Secret]] = FactKind("secrets")
CONFIG_MAPS: FactKind[Object[ConfigMap]] = FactKind("configmaps")
INGRESSES: FactKind[Object[Ingress]] = FactKind("ingresses.networking.k8s.io")
INGRESS_CLASSES: FactKind[Object[IngressClass]] = FactKind("ingressclasses.networking.k8s.io")

# Istio's kinds.
VIRTUAL_SERVICES: FactKind[Object[VirtualService]] = FactKind("virtualservices.networking.istio.io")
DESTINATION_RULES: FactKind[Object[DestinationRule]] = FactKind("destinationrules.networking.istio.io")
GATEWAYS: FactKind[Object[Gateway]] = FactKind("gateways.networking.istio.io")
SERVICE_ENTRIES: FactKind[Object[ServiceEntry]] = FactKind("serviceentries.networking.istio.io")
WORKLOAD_ENTRIES: FactKind[Object[WorkloadEntry]] = FactKind("workloadentries.networking.istio.io")
WORKLOAD_GROUPS: FactKind[Object[WorkloadGroup]] = FactKind("workloadgroups.networking.istio.io")
SIDECARS: FactKind[Object[Sidecar]] = FactKind("sidecars.networking.istio.io")
ENVOY_FILTERS: FactKind[Object[EnvoyFilter]] = FactKind("envoyfilters.networking.istio.io")
PEER_AUTHENTICATIONS: FactKind[Object[PeerAuthentication]] = FactKind("peerauthentications.security.istio.io")

# The Gateway API's kinds.
GATEWAY_CLASSES: FactKind[Object[GatewayClass]] = FactKind("gatewayclasses.gateway.networking.k8s.io")
API_GATEWAYS: FactKind[Object[ApiGateway]] = FactKind("gateways.gateway.networking.k8s.io")
LISTENER_SETS: FactKind[Object[ListenerSet]] = FactKind("listenersets.gateway.networking.k8s.io")
HTTP_ROUTES: FactKind[Object[HTTPRoute]] = FactKind("httproutes.gateway.networking.k8s.io")
GRPC_ROUTES: FactKind[Object[GRPCRoute]] = FactKind("grpcroutes.gateway.networking.k8s.io")
TLS_ROUTES: FactKind[Object[TLSRoute]] = FactKind("tlsroutes.gateway.networking.k8s.io")
TCP_ROUTES: FactKind[Object[StreamRoute]] = FactKind("tcproutes.gateway.networking.k8s.io")
UDP_ROUTES: FactKind[Object[StreamRoute]] = FactKind("udproutes.gateway.networking.k8s.io")
REFERENCE_GRANTS: FactKind[Object[ReferenceGrant]] = FactKind("referencegrants.gateway.networking.k8s.io")
BACKEND_TLS_POLICIES: FactKind[Object[BackendTLSPolicy]] = FactKind(
    "backendtlspolicies.gateway.networking.k8s.io"
)

# What is no object.
POD_STATUS: FactKind[PodStatus] = FactKind("podstatus")
"""Namespace and name of the Pod."""

WORKLOAD_HEALTH: FactKind[bool] = FactKind("workloadhealth")
"""What the agent beside a workload reports of it: namespace and name of its WorkloadEntry. Absent: nothing yet."""
BALANCERS: FactKind[tuple[LoadBalancerIngress, ...]] = FactKind("balancers")
"""Namespace and name of a Service of type LoadBalancer: where it is reached from outside, as others report."""

NETWORK_SERVICES: FactKind[tuple[str, str]] = FactKind("networkservices")
"""Namespace and name of a Service labelled `topology.istio.io/network`: the network that it leads into, and its label
`networking.istio.io/gatewayPort`. A fact of its own, so that to find these few no other Service is read."""

RESOLVED: FactKind[tuple[str, ...]] = FactKind("resolved")
"""Namespace "", a DNS name in lower case: the IPv4 addresses that it had when it was last asked for, sorted."""

ALLOCATED: FactKind[Map[tuple[str, ...]]] = FactKind("allocated")
"""Addresses that the mesh gave to the hosts of a ServiceEntry, by host in lower case; of its namespace and name."""

SETTING: FactKind[object] = FactKind("setting")
"""One fact per mesh setting: namespace "", name as in MeshConfig (`model.settings`). Absent means the default."""

MESH = "mesh"
MESH_CONFIG: FactKind[MeshConfig] = FactKind("meshconfig")
"""The whole MeshConfig, for analysis: namespace "", name `MESH`. Absent means the defaults."""

MESH_NETWORKS: FactKind[MeshNetworks] = FactKind("meshnetworks")
"""Namespace "", name `MESH`. Absent means that there is one network."""

NACK: FactKind[Nack] = FactKind("nack")
"""Namespace: the type URL; name: `nack_key(...)`."""

ACCEPTED: FactKind[Accepted] = FactKind("accepted")
"""Same key as the NACK it goes with."""

CLOCK: FactKind[int] = FactKind("clock")
"""Namespace "", name `minute`: whole minutes since the epoch, set by the shell."""
