"""The private network, built from the mesh's own network namespace: pods, redirects, services.

Everything here is idempotent: after a restart the agent finds the pods' namespaces as they are and adopts them
without touching a packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from meltemi.agent.core import netlink
from meltemi.agent.core.net import (
    DEFAULT,
    GATEWAY,
    PLAIN_NAMES,
    PRIVATE_PORTS,
    Addresses,
    Bound,
    PodNetwork,
    ServicePort,
    loopback_only,
    offered_ports,
    pod_network,
)
from meltemi.agent.core.net_rules import mesh_rules, pod_came, pod_rules, pod_went
from meltemi.agent.shell.net_kernel import (
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    NETLINK_SOCK_DIAG,
    Netlink,
    forget_netns,
    in_netns,
    is_netns,
    make_netns,
)
from meltemi.init.core import Layout

_POD_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?")
_LOOK_AGAIN = 0.25
"""Seconds between looks at what apps have bound."""


class Network:
    """The mesh's network namespace, which the calling process lives in, and the pods below it."""

    def __init__(self, layout: Layout, addresses: Addresses = DEFAULT) -> None:
        self._layout = layout
        self._addresses = addresses
        self._pods: dict[str, PodNetwork] = {}
        self._links: dict[str, int] = {}
        self._diag: dict[str, Netlink] = {}
        self._services: tuple[ServicePort, ...] = ()
        self._offered: dict[str, frozenset[int]] = {}
        self._control: frozenset[tuple[str, int]] = frozenset()
        self._lock = asyncio.Lock()

    async def setup(self) -> None:
        """Make or adopt the mesh side: loopback, gateway address, forwarding, rules; find the pods that exist."""
        async with self._lock:
            await asyncio.to_thread(self._setup)

    def pods(self) -> Mapping[str, PodNetwork]:
        """The pods whose namespaces exist, by id."""
        return dict(self._pods)

    async def add_pod(self, pod: PodNetwork) -> str:
        """Make, adopt or change a pod's namespace; return its path, for `Spec.netns`.

        Raises ValueError for an id that is none or an address that another pod has.
        """
        if not _POD_ID.fullmatch(pod.id) or pod.id == "mesh":
            raise ValueError(f"{pod.id!r} is no pod id: at most 12 of a-z, 0-9 and - are wanted")
        async with self._lock:
            other = next((p.id for p in self._pods.values() if p.ip == pod.ip and p.id != pod.id), None)
            if other is not None:
                raise ValueError(f"{pod.ip} is the address of pod {other}")
            known = self._pods.get(pod.id)
            if known is not None:
                pod = dataclasses.replace(pod, loopback_ports=known.loopback_ports)
            if known != pod:
                await asyncio.to_thread(self._add_pod, pod)
        return self.netns(pod.id)

    async def remove_pod(self, pod_id: str) -> None:
        """Take the link and the namespace away; unknown ids are fine."""
        async with self._lock:
            await asyncio.to_thread(self._remove_pod, pod_id)

    def netns(self, pod_id: str) -> str:
        """The path of a pod's network namespace, whether it exists or not."""
        return self._layout.netns(pod_id)

    async def set_services(
        self, services: Iterable[ServicePort], control: Iterable[tuple[str, int]] = ()
    ) -> None:
        """Replace the whole ClusterIP table in one transaction: what pods without sidecar, and passthrough, use.

        A pod's port behind a service counts as declared (`PodNetwork.ports`): it is served on 127.0.0.1, too.
        control: (ClusterIP, port) of the control plane, which `edge-mesh` carries (`Ways.control`).
        """
        async with self._lock:
            self._services, self._control = tuple(services), frozenset(control)
            self._offered = offered_ports(self._services)
            await asyncio.to_thread(self._apply_services)

    def socket_in(
        self, pod_id: str, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM
    ) -> socket.socket:
        """A non-blocking socket that lives in a pod's namespace, unmarked: for probes and port-forward.

        Raises KeyError for an unknown pod.
        """
        if pod_id not in self._pods:
            raise KeyError(pod_id)
        made = in_netns(self.netns(pod_id), lambda: socket.socket(family, kind))
        made.setblocking(False)
        return made

    def gateway_sockets(self, port: int = 53, address: str = GATEWAY) -> tuple[socket.socket, socket.socket]:
        """Bound non-blocking sockets (UDP, listening TCP) on an address of the mesh's own, for a DNS server."""
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for made in (datagrams, streams):
            made.setblocking(False)
            made.bind((address, port))
        streams.listen(256)
        return datagrams, streams

    def bound_ports(self, pod_id: str) -> tuple[Bound, ...]:
        """What listens for TCP inside a pod, sorted by port. Raises KeyError for an unknown pod."""
        if pod_id not in self._pods:
            raise KeyError(pod_id)
        diag = self._diag.get(pod_id)
        if diag is None:
            diag = in_netns(self.netns(pod_id), lambda: Netlink(NETLINK_SOCK_DIAG))
            self._diag[pod_id] = diag
        found = [
            netlink.listener(body)
            for family in (socket.AF_INET, socket.AF_INET6)
            for body in diag.dump(netlink.listening(family))
        ]
        return loopback_only(found)

    def peer_pod(self, pid: int) -> str | None:
        """The pod whose network namespace a process (SO_PEERCRED's pid) is in; None for any other."""
        try:
            wanted = Path(f"/proc/{pid}/ns/net").stat()
        except OSError:
            return None
        for pod_id in self._pods:
            with contextlib.suppress(OSError):
                found = Path(self.netns(pod_id)).stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return pod_id
        return None

    async def follow_loopback(self, pod_id: str) -> None:
        """Look now at what a pod has bound on 127.0.0.1 only, and deliver inbound connections there."""
        async with self._lock:
            pod = self._pods.get(pod_id)
            if pod is None:
                return
            bound = self.bound_ports(pod_id)
            declared = {*pod.ports, *self._offered.get(pod.ip, ())} - PRIVATE_PORTS
            ports = tuple(item.port for item in bound if item.loopback and item.port in declared)
            if ports != pod.loopback_ports:
                await asyncio.to_thread(self._apply_pod, dataclasses.replace(pod, loopback_ports=ports))

    async def watch_loopback(self) -> None:
        """Run for ever: `follow_loopback` for all pods that have declared ports."""
        while True:
            for pod in list(self._pods.values()):
                if pod.ports or pod.ip in self._offered:
                    with contextlib.suppress(OSError, KeyError):
                        await self.follow_loopback(pod.id)
            await asyncio.sleep(_LOOK_AGAIN)

    def close(self) -> None:
        """Close what is open; the network itself stays."""
        for diag in self._diag.values():
            diag.close()
        self._diag.clear()

    def _setup(self) -> None:
        sysctls = {
            "ip_forward": "1",
            # Pods cannot have raw sockets, and yet: nobody sends in another's name.
            "conf/all/rp_filter": "1",
            "conf/default/rp_filter": "1",
            "conf/all/send_redirects": "0",
            "conf/default/send_redirects": "0",
            # A refusal must reach everyone who asks, not one a second.
            "icmp_ratelimit": "0",
        }
        for name, value in sysctls.items():
            _sysctl(f"ipv4/{name}", value)
        _sysctl("ipv6/conf/all/disable_ipv6", "1", optional=True)
        with Netlink(NETLINK_ROUTE) as route:
            loopback = socket.if_nametoindex("lo")
            route.ask(netlink.link_up(loopback))
            for address in (GATEWAY, PLAIN_NAMES):
                route.ask(netlink.address_add(loopback, address))
            route.ask(netlink.route("0.0.0.0/0", loopback))
        self._find_pods()
        self._find_services()
        self._apply_mesh()

    def _find_pods(self) -> None:
        folder = Path(self._layout.netns_folder)
        for note in sorted(folder.glob("*.json")):
            with contextlib.suppress(ValueError, TypeError, KeyError, OSError):
                pod = pod_network(json.loads(note.read_text()))
                if is_netns(self.netns(pod.id)):
                    self._pods[pod.id] = pod

    def _find_services(self) -> None:
        """What an earlier agent carried goes on until somebody says otherwise."""
        try:
            known = json.loads(Path(f"{self.netns('mesh')}.json").read_text())
            self._services = tuple(
                ServicePort(address, port, tuple((ip, number) for ip, number in endpoints), protocol)
                for address, port, endpoints, protocol in known["services"]
            )
            self._control = frozenset((address, port) for address, port in known["control"])
        except (OSError, ValueError, TypeError, KeyError):
            return
        self._offered = offered_ports(self._services)

    def _apply_services(self) -> None:
        self._apply_mesh()
        services = [(item.address, item.port, item.endpoints, item.protocol) for item in self._services]
        _note(f"{self.netns('mesh')}.json", {"services": services, "control": sorted(self._control)})

    def _apply_mesh(self) -> None:
        pods = [pod.ip for pod in self._pods.values()]
        self._tell(mesh_rules(self._addresses, self._services, self._control, pods))

    @staticmethod
    def _tell(batch: Sequence[netlink.Call], *ignore: int) -> None:
        with Netlink(NETLINK_NETFILTER) as firewall:
            try:
                firewall.transact(batch)
            except OSError as error:
                if error.errno not in ignore:
                    raise

    def _add_pod(self, pod: PodNetwork) -> None:
        path = self.netns(pod.id)
        if not is_netns(path):
            self._drop_link(pod.id)
            make_netns(path)
        mac, gateway_mac = _macs(pod.ip)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with Netlink(NETLINK_ROUTE) as route:
                pair = netlink.veth(_link(pod.id), gateway_mac, "eth0", mac, fd)
                route.ask(pair, errno.EEXIST)
        finally:
            os.close(fd)
        in_netns(path, lambda: _furnish(pod, gateway_mac))
        with Netlink(NETLINK_ROUTE) as route:
            index = socket.if_nametoindex(_link(pod.id))
            route.ask(netlink.link_up(index))
            route.ask(netlink.neighbour(index, pod.ip, mac))
            known = self._pods.get(pod.id)
            if known is not None and known.ip != pod.ip:
                route.ask(netlink.route(f"{known.ip}/32", index, delete=True), errno.ESRCH)
            route.ask(netlink.route(f"{pod.ip}/32", index, source=GATEWAY))
            if known is not None and known.ip != pod.ip:
                self._tell(pod_went(known.ip), errno.ENOENT)
        self._apply_pod(pod)
        self._tell(pod_came(pod.ip))

    def _apply_pod(self, pod: PodNetwork) -> None:
        rules = pod_rules(pod, self._addresses)
        needs_loopback = bool(pod.host_ports or pod.bare_ports)

        def inside() -> None:
            _sysctl("ipv4/conf/eth0/route_localnet", "1" if needs_loopback else "0")
            with Netlink(NETLINK_NETFILTER) as firewall:
                firewall.transact(rules)

        in_netns(self.netns(pod.id), inside)
        _note(f"{self.netns(pod.id)}.json", dataclasses.asdict(pod))
        self._pods[pod.id] = pod

    def _remove_pod(self, pod_id: str) -> None:
        known = self._pods.pop(pod_id, None)
        diag = self._diag.pop(pod_id, None)
        if diag is not None:
            diag.close()
        if known is None and not _POD_ID.fullmatch(pod_id):
            return
        self._drop_link(pod_id)
        Path(f"{self.netns(pod_id)}.json").unlink(missing_ok=True)
        forget_netns(self.netns(pod_id))
        if known is not None:
            self._tell(pod_went(known.ip), errno.ENOENT)

    @staticmethod
    def _drop_link(pod_id: str) -> None:
        with Netlink(NETLINK_ROUTE) as route:
            route.ask(netlink.link_delete(_link(pod_id)), errno.ENODEV)


