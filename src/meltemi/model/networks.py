"""Networks of the mesh: which endpoints a caller reaches itself, and the gateways before the others.

There is one network unless MeshNetworks names gateways. Rules are Istio's (pilot/pkg/xds/endpoints/ep_filters.go and
the network of the Kubernetes registry's controller), but for gateways that Istio finds by labels of their Services.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final, NamedTuple

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.mesh import MeshNetworks
from meltemi.api.mesh.networks import IstioNetworkGateway
from meltemi.api.values import EMPTY, Map
from meltemi.model import facts, settings
from meltemi.model.services import kubernetes_name
from meltemi.model.workloads import NETWORK
from meltemi.query import Db, query

REGISTRY: Final = "Kubernetes"
"""The one registry that there is, as `fromRegistry` names it."""
CONFIG: Final = "istio"
"""The ConfigMap of MeshNetworks."""

NO_ADDRESS = code(
    "MEL0120",
    "network-gateway-without-address",
    Level.WARNING,
    "A gateway of MeshNetworks has no IP address that proxies could send to: it is given by a DNS name, or by a "
    "Service that has no external IPs. It is left out. A network none of whose gateways has an address is taken to be "
    "in reach of every caller.",
)


class NetworkGateway(NamedTuple):
    """Where traffic from other networks comes into one."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks by name, where there are several: the gateways of those that have some, and what is in them.

    `ranges` are CIDRs; `own` is the network of whatever nothing else is known of.
    """

    gateways: Map[tuple[NetworkGateway, ...]]
    ranges: tuple[tuple[str, str], ...] = ()
    own: str = ""

    def of(self, labels: Map[str], address: str) -> str:
        """Return the network of a workload: by its label, else by its address; "" where nothing tells."""
        return labels.get(NETWORK, "") or self.own or self._by_address(address)

    def _by_address(self, address: str) -> str:
        if not self.ranges:
            return ""
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return ""
        for cidr, network in self.ranges:
            if known in ipaddress.ip_network(cidr, strict=False):
                return network
        return ""

    def before(self, network: str, caller: str) -> tuple[NetworkGateway, ...]:
        """Return the gateways that a caller must take to a network; none where it reaches it itself."""
        return () if not network or not caller or network == caller else self.gateways.get(network, ())


@query
def networks(q: Db) -> Networks | None:
    """Return the networks of the mesh; None where there is one."""
    declared = q.fact(facts.MESH_NETWORKS, "", facts.MESH)
    if declared is None:
        return None
    found = {name: _gateways(q, name, one.gateways) for name, one in declared.networks.items()}
    gateways = Map({name: listed for name, listed in found.items() if listed})
    return Networks(gateways, _ranges(declared), _own(q, declared)) if gateways else None


def _gateways(q: Db, network: str, declared: tuple[IstioNetworkGateway, ...]) -> tuple[NetworkGateway, ...]:
    made: list[NetworkGateway] = []
    for index, one in enumerate(declared):
        addresses = _addresses(q, one)
        if not addresses:
            q.report(
                Diagnostic(
                    NO_ADDRESS,
                    f"gateway {one.address or one.registry_service_name} of network {network} is left out",
                    Ref("ConfigMap", settings.ROOT_NAMESPACE.read(q), CONFIG),
                    f"data.meshNetworks.networks.{network}.gateways[{index}]",
                    "give an IP address",
                )
            )
        made.extend(NetworkGateway(address, one.port) for address in addresses)
    return tuple(sorted(dict.fromkeys(made)))


def _addresses(q: Db, one: IstioNetworkGateway) -> tuple[str, ...]:
    if one.address is not None:
        return (one.address,) if _is_ip(one.address) else ()
    named = kubernetes_name(one.registry_service_name or "", settings.CLUSTER_DOMAIN.read(q))
    made = None if named is None else q.fact(facts.SERVICES, named[1], named[0])
    return () if made is None else tuple(filter(_is_ip, made.spec.external_ips))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ranges(declared: MeshNetworks) -> tuple[tuple[str, str], ...]:
    return tuple(
        [
            (one.from_cidr, name)
            for name, network in declared.networks.items()
            for one in network.endpoints
            if one.from_cidr is not None
        ]
    )


def _own(q: Db, declared: MeshNetworks) -> str:
    """Return the network of all that is here: as the root namespace's label says, else that of the registry."""
    root = q.fact(facts.NAMESPACES, "", settings.ROOT_NAMESPACE.read(q))
    labelled = (EMPTY if root is None else root.labels).get(NETWORK, "")
    here = [
        name
        for name, network in declared.networks.items()
        if any(one.from_registry == REGISTRY for one in network.endpoints)
    ]
    return labelled or next(iter(here), "")
