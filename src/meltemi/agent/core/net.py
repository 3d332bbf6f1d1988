"""The private network's plan: addresses, ports and marks, and who a pod is on it. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.agent.core.capture import ALL, Capture, capture_of

GATEWAY = "169.254.1.1"
"""Every pod's gateway and name server; an address of the mesh's own namespace."""

PLAIN_NAMES = "169.254.1.2"
"""The name server of who is not captured, of Envoy above all: it knows no ServiceEntry, whose addresses lead nowhere
but into a sidecar."""

MARK = 1337
"""SO_MARK on every socket that Envoy opens to the outside of its pod: not captured again."""

INBOUND_SOURCE = "127.0.0.6"
"""The source that Envoy delivers to its own app from, as in Istio."""

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
NOT_CAPTURED_INBOUND = (15008, 15020, 15021, 15090)
"""Ports of a pod that answer for themselves, past 15006."""

PRIVATE_PORTS = frozenset({15000})
"""Envoy's admin: a Service or a container that names it must not open it to the network."""

WAY_OUT_PORT = 15100
"""In the mesh's namespace: `edge-mesh` takes here what is not the mesh's, at its original destination."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The ranges of one mesh. All IPv4, all private to the mesh's own network namespace."""

    pods: str = "198.18.0.0/16"
    services: str = "198.19.0.0/16"
    host: str = "198.18.255.254"
    """`host.meltemi.internal`: reaches the host's own loopback at the same port."""


DEFAULT = Addresses()


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """What the network knows of a pod.

    id: short (at most 12 of [a-z0-9-]), unique, kept for the pod's life; names its namespace and its link.
    sidecar: TCP is captured by 15001 and 15006, as far as `capture` says.
    host_ports: 127.0.0.1:P in the pod reaches the host's 127.0.0.1:P.
    ports: what the app offers (its containerPorts, and target ports of Services): served even where it listens on
    127.0.0.1 only. A loopback port that nobody declared stays private.
    loopback_ports: those of them that are bound so just now; kept by `Network`, not given.
    """

    id: str
    ip: str
    sidecar: bool = True
    capture: Capture = ALL
    host_ports: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    loopback_ports: tuple[int, ...] = ()

    @property
    def bare_ports(self) -> tuple[int, ...]:
        """Those loopback ports to which no sidecar delivers."""
        return tuple(
            port for port in self.loopback_ports if not (self.sidecar and self.capture.takes_in(port))
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """What is captured of a machine outside of the mesh's.

    control: address and port of the control plane, which its agent speaks to past the sidecar.
    """

    address: str
    capture: Capture = ALL
    control: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One ClusterIP and port with its ready endpoints (ip, port); none: connections are refused."""

    address: str
    port: int
    endpoints: tuple[tuple[str, int], ...] = ()
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket inside a pod, from `/proc/net/tcp`: loopback means 127.0.0.0/8 only."""

    port: int
    loopback: bool


@dataclass(frozen=True, slots=True)
class Ways:
    """What the two edge Envoys carry.

    into: name -> a loopback port on the host that leads to pods, e.g. `ingress/80`, `nodeport/30080`.
    control: (ClusterIP, port) -> path of a Unix socket of the control plane.
    """

    into: Mapping[str, Way] = field(default_factory=dict)
    control: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """A loopback port on the host (0: any free one, pinned afterwards) and the pods (ip, port) behind it."""

    port: int
    targets: tuple[tuple[str, int], ...] = ()


def loopback_only(listeners: Iterable[tuple[int, bytes]]) -> tuple[Bound, ...]:
    """From (port, address) of listening sockets, 4 or 16 bytes each: which ports are on 127.0.0.0/8 only."""
    open_to_all: dict[int, bool] = {}
    for port, address in listeners:
        inner = address[12:] if address.startswith(_MAPPED) else address
        loopback = len(inner) == 4 and inner[0] == 127
        open_to_all[port] = open_to_all.get(port, False) or not loopback
    return tuple(Bound(port, not everywhere) for port, everywhere in sorted(open_to_all.items()))


_MAPPED = bytes(10) + b"\xff\xff"


def pod_network(document: Mapping[str, Any]) -> PodNetwork:
    """A PodNetwork from its JSON form. Raises TypeError, ValueError or KeyError for anything else."""
    lists = ("host_ports", "ports", "loopback_ports")
    numbers = {name: tuple(int(port) for port in document.get(name, ())) for name in lists}
    capture = capture_of(document["capture"]) if "capture" in document else ALL
    return PodNetwork(str(document["id"]), str(document["ip"]), bool(document["sidecar"]), capture, **numbers)


def offered_ports(services: Iterable[ServicePort]) -> dict[str, frozenset[int]]:
    """Pod address -> the TCP ports that services lead to there."""
    found: dict[str, set[int]] = {}
    for service in services:
        if service.protocol == "tcp":
            for ip, port in service.endpoints:
                found.setdefault(ip, set()).add(port)
    return {ip: frozenset(ports) for ip, ports in found.items()}
