"""Rules of Envoy that hold for a resource as a whole: each patch may be right, and what they make together be refused.

What is cheap to look for is found here, and the patch that breaks a rule is left out by itself. All else is found by
trying (`shell.trials`), where nothing of what an EnvoyFilter makes is in force until all of it is good. Tried with an
Envoy: two virtual hosts may have one name, and so may two chains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_network
from itertools import product
from math import prod
from typing import TypeVar

from envoy.config.core.v3.address_pb2 import Address, CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from meltemi.envoy import filters
from meltemi.envoy.listeners import HTTP_CONNECTION_MANAGER, TCP_PROXY

T = TypeVar("T")
_MOST = 4096
"""So many ways to match a chain are told apart; what has more is left to trials."""


def kept(patches: Sequence[T], fault_of: Callable[[list[T]], str]) -> tuple[list[T], list[tuple[T, str]]]:
    """Take patches in their order, but for each with which there is a fault: those left, and those left out with it.

    Asked only where all together are at fault; where there is a fault without any, it is not theirs and all are left.
    """
    if fault_of([]):
        return list(patches), []
    left: list[T] = []
    out: list[tuple[T, str]] = []
    for one in patches:
        fault = fault_of([*left, one])
        if fault:
            out.append((one, fault))
        else:
            left.append(one)
    return left, out


# Routes.


def domains_of(hosts: Iterable[VirtualHost]) -> list[str]:
    """List the domains of virtual hosts, as Envoy tells them apart."""
    return [domain.lower() for host in hosts for domain in host.domains]


def repeated(domains: Iterable[str]) -> str:
    """Say which domain is there twice, "" for none."""
    seen: set[str] = set()
    for one in domains:
        if one in seen:
            return f"two virtual hosts have the domain {one}, and Envoy takes a domain once"
        seen.add(one)
    return ""


# Listeners.


def addresses_of(listener: Listener) -> list[str]:
    """List the addresses of a listener: no other may have any of them, bound or not."""
    more = [one.address for one in listener.additional_addresses]
    every = [listener.address, *more] if listener.HasField("address") else more
    return [_address(one) for one in every if one.HasField("socket_address") or one.HasField("pipe")]


def _address(one: Address) -> str:
    socket = one.socket_address
    return one.pipe.path or f"{socket.Protocol.Name(socket.protocol)} {socket.address}:{socket.port_value}"


def listener_fault(listener: Listener) -> str:
    """Say what Envoy would refuse of a listener as a whole, "" for nothing."""
    if listener.HasField("api_listener") or listener.HasField("udp_listener_config"):
        return ""
    chains = list(listener.filter_chains)
    ends = [*chains, *((listener.default_filter_chain,) if listener.HasField("default_filter_chain") else ())]
    if not ends:
        return "the listener is left without filter chains"
    if not listener.HasField("filter_chain_matcher") and (fault := _overlap(chains)):
        return fault
    return next((fault for one in ends if (fault := _chain_fault(one))), "")


def _overlap(chains: Sequence[FilterChain]) -> str:
    """Say which chains may be for one connection alike."""
    seen: dict[tuple[object, ...], FilterChain] = {}
    for chain in chains:
        parts = _parts(chain.filter_chain_match)
        if prod(map(len, parts)) + len(seen) > _MOST:
            return ""
        for way in product(*parts):
            if way in seen:
                first, second = (f'"{one.name}"' for one in (seen[way], chain))
                return f"the filter chains {first} and {second} match the same connections"
            seen[way] = chain
    return ""


def _parts(match: FilterChainMatch) -> tuple[Sequence[object], ...]:
    """List what a chain matches, by criterion."""
    return (
        (match.destination_port.value if match.HasField("destination_port") else None,),
        _ranges(match.prefix_ranges),
        [one.lower() for one in match.server_names] or (None,),
        (match.transport_protocol,),
        list(match.application_protocols) or (None,),
        _ranges(match.direct_source_prefix_ranges),
        (match.source_type,),
        _ranges(match.source_prefix_ranges),
        list(match.source_ports) or (None,),
    )


def _ranges(given: Sequence[CidrRange]) -> Sequence[object]:
    found: list[object] = []
    for one in given:
        try:
            found.append(ip_network(f"{one.address_prefix}/{one.prefix_len.value}", strict=False))
        except ValueError:
            # Envoy has its own words for it.
            found.append((one.address_prefix, one.prefix_len.value))
    return found or (None,)


def _chain_fault(chain: FilterChain) -> str:
    """Say what is wrong with the filters of a chain, and of the connection managers among them."""
    for index, one in enumerate(chain.filters):
        if one.name in (HTTP_CONNECTION_MANAGER, TCP_PROXY) and index < len(chain.filters) - 1:
            return f"behind {one.name}, which ends a chain, stands another filter"
        manager = HttpConnectionManager()
        if one.name == HTTP_CONNECTION_MANAGER and one.typed_config.Unpack(manager):
            listed = [each.name for each in manager.http_filters]
            if filters.ROUTER in listed[:-1]:
                return f"behind {filters.ROUTER}, which ends the HTTP filters, stands another"
            if fault := repeated(domains_of(manager.route_config.virtual_hosts)):
                return fault
    return ""
