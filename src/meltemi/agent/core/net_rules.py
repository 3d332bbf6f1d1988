"""The rules of the private network, as nftables values: what a pod captures, what the mesh side carries where.

A pod's rules are Istio's REDIRECT set with two changes: Envoy's own sockets are told by SO_MARK instead of uid (uids
other than one's own do not exist in a rootless user namespace), and loopback listeners and host ports are served.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from meltemi.agent.core.capture import Capture
from meltemi.agent.core.net import (
    GATEWAY,
    INBOUND_PORT,
    INBOUND_SOURCE,
    MARK,
    NOT_CAPTURED_INBOUND,
    OUTBOUND_PORT,
    PLAIN_NAMES,
    WAY_OUT_PORT,
    Addresses,
    Machine,
    PodNetwork,
    ServicePort,
)
from meltemi.agent.core.net_nft import (
    ACCEPT,
    DROP,
    REG,
    RETURN,
    Chain,
    Collection,
    any_of,
    change_elements,
    compare,
    from_address,
    leaving_by,
    lookup,
    marked,
    nat,
    payload,
    protocol,
    redirect,
    reject,
    replace_table,
    tcp,
    to,
    to_address,
    to_port,
    verdict,
)
from meltemi.agent.core.netlink import Call

TABLE = "meltemi"
_DSTNAT, _SRCNAT = -100, 100
_LOOPBACK = 1
_PROTOCOLS = {"tcp": 6, "udp": 17}

Rule = tuple[bytes, ...]


def pod_rules(pod: PodNetwork, addresses: Addresses) -> tuple[Call, ...]:
    """One transaction that makes a pod's own namespace capture as it should."""
    inbound = [*_deliver_from_outside(pod), *(_capture_inbound(pod.capture) if pod.sidecar else ())]
    outbound = [*_host_ports(pod, addresses), *(_capture_outbound(pod) if pod.sidecar else ())]
    leaving = [
        _rule(from_address("127.0.0.0/8"), leaving_by(_LOOPBACK, equal=False), to(pod.ip, source=True))
    ]
    chains = (
        Chain("prerouting", "nat", "prerouting", _DSTNAT, tuple(inbound)),
        Chain("output", "nat", "output", _DSTNAT, tuple(outbound)),
        Chain("postrouting", "nat", "postrouting", _SRCNAT, tuple(leaving) if pod.host_ports else ()),
    )
    return replace_table(TABLE, (), chains)


def machine_rules(machine: Machine | None) -> tuple[Call, ...]:
    """One transaction that makes the network this process is in capture for a workload outside; None: no more.

    As Istio's on a virtual machine, but for the mark (see the module).
    """
    inbound = () if machine is None else tuple(_capture_inbound(machine.capture))
    outbound = () if machine is None else tuple(_machine_outbound(machine))
    chains = (
        Chain("prerouting", "nat", "prerouting", _DSTNAT, inbound),
        Chain("output", "nat", "output", _DSTNAT, outbound),
    )
    return replace_table(TABLE, (), chains)


def _machine_outbound(machine: Machine) -> Iterable[Rule]:
    for address, port in machine.control:
        yield _rule(tcp(), to_address(address), to_port(port), _return())
    yield from _capture_outbound(PodNetwork("", machine.address, capture=machine.capture))


def _rule(*parts: Iterable[bytes]) -> Rule:
    return tuple(expression for part in parts for expression in part)


def _return() -> list[bytes]:
    return [verdict(RETURN)]


def _deliver_from_outside(pod: PodNetwork) -> Iterable[Rule]:
    """What no sidecar delivers goes to a loopback listener by itself."""
    for port in pod.bare_ports:
        yield _rule(tcp(), to_address(pod.ip), to_port(port), to("127.0.0.1"))


def _capture_inbound(capture: Capture) -> Iterable[Rule]:
    if capture.inbound is not None:
        for port in sorted({*capture.inbound} - {*NOT_CAPTURED_INBOUND, *capture.not_inbound}):
            yield _rule(tcp(), to_port(port), redirect(INBOUND_PORT))
        return
    for port in sorted({*NOT_CAPTURED_INBOUND, *capture.not_inbound}):
        yield _rule(tcp(), to_port(port), _return())
    yield _rule(tcp(), redirect(INBOUND_PORT))


def _host_ports(pod: PodNetwork, addresses: Addresses) -> Iterable[Rule]:
    for port in pod.host_ports:
        yield _rule(tcp(), to_address("127.0.0.1"), to_port(port), to(addresses.host))


def _capture_outbound(pod: PodNetwork) -> Iterable[Rule]:
    by_loopback = leaving_by(_LOOPBACK)
    for port in pod.loopback_ports:
        own = (marked(MARK), from_address(INBOUND_SOURCE), to_address(pod.ip), to_port(port))
        yield _rule(by_loopback, tcp(), *own, to("127.0.0.1"))
    yield _rule(by_loopback, from_address(INBOUND_SOURCE), _return())
    # A pod that calls itself through its service's address comes in as from anybody else.
    itself = (tcp(), to_address("127.0.0.1", equal=False), to_port(15008, equal=False), marked(MARK))
    yield _rule(by_loopback, *itself, redirect(INBOUND_PORT))
    yield _rule(by_loopback, _return())
    yield _rule(marked(MARK), _return())
    yield _rule(to_address("127.0.0.1"), _return())
    for server in (GATEWAY, PLAIN_NAMES):
        yield _rule(tcp(), to_address(server), to_port(53), _return())
    yield from _chosen_outbound(pod.capture)


