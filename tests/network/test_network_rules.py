"""The rules and messages of the private network as values: what is said to the kernel."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.agent.core import netlink
from meltemi.agent.core.capture import Capture
from meltemi.agent.core.net import (
    Addresses,
    Bound,
    PodNetwork,
    ServicePort,
    loopback_only,
    offered_ports,
    pod_network,
)
from meltemi.agent.core.net_rules import mesh_rules, pod_rules

ADDRESSES = Addresses()
POD = PodNetwork("abc", "198.18.0.2")


def rules(calls: tuple[netlink.Call, ...]) -> list[bytes]:
    """Bodies of the calls that make rules."""
    return [call.body for call in calls if call.kind == 10 << 8 | 6]


def sizes(calls: tuple[netlink.Call, ...]) -> list[int]:
    return [call.kind & 0xFF for call in calls]


def test_a_batch_has_its_envelope_and_empties_before_it_fills() -> None:
    kinds = sizes(pod_rules(POD, ADDRESSES))
    assert kinds[0] == 16
    assert kinds[-1] == 17
    new_table, new_chain, new_rule, delete_rule = 0, 3, 6, 8
    order = kinds[1:-1]
    assert order == sorted(order, key=[new_table, new_chain, delete_rule, new_rule].index)
    assert order.count(delete_rule) == order.count(new_chain) == 3


def test_a_pod_without_sidecar_captures_nothing() -> None:
    assert rules(pod_rules(replace(POD, sidecar=False), ADDRESSES)) == []


@pytest.mark.parametrize("port", [15008, 15020, 15021, 15090, 2222])
def test_ports_left_alone_return_before_the_redirect(port: int) -> None:
    found = rules(pod_rules(replace(POD, capture=Capture(not_inbound=(2222,))), ADDRESSES))
    inbound = [body for body in found if b"prerouting\0" in body]
    at = next(i for i, body in enumerate(inbound) if struct.pack(">H", port) in body)
    redirect = next(i for i, body in enumerate(inbound) if b"redir\0" in body)
    assert at < redirect
    assert struct.pack(">H", 15006) in inbound[redirect]


def test_the_mark_and_not_a_uid_tells_envoys_own_sockets() -> None:
    outbound = [body for body in rules(pod_rules(POD, ADDRESSES)) if b"output\0" in body]
    assert any(struct.pack("=I", 1337) in body and b"redir\0" not in body for body in outbound)
    last = outbound[-1]
    assert b"redir\0" in last
    assert struct.pack(">H", 15001) in last


def test_host_ports_come_before_everything() -> None:
    outbound = [
        body for body in rules(pod_rules(replace(POD, host_ports=(5432,)), ADDRESSES)) if b"output\0" in body
    ]
    assert struct.pack(">H", 5432) in outbound[0]
    assert bytes([198, 18, 255, 254]) in outbound[0]


def test_services_are_grouped_by_their_number_of_endpoints() -> None:
    services = [
        ServicePort("198.19.0.1", 80, (("198.18.0.2", 1),)),
        ServicePort("198.19.0.2", 80, (("198.18.0.2", 1), ("198.18.0.3", 1))),
        ServicePort("198.19.0.3", 53, (("198.18.0.2", 1), ("198.18.0.3", 1)), "udp"),
        ServicePort("198.19.0.4", 80),
    ]
    calls = mesh_rules(ADDRESSES, services)
    drawing = [body for body in rules(calls) if b"numgen\0" in body]
    assert len(drawing) == 2
    assert any(b"services-1\0" in body for body in drawing)
    assert any(b"services-2\0" in body for body in drawing)
    elements = b"".join(call.body for call in calls if call.kind & 0xFF == 12)
    assert bytes([198, 19, 0, 4]) not in elements
    assert elements.count(bytes([198, 19, 0, 2])) == 3


def test_many_endpoints_are_said_in_parts_that_fit() -> None:
    services = [
        ServicePort(f"198.19.{n // 250}.{n % 250}", 80, tuple((f"198.18.0.{k}", 80) for k in range(5)))
        for n in range(1500)
    ]
    calls = mesh_rules(ADDRESSES, services)
    assert max(len(call.body) for call in calls) < 65_000
    assert sum(len(call.encode(1)) for call in calls) < 600_000


def test_answers_are_cut_and_errors_told() -> None:
    good = struct.pack("=IHHIIi", 20, netlink.NLMSG_ERROR, 0, 7, 0, 0)
    bad = struct.pack("=IHHIIi", 20, netlink.NLMSG_ERROR, 0, 8, 0, -17)
    first, second = netlink.answers(good + bad)
    assert (first.sequence, first.error) == (7, 0)
    assert (second.sequence, second.error) == (8, 17)


@given(st.binary(max_size=200))
def test_no_answer_makes_it_run_for_ever(data: bytes) -> None:
    """Broken answers raise or end; a length of nothing does not stand still."""
    try:
        found = list(netlink.answers(data))
    except struct.error:
        return
    assert len(found) <= len(data)


def test_a_route_as_the_kernel_wants_it() -> None:
    call = netlink.route("198.18.0.2/32", 7, source="169.254.1.1")
    family, length, _, _, table, protocol, scope, kind, flags = struct.unpack_from("=BBBBBBBBI", call.body)
    assert (family, length, table, protocol, scope, kind, flags) == (2, 32, 254, 4, 253, 1, 0)
    assert call.body[12:20] == struct.pack("=HH", 8, 1) + bytes([198, 18, 0, 2])
    default = netlink.route("0.0.0.0/0", 7, gateway="169.254.1.1")
    assert struct.unpack_from("=I", default.body, 8)[0] == 4
    assert len(default.encode(1)) % 4 == 0


def test_what_is_bound_on_loopback_only() -> None:
    any6, mapped = bytes(16), bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1])
    listeners = [
        (80, bytes([127, 0, 0, 1])),
        (81, bytes(4)),
        (82, any6),
        (83, mapped),
        (84, bytes([127, 0, 0, 1])),
        (84, bytes([198, 18, 0, 2])),
    ]
    assert loopback_only(listeners) == (
        Bound(80, True),
        Bound(81, False),
        Bound(82, False),
        Bound(83, True),
        Bound(84, False),
    )


def test_services_say_what_pods_offer() -> None:
    found = offered_ports(
        [
            ServicePort("198.19.0.1", 80, (("198.18.0.2", 8080), ("198.18.0.3", 8080))),
            ServicePort("198.19.0.2", 80, (("198.18.0.2", 9090),)),
            ServicePort("198.19.0.3", 53, (("198.18.0.2", 53),), "udp"),
        ]
    )
    assert found == {"198.18.0.2": frozenset({8080, 9090}), "198.18.0.3": frozenset({8080})}


def test_a_pods_note_is_read_back() -> None:
    from dataclasses import asdict

    pod = PodNetwork(
        "a",
        "198.18.0.2",
        False,
        Capture((1,), (2,), (3,), (4,), ("10.0.0.0/8",), ("192.0.2.0/24",)),
        (3,),
        (4,),
        (5,),
    )
    assert pod_network(json.loads(json.dumps(asdict(pod)))) == pod
    with pytest.raises(KeyError):
        pod_network({"id": "a"})
