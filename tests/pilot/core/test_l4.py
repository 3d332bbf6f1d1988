"""Filter chains of bytes: what Envoy would take for the same condition is asked once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

DB = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.test]
  addresses: [240.7.0.0/16]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec:
  hosts: [db.test]
  tcp:
  - match: [{destinationSubnets: [240.7.1.2/24, 240.7.9.9/32]}]
    route: [{destination: {host: one.test}}]
  - match: [{destinationSubnets: [240.7.1.0/24, 240.7.9.9]}]
    route: [{destination: {host: two.test}}]
"""


def test_two_ways_to_write_one_range_are_one_condition() -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.2")
    mesh.apply(DB)
    chains = mesh.listeners("client")["0.0.0.0_9000"]["filterChains"]
    found = [
        [f"{one['addressPrefix']}/{one['prefixLen']}" for one in chain["filterChainMatch"]["prefixRanges"]]
        for chain in chains
    ]
    assert found == [["240.7.1.0/24", "240.7.9.9/32"], ["240.7.0.0/16"]]


@pytest.mark.parametrize("addresses", [[], ["240.7.0.0/16"]])
def test_a_port_that_several_ask_for_is_the_older_one_s_whatever_its_namespace_is_called(
    addresses: list[str],
) -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.2")
    for namespace in ("z", "a"):
        spec = {
            "hosts": [f"{namespace}.test"],
            "addresses": addresses,
            "ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}],
            "resolution": "NONE",
        }
        meta = {"name": "x", "namespace": namespace}
        kind = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}
        mesh.put([{**kind, "metadata": meta, "spec": spec}])
    made = mesh.listeners("client")["0.0.0.0_9000"]
    (chain,) = made["filterChains"] if addresses else (made["defaultFilterChain"],)
    assert chain["filters"][-1]["typedConfig"]["cluster"] == "outbound|9000||z.test"
    assert [one.ref.namespace for one in mesh.reports("client") if one.ref is not None] == ["a"]


def slice_of(name: str, namespace: str, address: str) -> list[dict[str, Any]]:
    """A headless Service of somebody, and the endpoint that its owner says it has."""
    meta = {"name": name, "namespace": namespace}
    labels = {"kubernetes.io/service-name": name}
    ports = [{"name": "tcp", "port": 5432}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"clusterIP": "None", "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": labels},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [address]}],
        },
    ]


def test_endpoints_that_a_headless_service_says_it_has_take_nothing_from_others() -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.2")
    spec = {"clusterIP": "198.19.5.5", "ports": [{"name": "tcp", "port": 5432}]}
    meta = {"name": "db", "namespace": "prod"}
    mesh.put([{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}])
    mesh.put(slice_of("pods", "prod", "198.18.0.9"))
    for number, address in enumerate(("198.19.5.5", "198.18.0.9", "198.18.0.10")):
        mesh.put(slice_of(f"x{number}", "a", address))
    found = {
        name: made["filterChains"][-1]["filters"][-1]["typedConfig"]["cluster"]
        for name, made in mesh.listeners("client").items()
        if name.endswith("_5432")
    }
    assert found == {
        "198.19.5.5_5432": "outbound|5432||db.prod.svc.cluster.local",
        "198.18.0.9_5432": "outbound|5432||pods.prod.svc.cluster.local",
        "198.18.0.10_5432": "outbound|5432||x2.a.svc.cluster.local",
    }


def test_nor_do_they_take_the_address_of_a_service_of_http() -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.2")
    spec = {"clusterIP": "198.19.5.5", "ports": [{"name": "http", "port": 5432}]}
    meta = {"name": "web", "namespace": "prod"}
    mesh.put([{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}])
    mesh.put(slice_of("x", "a", "198.19.5.5"))
    assert [name for name in mesh.listeners("client") if name.endswith("_5432")] == ["0.0.0.0_5432"]