def _chosen_outbound(capture: Capture) -> Iterable[Rule]:
    for port in sorted(set(capture.not_outbound)):
        yield _rule(tcp(), to_port(port), _return())
    for network in capture.not_ranges:
        yield _rule(tcp(), to_address(network), _return())
    for port in sorted(set(capture.outbound)):
        yield _rule(tcp(), to_port(port), redirect(OUTBOUND_PORT))
    if capture.ranges is None:
        yield _rule(tcp(), redirect(OUTBOUND_PORT))
    for network in capture.ranges or ():
        yield _rule(tcp(), to_address(network), redirect(OUTBOUND_PORT))


def mesh_rules(
    addresses: Addresses,
    services: Iterable[ServicePort] = (),
    control: Iterable[tuple[str, int]] = (),
    pods: Iterable[str] = (),
) -> tuple[Call, ...]:
    """One transaction for the mesh's own namespace: ClusterIPs, what is not the mesh's, and what is refused.

    pods: their addresses, for those that reach themselves through a ClusterIP.
    """
    collections, balancing = _balancing(services)
    controls = tuple((_address(address) + _number(port), b"") for address, port in sorted(set(control)))
    selves = tuple((_address(ip) * 2, b"") for ip in sorted(set(pods)))
    collections += [Collection("control", 8, 0, controls), Collection("selves", 8, 0, selves)]
    way_out = to(GATEWAY, WAY_OUT_PORT)
    arriving: list[Rule] = [
        _rule(tcp(), [payload(1, 16, 4), payload(2, 2, 2, REG + 1), lookup("control")], way_out),
        *balancing,
        _rule(to_address(addresses.host), tcp(), way_out),
        _rule(to_address(addresses.pods), [verdict(ACCEPT)]),
        _rule(to_address(addresses.services), [verdict(ACCEPT)]),
        _rule(to_address(GATEWAY), [verdict(ACCEPT)]),
        _rule(to_address(PLAIN_NAMES), [verdict(ACCEPT)]),
        _rule(tcp(), way_out),
    ]
    passing: list[Rule] = [
        # What no pod and no service has is routed to the loopback, to be refused by name: a mere "no route"
        # is not told to UDP clients.
        _rule(leaving_by(_LOOPBACK), tcp(), [reject(reset=True)]),
        _rule(leaving_by(_LOOPBACK), [reject(reset=False)]),
        *(_rule(protocol(number), [verdict(ACCEPT)]) for number in (6, 17, 1)),
        # Nothing but TCP, UDP and ICMP: an SCTP socket would pass by the sidecar.
        _rule([verdict(DROP)]),
    ]
    leaving: list[Rule] = [
        _rule([payload(1, 12, 4), payload(1, 16, 4, REG + 1), lookup("selves")], to(GATEWAY, source=True))
    ]
    # While the agent restarts nobody listens for names: silence makes resolvers ask again in a second, an
    # ICMP "port unreachable" (type 3, code 3; who was asked is in the packet it quotes) would fail the lookup.
    silent: list[Rule] = [
        _rule(
            protocol(1),
            [payload(2, 0, 2), compare(b"\x03\x03")],
            [payload(2, 24, 4), compare(_address(server))],
            [payload(2, 30, 2), compare(b"\x00\x35")],
            [verdict(DROP)],
        )
        for server in (GATEWAY, PLAIN_NAMES)
    ]
    chains = (
        Chain("prerouting", "nat", "prerouting", _DSTNAT, tuple(arriving)),
        Chain("output", "filter", "output", 0, tuple(silent)),
        Chain("forward", "filter", "forward", 0, tuple(passing)),
        Chain("postrouting", "nat", "postrouting", _SRCNAT, tuple(leaving)),
    )
    return replace_table(TABLE, collections, chains)


def pod_came(ip: str) -> tuple[Call, ...]:
    """One transaction: this pod may reach itself through a ClusterIP."""
    return change_elements(TABLE, "selves", new=[_address(ip) * 2])


def pod_went(ip: str) -> tuple[Call, ...]:
    """One transaction: nobody has this address any more."""
    return change_elements(TABLE, "selves", gone=[_address(ip) * 2])


def _balancing(services: Iterable[ServicePort]) -> tuple[list[Collection], list[Rule]]:
    """Services grouped by their number of endpoints: one rule each draws one and looks it up in one map.

    The map's key is (ClusterIP, port, protocol, number of the endpoint), each in a word of its own.
    """
    by_count: dict[int, list[bytes]] = {}
    endpoints: dict[bytes, bytes] = {}
    for service in _distinct(services).values():
        if not service.endpoints:
            continue
        number = _PROTOCOLS[service.protocol]
        front = _address(service.address) + _number(service.port)
        count = len(service.endpoints)
        by_count.setdefault(count, []).append(front + _byte(number))
        for index, (ip, port) in enumerate(service.endpoints):
            key = front + _byte(number) + struct.pack("=I", index)
            endpoints[key] = _address(ip) + _number(port)
    collections = [Collection("endpoints", 16, 8, tuple(sorted(endpoints.items())))]
    rules = []
    for count, fronts in sorted(by_count.items()):
        name = f"services-{count}"
        collections.append(Collection(name, 12, 0, tuple((front, b"") for front in sorted(fronts))))
        load = [payload(1, 16, 4), payload(2, 2, 2, REG + 1), payload(1, 9, 1, REG + 2)]
        draw = [any_of(count, REG + 3), lookup("endpoints", result=REG), nat(REG, REG + 1)]
        rules.append(_rule([*load, lookup(name), *draw]))
    return collections, rules


def _distinct(services: Iterable[ServicePort]) -> Mapping[tuple[str, int, str], ServicePort]:
    return {(service.address, service.port, service.protocol): service for service in services}


def _address(value: str) -> bytes:
    return IPv4Address(value).packed


def _number(port: int) -> bytes:
    return struct.pack(">H", port) + b"\0\0"


def _byte(number: int) -> bytes:
    return bytes([number, 0, 0, 0])
