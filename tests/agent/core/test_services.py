from __future__ import annotations

from typing import Any

from meltemi.agent.core.net import ServicePort, Way
from meltemi.agent.core.services import (
    balancer_status,
    control_addresses,
    endpoints_of,
    service_ports,
    ways,
)


def service(name: str, namespace: str = "default", ip: str = "198.19.0.9", **spec: Any) -> dict[str, Any]:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "ports": ports, **spec},
    }


SLICE = {
    "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [
        {"addresses": ["198.18.0.8"]},
        {"addresses": ["198.18.0.7"], "conditions": {"ready": True}},
        {"addresses": ["198.18.0.9"], "conditions": {"ready": False}},
    ],
}
BEHIND = (("198.18.0.7", 8080), ("198.18.0.8", 8080))
INGRESS_SLICE = {
    **SLICE,
    "metadata": {
        "namespace": "istio-system",
        "labels": {"kubernetes.io/service-name": "istio-ingressgateway"},
    },
}


def test_a_cluster_ip_has_its_ready_endpoints() -> None:
    table = service_ports((service("web"),), endpoints_of((SLICE,)), ())
    assert table == (ServicePort("198.19.0.9", 80, BEHIND, "tcp"),)


def test_a_service_without_endpoints_refuses_and_headless_has_no_address() -> None:
    table = service_ports((service("other"), service("headless", ip="None")), endpoints_of((SLICE,)), ())
    assert table == (ServicePort("198.19.0.9", 80, (), "tcp"),)


def test_what_the_control_plane_answers_is_not_in_the_table() -> None:
    kubernetes = service("kubernetes", ip="198.19.0.1", ports=[{"name": "https", "port": 443}])
    control = control_addresses((kubernetes,), {("default", "kubernetes", 443): "/run/apis.sock"})
    assert control == {("198.19.0.1", 443): "/run/apis.sock"}
    assert service_ports((kubernetes,), {}, control) == ()


def test_the_ingress_gateways_ways_are_named_by_port() -> None:
    gateway = service("istio-ingressgateway", "istio-system", type="LoadBalancer")
    made = ways((gateway,), endpoints_of((INGRESS_SLICE,)), {}, {})
    assert made.into == {"ingress/80": Way(0, BEHIND)}


def test_other_balancers_and_node_ports_get_theirs() -> None:
    balanced = service("web", type="LoadBalancer")
    node = service("web", type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}])
    udp = service(
        "dns", type="NodePort", ports=[{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}]
    )
    endpoints = endpoints_of((SLICE,))
    assert ways((balanced,), endpoints, {"default/web:80": 8888}, {}).into == {
        "loadbalancer/default/web/80": Way(8888, BEHIND)
    }
    assert ways((node, udp), endpoints, {}, {}).into == {"nodeport/30080": Way(30080, BEHIND)}


def test_a_balancers_status_shows_the_held_port_once() -> None:
    gateway = service("istio-ingressgateway", "istio-system", type="LoadBalancer")
    wanted = balancer_status(gateway, {"ingress/80": 41234})
    assert wanted == {
        "loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": [{"port": 41234, "protocol": "TCP"}]}]}
    }
    assert balancer_status({**gateway, "status": wanted}, {"ingress/80": 41234}) is None
    assert balancer_status(service("web"), {}) is None