def _note(path: str, document: dict[str, Any]) -> None:
    """Beside the namespaces, where it lives as long as they do."""
    fresh = Path(f"{path}.new")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)


def _link(pod_id: str) -> str:
    return f"v-{pod_id}"


def _macs(ip: str) -> tuple[bytes, bytes]:
    """Locally administered addresses of a pod and of its gateway's end."""
    packed = IPv4Address(ip).packed
    return b"\x02\x00" + packed, b"\x02\x01" + packed


def _sysctl(name: str, value: str, *, optional: bool = False) -> None:
    try:
        Path(f"/proc/sys/net/{name}").write_text(value)
    except FileNotFoundError:
        if not optional:
            raise


def _furnish(pod: PodNetwork, gateway_mac: bytes) -> None:
    """Inside the pod: links up, its address, the way to its gateway, low ports for everyone, no IPv6."""
    _sysctl("ipv6/conf/all/disable_ipv6", "1", optional=True)
    _sysctl("ipv6/conf/default/disable_ipv6", "1", optional=True)
    _sysctl("ipv4/ip_unprivileged_port_start", "0")
    _sysctl("ipv4/icmp_ratelimit", "0")
    with Netlink(NETLINK_ROUTE) as route:
        route.ask(netlink.link_up(socket.if_nametoindex("lo")))
        index = socket.if_nametoindex("eth0")
        route.ask(netlink.link_up(index))
        route.ask(netlink.address_add(index, pod.ip))
        route.ask(netlink.neighbour(index, GATEWAY, gateway_mac))
        route.ask(netlink.route("0.0.0.0/0", index, gateway=GATEWAY, source=pod.ip))
