"""Networks of the mesh: which endpoints a caller reaches itself, and the gateways before the others.

There is one network unless MeshNetworks names gateways, or a Service is one by its label. Rules are Istio's
(pilot/pkg/xds/endpoints/ep_filters.go; serviceregistry/kube/controller/network.go; model/network.go for names).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from meltemi.api import paths
from meltemi.api.core.service import ServiceType
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
GATEWAY_PORT: Final = "networking.istio.io/gatewayPort"
DEFAULT_PORT: Final = 15443

NO_ADDRESS = code(
    "MEL0120",
    "network-gateway-without-address",
    Level.WARNING,
    "A gateway of a network has no IP address that proxies could send to: its DNS name was not found (yet), or the "
    "Service has neither external IPs nor a load balancer's address. It is left out. A network none of whose gateways "
    "has an address is taken to be in reach of every caller.",
)
BAD_PORT = code(
    "MEL0213",
    "network-gateway-port",
    Level.WARNING,
    "The label networking.istio.io/gatewayPort of a Service that is a network's gateway is no number of a port. The "
    "gateway is asked at port 15443.",
)
_HINT: Final = "give it an address, or a name that the control plane finds"


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
    if declared is None and not q.namespaces(facts.NETWORK_SERVICES):
        return None
    declared = declared or MeshNetworks()
    found: dict[str, dict[NetworkGateway, None]] = {}
    for network, way in _ways(q, declared):
        addresses = tuple(_addressed(q, way.places))
        if not addresses:
            q.report(Diagnostic(NO_ADDRESS, f"{way.words} of network {network} is left out", *way.at, _HINT))
        found.setdefault(network, {}).update((NetworkGateway(one, way.port), None) for one in addresses)
    gateways = Map({name: tuple(sorted(listed)) for name, listed in found.items() if listed})
    return Networks(gateways, _ranges(declared), _own(q, declared)) if gateways else None


@query
def names_to_find(q: Db) -> tuple[str, ...]:
    """List the DNS names of gateways, in lower case and sorted: somebody must find their addresses (`RESOLVED`)."""
    declared = q.fact(facts.MESH_NETWORKS, "", facts.MESH) or MeshNetworks()
    places = {place.lower() for _network, way in _ways(q, declared) for place in way.places}
    return tuple(sorted(place for place in places if not _is_ip(place)))


class _Way(NamedTuple):
    """A gateway as it is declared: at IP addresses or DNS names, `words` and `at` for what is wrong with it."""

    places: tuple[str, ...]
    port: int
    words: str
    at: tuple[Ref, str]


def _ways(q: Db, declared: MeshNetworks) -> Iterator[tuple[str, _Way]]:
    """Give each gateway with its network: those of MeshNetworks, and Services by their label."""
    root = settings.ROOT_NAMESPACE.read(q)
    for network, one in declared.networks.items():
        for index, gateway in enumerate(one.gateways):
            at = Ref("ConfigMap", root, CONFIG), f"data.meshNetworks.networks.{network}.gateways[{index}]"
            words = f"gateway {gateway.address or gateway.registry_service_name}"
            yield network, _Way(_places(q, gateway), gateway.port, words, at)
    for namespace in q.namespaces(facts.NETWORK_SERVICES):
        for name in q.names(facts.NETWORK_SERVICES, namespace):
            said = q.fact(facts.NETWORK_SERVICES, namespace, name)
            # One that the mesh does not see is no gateway.
            if said is not None and q.fact(facts.SERVICES, namespace, name) is not None:
                ref = Ref("Service", namespace, name)
                port = _port(q, said[1], ref)
                at = ref, paths.text(("metadata", "labels", NETWORK))
                yield said[0], _Way(_outside(q, namespace, name), port, f"gateway {name}.{namespace}", at)


def _port(q: Db, text: str, ref: Ref) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536:
        return int(text)
    if text:
        path = paths.text(("metadata", "labels", GATEWAY_PORT))
        q.report(Diagnostic(BAD_PORT, f'"{text}" is no port: {DEFAULT_PORT} is taken', ref, path))
    return DEFAULT_PORT


def _places(q: Db, one: IstioNetworkGateway) -> tuple[str, ...]:
    if one.address is not None:
        return (one.address,)
    named = kubernetes_name(one.registry_service_name or "", settings.CLUSTER_DOMAIN.read(q))
    if named is None or q.fact(facts.NETWORK_SERVICES, named[1], named[0]) is not None:
        # What its own label says goes first, as in Istio.
        return ()
    return _outside(q, named[1], named[0])


def _outside(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    """List where a Service is reached from outside: by its load balancer, and at its external addresses."""
    made = q.fact(facts.SERVICES, namespace, name)
    if made is None:
        return ()
    balancers = (
        q.fact(facts.BALANCERS, namespace, name) if made.spec.type is ServiceType.LoadBalancer else None
    )
    listed = [one.ip or one.hostname for one in balancers or ()]
    return tuple(dict.fromkeys([*filter(None, listed), *made.spec.external_ips]))


def _addressed(q: Db, places: tuple[str, ...]) -> Iterator[str]:
    """Give the IP addresses of places; names have those that were found last."""
    for place in places:
        if _is_ip(place):
            yield place
        else:
            yield from q.fact(facts.RESOLVED, "", place.lower()) or ()


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
