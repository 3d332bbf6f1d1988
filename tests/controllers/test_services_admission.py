"""A Service's admission: defaults, and addresses that are never handed out twice."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meltemi.controllers.core.addresses import (
    Ranges,
    free_address,
    free_port,
    is_service_address,
    static_band,
)
from meltemi.controllers.core.services import admit, default_service

TINY = Ranges("10.9.0.0/28", 30000, 30003, ("10.9.0.1",))


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name},
        "spec": spec,
    }


def codes(found: tuple[Any, ...]) -> list[str]:
    return [diagnostic.code.name for diagnostic in found]


def test_defaults_are_those_of_kubernetes() -> None:
    given_service = service(
        "cart", ports=[{"port": 80}, {"name": "b", "port": 81, "targetPort": "web", "protocol": "UDP"}]
    )
    before = copy.deepcopy(given_service)
    made, found = admit(given_service, None, [])
    assert found == ()
    assert given_service == before
    spec = made["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["sessionAffinity"] == "None"
    assert spec["ipFamilies"] == ["IPv4"]
    assert spec["ports"] == [
        {"port": 80, "protocol": "TCP", "targetPort": 80},
        {"name": "b", "port": 81, "targetPort": "web", "protocol": "UDP"},
    ]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert is_service_address(Ranges(), spec["clusterIP"])


def test_client_affinity_gets_its_timeout() -> None:
    made = default_service(service("cart", sessionAffinity="ClientIP"))
    assert made["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_an_external_name_has_no_address() -> None:
    made, found = admit(service("out", type="ExternalName", externalName="example.org"), None, [])
    assert found == ()
    assert "clusterIP" not in made["spec"]
    assert "ipFamilies" not in made["spec"]


def test_headless_stays_headless() -> None:
    made, found = admit(service("db", clusterIP="None", ports=[{"port": 1}]), None, [])
    assert found == ()
    assert made["spec"]["clusterIP"] == "None"
    assert made["spec"]["clusterIPs"] == ["None"]


def test_an_address_that_is_taken_outside_or_no_address_is_refused() -> None:
    other, _ = admit(service("a", clusterIP="198.19.7.7"), None, [])
    assert codes(admit(service("b", clusterIP="198.19.7.7"), None, [other])[1]) == ["cluster-ip-taken"]
    for bad in ("10.0.0.1", "198.19.0.0", "198.19.255.255", "nonsense", "198.19.1"):
        assert codes(admit(service("b", clusterIP=bad), None, [])[1]) == ["cluster-ip-outside"], bad


def test_a_replacement_keeps_what_was_allocated() -> None:
    old, _ = admit(service("a", type="NodePort", ports=[{"port": 80}]), None, [])
    fresh, found = admit(
        service("a", type="NodePort", ports=[{"port": 80}, {"port": 81, "name": "x"}]), old, [old]
    )
    assert found == ()
    assert fresh["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert fresh["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]
    assert fresh["spec"]["ports"][1]["nodePort"] != old["spec"]["ports"][0]["nodePort"]


def test_an_address_cannot_change() -> None:
    old, _ = admit(service("a"), None, [])
    assert codes(admit(service("a", clusterIP="198.19.200.200"), old, [old])[1]) == ["cluster-ip-fixed"]
    assert codes(admit(service("a", clusterIP="None"), old, [old])[1]) == ["cluster-ip-fixed"]


def test_a_service_that_becomes_external_gives_its_address_back() -> None:
    old, _ = admit(service("a"), None, [])
    external = {**old, "spec": {**old["spec"], "type": "ExternalName", "externalName": "example.org"}}
    made, found = admit(external, old, [old])
    assert found == ()
    assert "clusterIP" not in made["spec"]


def test_node_ports_go_back_when_the_type_no_longer_has_them() -> None:
    old, _ = admit(service("a", type="NodePort", ports=[{"port": 80}]), None, [])
    changed = {**old, "spec": {**old["spec"], "type": "ClusterIP"}}
    made, found = admit(changed, old, [old])
    assert found == ()
    assert "nodePort" not in made["spec"]["ports"][0]


def test_node_ports_are_checked() -> None:
    other, _ = admit(service("a", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]), None, [])
    cases = {
        "node-port-taken": service("b", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]),
        "node-port-outside": service("b", type="NodePort", ports=[{"port": 80, "nodePort": 80}]),
        "node-port-unused": service("b", ports=[{"port": 80, "nodePort": 30081}]),
    }
    for name, document in cases.items():
        assert codes(admit(document, None, [other])[1]) == [name]
    twice = service(
        "b", type="NodePort", ports=[{"port": 80, "nodePort": 31000}, {"port": 81, "nodePort": 31000}]
    )
    found = admit(twice, None, [other])[1]
    assert codes(found) == ["node-port-taken"]
    assert found[0].path == "spec.ports[1].nodePort"


def test_a_load_balancer_may_do_without_node_ports() -> None:
    made, _ = admit(service("a", type="LoadBalancer", ports=[{"port": 80}]), None, [])
    assert made["spec"]["ports"][0]["nodePort"] >= 30000
    made, _ = admit(
        service("a", type="LoadBalancer", allocateLoadBalancerNodePorts=False, ports=[{"port": 80}]), None, []
    )
    assert "nodePort" not in made["spec"]["ports"][0]


def test_what_is_used_up_is_said() -> None:
    taken: list[dict[str, Any]] = []
    for number in range(13):  # a /28 has 14 addresses, one is reserved
        made, found = admit(service(f"s{number}"), None, taken, TINY)
        assert found == ()
        taken.append(made)
    assert codes(admit(service("late"), None, taken, TINY)[1]) == ["cluster-ips-used-up"]
    ports = service("many", type="NodePort", ports=[{"port": number} for number in range(1, 6)])
    assert codes(admit(ports, None, [], TINY)[1]) == ["node-ports-used-up"]


def test_the_reserved_address_goes_to_who_asks_for_it() -> None:
    made, found = admit(service("kubernetes", clusterIP="198.19.0.1"), None, [])
    assert found == ()
    assert made["spec"]["clusterIP"] == "198.19.0.1"


NAMES = st.sampled_from([f"s{number}" for number in range(20)])
STEPS = st.lists(
    st.tuples(
        NAMES, st.sampled_from(["make", "drop"]), st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"])
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS)
def test_nothing_is_handed_out_twice(steps: list[tuple[str, str, str]]) -> None:
    there: dict[str, dict[str, Any]] = {}
    for name, act, kind in steps:
        if act == "drop":
            there.pop(name, None)
            continue
        made, found = admit(
            service(name, type=kind, ports=[{"port": 80}]),
            there.get(name),
            there.values(),
            Ranges("10.9.0.0/27", 30000, 30040),
        )
        assert found == ()
        there[name] = made
        addresses = [row["spec"]["clusterIP"] for row in there.values()]
        assert len(set(addresses)) == len(addresses)
        numbers = [
            port["nodePort"] for row in there.values() for port in row["spec"]["ports"] if "nodePort" in port
        ]
        assert len(set(numbers)) == len(numbers)


@settings(deadline=None)
@given(STEPS)
def test_admission_is_idempotent(steps: list[tuple[str, str, str]]) -> None:
    for name, _, kind in steps[:3]:
        made, _ = admit(service(name, type=kind, ports=[{"port": 80}]), None, [])
        assert admit(made, made, [made]) == (made, ())


@settings(deadline=None)
@given(st.text("abc", min_size=1, max_size=3), st.sets(st.integers(0, 255)))
def test_a_chosen_address_is_free_and_in_range(name: str, low: set[int]) -> None:
    ranges = Ranges("10.9.4.0/24", reserved=("10.9.4.1",))
    taken = {f"10.9.4.{number}" for number in low}
    chosen = free_address(ranges, "ns", name, taken)
    if chosen:
        assert chosen not in taken
        assert is_service_address(ranges, chosen)
        assert chosen != "10.9.4.1"
        free_above = set(range(max(static_band(ranges.network), 1), 255)) - low
        if free_above:
            assert int(chosen.rpartition(".")[2]) in free_above
    else:
        assert set(range(2, 255)) <= low


def test_the_same_name_gets_the_same_address() -> None:
    assert free_address(Ranges(), "a", "b", ()) == free_address(Ranges(), "a", "b", ())
    assert free_port(Ranges(), "a/b/80", ()) == free_port(Ranges(), "a/b/80", ())
