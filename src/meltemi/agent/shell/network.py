"""The private network, built from the mesh's own network namespace: pods, redirects, services.

Everything here is idempotent: after a restart the agent finds the pods' namespaces as they are and adopts them
without touching a packet.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from meltemi.agent.core.net import Addresses, Bound, PodNetwork, ServicePort
from meltemi.init.core import Layout


class Network:
    """The mesh's network namespace, which the calling process lives in, and the pods below it."""

    def __init__(self, layout: Layout, addresses: Addresses = Addresses()) -> None:
        self._layout = layout
        self._addresses = addresses

    async def setup(self) -> None:
        """Make or adopt the mesh side: loopback, gateway address, forwarding, rules; find the pods that exist."""
        raise NotImplementedError

    def pods(self) -> Mapping[str, PodNetwork]:
        """The pods whose namespaces exist, by id."""
        raise NotImplementedError

    async def add_pod(self, pod: PodNetwork) -> str:
        """Make, adopt or change a pod's namespace; return its path, for `Spec.netns`."""
        raise NotImplementedError

    async def remove_pod(self, pod_id: str) -> None:
        """Take the link and the namespace away; unknown ids are fine."""
        raise NotImplementedError

    def netns(self, pod_id: str) -> str:
        """The path of a pod's network namespace, whether it exists or not."""
        return self._layout.netns(pod_id)

    async def set_services(self, services: Iterable[ServicePort]) -> None:
        """Replace the whole ClusterIP table in one transaction: what pods without sidecar, and passthrough, use."""
        raise NotImplementedError

    def socket_in(
        self, pod_id: str, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM
    ) -> socket.socket:
        """A non-blocking socket that lives in a pod's namespace, unmarked: for probes and port-forward.

        Raises KeyError for an unknown pod.
        """
        raise NotImplementedError

    def gateway_sockets(self, port: int = 53) -> tuple[socket.socket, socket.socket]:
        """Bound non-blocking sockets (UDP, listening TCP) on the gateway address, for the DNS server."""
        raise NotImplementedError

    def bound_ports(self, pod_id: str) -> tuple[Bound, ...]:
        """What listens on IPv4 TCP inside a pod, sorted by port."""
        raise NotImplementedError

    def peer_pod(self, pid: int) -> str | None:
        """The pod whose network namespace a process (SO_PEERCRED's pid) is in; None for any other."""
        raise NotImplementedError

    async def watch_loopback(self) -> None:
        """Run for ever: follow what apps bind on 127.0.0.1 only, and deliver inbound connections there."""
        raise NotImplementedError
