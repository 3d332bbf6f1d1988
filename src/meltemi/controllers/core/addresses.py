"""Handing out of ClusterIPs and NodePorts: pure, and the same for the same name.

A service's first try is the hash of its namespace and name, then the next free one upwards: a service that is
deleted and made again usually gets its address back, and no dice are needed.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True, slots=True)
class Ranges:
    """What may be handed out. `reserved` addresses are given to nobody who does not ask for them by name."""

    services: str = "198.19.0.0/16"
    first_node_port: int = 30000
    last_node_port: int = 32767
    reserved: tuple[str, ...] = ("198.19.0.1",)

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The services' network."""
        return ipaddress.IPv4Network(self.services)


def static_band(network: ipaddress.IPv4Network) -> int:
    """Count the low addresses kept for those who choose one themselves.

    A sixteenth of the network, between 16 and 256: Kubernetes' rule.
    """
    size = network.num_addresses
    return 0 if size <= 16 else min(max(16, size // 16), 256)


def free_address(ranges: Ranges, namespace: str, name: str, taken: Container[str]) -> str:
    """Choose a free address for a service, empty where none is left.

    The low band is touched only when all else is taken.
    """
    network = ranges.network
    low, first, last = static_band(network), int(network.network_address), int(network.broadcast_address)
    main = around(range(first + max(low, 1), last), zlib.crc32(f"{namespace}/{name}".encode()))
    for value in chain(main, range(first + 1, first + low)):
        address = str(ipaddress.IPv4Address(value))
        if address not in taken and address not in ranges.reserved:
            return address
    return ""


def free_port(ranges: Ranges, key: str, taken: Container[int]) -> int:
    """Choose a free NodePort, 0 where none is left; `key` is what the first try is the hash of."""
    band = range(ranges.first_node_port, ranges.last_node_port + 1)
    for port in around(band, zlib.crc32(key.encode())):
        if port not in taken:
            return port
    return 0


def is_service_address(ranges: Ranges, address: str) -> bool:
    """Say whether an address can be a service's: inside the network, neither its first nor its last."""
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    network = ranges.network
    return parsed in network and parsed not in (network.network_address, network.broadcast_address)


def around(band: range, start: int) -> Iterator[int]:
    """Go once around the band, from a start anywhere."""
    return (band[(start + step) % len(band)] for step in range(len(band)))
