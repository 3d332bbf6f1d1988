"""MeshNetworks: which endpoints reach each other directly, and the gateways between those that do not.

No Kubernetes kind: the text below the key `meshNetworks` of the ConfigMap `istio` (mesh/v1alpha1/network.proto).
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.values import Map


@dataclass(frozen=True, slots=True)
class NetworkEndpoints:
    """Endpoints that belong to a network: by address, or by the registry that knows them."""

    from_cidr: str | None = field("Endpoints with an address in this range.", None, oneof="ne")
    from_registry: str | None = field(
        "All endpoints of this registry, named after its cluster.", None, oneof="ne"
    )


@dataclass(frozen=True, slots=True)
class IstioNetworkGateway:
    """Where traffic from other networks comes in."""

    registry_service_name: str | None = field(
        "Host of the gateway's service in the network's own registry.", None, oneof="gw"
    )
    address: str | None = field(
        "Address of the gateway, or a name that other networks can resolve.", None, oneof="gw"
    )
    port: int = field("Port of the gateway.", 0, required=True, format="uint32")
    locality: str = field("Where a gateway that is given by address stands.", "")


@dataclass(frozen=True, slots=True)
class Network:
    """One network: what is in it reaches each other directly."""

    endpoints: tuple[NetworkEndpoints, ...] = field("What is in the network.", (), required=True)
    gateways: tuple[IstioNetworkGateway, ...] = field("Ways in from other networks.", (), required=True)


@dataclass(frozen=True, slots=True)
class MeshNetworks:
    """All networks of the mesh."""

    networks: Map[Network] = field("Networks by name.", Map(), required=True)
