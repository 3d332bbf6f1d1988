"""Several networks: endpoints that a caller does not reach itself have the gateways of their network in their place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.pilot.core.meshes import Mesh

from meltemi.galley.core.meshconfig import mesh_settings
from meltemi.model import facts
from meltemi.model.networks import names_to_find, networks
from meltemi.model.workloads import NETWORK
from meltemi.pilot.core.resource import EDS
from meltemi.pilot.core.roots import roots
from meltemi.query import Change

HOST = "app.test"
NAME = f"outbound|80||{HOST}"
NETWORKS = """
networks:
  near:
    endpoints: [{fromRegistry: Kubernetes}]
    gateways: [{address: 203.0.113.1, port: 15443}]
  far:
    endpoints: [{fromCidr: 10.9.0.0/16}]
    gateways: [{address: 203.0.113.2, port: 15443}, {address: 203.0.113.3, port: 15443}]
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [app.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
"""
MUTUAL = "labels: {security.istio.io/tlsMode: istio}"


def mesh_of(*endpoints: str, text: str = NETWORKS) -> Mesh:
    """Build a mesh of a client and a host with these endpoints, and tell it of networks."""
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.2")
    mesh.apply(ENTRY + "".join(f"  - {{{one}}}\n" for one in endpoints))
    tell(mesh, text)
    return mesh


def tell(mesh: Mesh, text: str) -> None:
    read = mesh_settings({"metadata": {"name": "istio"}, "data": {"meshNetworks": text}})
    assert not read.findings, read.findings
    mesh.engine.apply(read.changes)


def seen(mesh: Mesh, client: str = "client") -> dict[str, int]:
    """Return the weight of each endpoint by its address."""
    return {
        "{address}:{portValue}".format(**one["endpoint"]["address"]["socketAddress"]): one[
            "loadBalancingWeight"
        ]
        for group in mesh.messages(EDS, client)[NAME].get("endpoints", ())
        for one in group["lbEndpoints"]
    }


def test_with_one_network_all_endpoints_are_in_reach() -> None:
    mesh = mesh_of(f"address: 10.0.0.1, network: far, {MUTUAL}", text="networks: {}")
    assert seen(mesh) == {"10.0.0.1:80": 1}
    assert mesh.view("client").network == ""


def test_gateways_share_the_weight_of_the_endpoints_behind_them() -> None:
    mesh = mesh_of(
        f"address: 10.0.0.1, weight: 3, {MUTUAL}",
        f"address: 10.0.0.2, network: far, weight: 4, {MUTUAL}",
        f"address: 10.0.0.3, network: far, weight: 1, {MUTUAL}",
    )
    # Twice as much each, for two gateways share what is far.
    assert seen(mesh) == {"10.0.0.1:80": 6, "203.0.113.2:15443": 5, "203.0.113.3:15443": 5}
    groups = mesh.messages(EDS, "client")[NAME]["endpoints"]
    assert [group["loadBalancingWeight"] for group in groups] == [16]
    far = [one for one in groups[0]["lbEndpoints"] if one["loadBalancingWeight"] == 5]
    modes = [one["metadata"]["filterMetadata"]["envoy.transport_socket_match"]["tlsMode"] for one in far]
    assert modes == ["istio", "istio"]


def test_many_gateways_of_others_make_no_weights_that_an_envoy_refuses() -> None:
    mesh = mesh_of(*(f"address: 10.0.0.{last}, network: near, {MUTUAL}" for last in (1, 2)))
    for index, count in enumerate((101, 103, 107, 109, 113)):
        meta = {"name": f"g{index}", "namespace": "tenant", "labels": {NETWORK: f"theirs-{index}"}}
        spec = {
            "ports": [{"port": 1}],
            "externalIPs": [f"10.{index}.0.{last}" for last in range(1, count + 1)],
        }
        mesh.put([{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}])
    weights = seen(mesh)
    assert set(weights) == {"10.0.0.1:80", "10.0.0.2:80"}
    assert sum(weights.values()) < 2**32


def test_what_does_no_mutual_tls_is_left_out_elsewhere() -> None:
    mesh = mesh_of("address: 10.0.0.1", "address: 10.0.0.2, network: far")
    assert seen(mesh) == {"10.0.0.1:80": 2}


@pytest.mark.parametrize(
    ("mode", "reached"),
    [("DISABLE", False), ("ISTIO_MUTUAL", True), ("SIMPLE, caCertificates: /ca.pem", False)],
)
def test_a_rule_says_whether_there_is_mutual_tls(mode: str, reached: bool) -> None:
    mesh = mesh_of(f"address: 10.0.0.1, network: far, {MUTUAL}")
    mesh.apply(
        f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app}}
spec: {{host: {HOST}, trafficPolicy: {{tls: {{mode: {mode}}}}}}}
"""
    )
    assert set(seen(mesh)) == ({"203.0.113.2:15443", "203.0.113.3:15443"} if reached else set())


def test_a_workload_that_only_its_gateways_know_needs_no_address() -> None:
    mesh = mesh_of(f"network: far, {MUTUAL}", f"network: unknown, {MUTUAL}")
    assert seen(mesh) == {"203.0.113.2:15443": 1, "203.0.113.3:15443": 1}
    # On its own network nobody can do anything with it.
    mesh.pod("there", ip="198.18.0.3", labels={"topology.istio.io/network": "far", "app": "there"})
    assert seen(mesh, "there") == {}
    tell(mesh, NETWORKS.replace("203.0.113.2", "far.test").replace("203.0.113.3", "far.test"))
    assert seen(mesh) == {}


def test_a_caller_of_no_network_reaches_what_has_an_address() -> None:
    text = NETWORKS.replace("fromRegistry: Kubernetes", "fromCidr: 198.51.100.0/24")
    mesh = mesh_of(f"network: far, {MUTUAL}", f"address: 10.0.0.1, network: far, {MUTUAL}", text=text)
    assert mesh.view("client").network == ""
    assert seen(mesh) == {"10.0.0.1:80": 1}


def test_networks_without_gateways_are_in_reach() -> None:
    mesh = mesh_of(f"address: 10.0.0.1, network: other, {MUTUAL}")
    assert seen(mesh) == {"10.0.0.1:80": 2}


def test_a_label_an_address_and_the_root_namespace_tell_the_network() -> None:
    mesh = mesh_of(
        f"address: 10.9.0.1, {MUTUAL}",
        text=NETWORKS.replace("fromRegistry: Kubernetes", "fromCidr: 198.18.0.0/16"),
    )
    assert mesh.view("client").network == "near"
    assert set(seen(mesh)) == {"203.0.113.2:15443", "203.0.113.3:15443"}
    mesh.pod("labelled", ip="198.18.0.3", labels={"topology.istio.io/network": "far", "app": "labelled"})
    assert set(seen(mesh, "labelled")) == {"10.9.0.1:80"}
    mesh.apply(
        """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: far}}
"""
    )
    assert mesh.view("client").network == "far"


def test_pods_of_other_networks_are_reached_by_their_gateways() -> None:
    mesh = mesh_of("address: 10.0.0.1")
    mesh.service("there")
    mesh.pod("there", ip="198.18.0.3", labels={"topology.istio.io/network": "far", "app": "there"})
    there = "outbound|80||there.default.svc.cluster.local"
    assert mesh.endpoints("client")[there] == ["203.0.113.2:15443", "203.0.113.3:15443"]
    assert mesh.endpoints("there")[there] == ["198.18.0.3:80"]
    # What the name of mutual TLS asks for leads on from there.
    match = mesh.clusters("client")[there]["transportSocketMatches"][0]["transportSocket"]["typedConfig"]
    assert match["sni"] == "outbound_.80_._.there.default.svc.cluster.local"


def test_a_service_of_the_registry_is_a_gateway_by_its_external_addresses() -> None:
    mesh = mesh_of(
        f"address: 10.0.0.1, network: far, {MUTUAL}",
        text="""
networks:
  near: {endpoints: [{fromRegistry: Kubernetes}], gateways: []}
  far:
    endpoints: [{fromCidr: 10.9.0.0/16}]
    gateways: [{registryServiceName: east.istio-system.svc.cluster.local, port: 443}]
""",
    )
    assert seen(mesh) == {"10.0.0.1:80": 1}
    spec = {"externalIPs": ["203.0.113.9"], "ports": [{"port": 443, "name": "tls"}]}
    meta: dict[str, Any] = {"name": "east", "namespace": "istio-system"}
    mesh.put([{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}])
    assert seen(mesh) == {"203.0.113.9:443": 1}
    # A load balancer's addresses count as well; its names when they are found.
    spec = {"type": "LoadBalancer", "ports": [{"port": 443, "name": "tls"}]}
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}, {"hostname": "East.test"}]}}
    mesh.put([{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": status}])
    assert seen(mesh) == {"203.0.113.8:443": 1}
    assert mesh.engine.get(names_to_find) == ("east.test",)
    mesh.engine.apply([Change(facts.RESOLVED, "", "east.test", ("203.0.113.7",))])
    assert seen(mesh) == {"203.0.113.7:443": 1, "203.0.113.8:443": 1}


EAST = """
apiVersion: v1
kind: Service
metadata: {name: east, namespace: istio-system, labels: {topology.istio.io/network: far}}
spec: {type: LoadBalancer, ports: [{port: 15443, name: tls}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.8}]}}
"""


def test_a_service_is_a_gateway_by_its_label() -> None:
    mesh = mesh_of(
        f"address: 10.0.0.1, network: far, {MUTUAL}", f"address: 10.0.0.2, network: near, {MUTUAL}", text=""
    )
    before = mesh.roots("client")
    mesh.apply(
        """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: near}}
"""
    )
    mesh.apply(EAST)
    assert mesh.view("client").network == "near"
    assert seen(mesh) == {"10.0.0.2:80": 1, "203.0.113.8:15443": 1}
    mesh.apply(EAST.replace("network: far", "network: far, networking.istio.io/gatewayPort: '443'"))
    assert seen(mesh) == {"10.0.0.2:80": 1, "203.0.113.8:443": 1}
    mesh.apply(EAST.replace("network: far", "network: far, networking.istio.io/gatewayPort: many"))
    assert seen(mesh) == {"10.0.0.2:80": 1, "203.0.113.8:15443": 1}
    (told,) = mesh.engine.reports(networks)
    assert (told.code.id, str(told.ref)) == ("MEL0213", "service istio-system/east")
    assert told.path == 'metadata.labels["networking.istio.io/gatewayPort"]'
    mesh.delete("Service", "east", "istio-system")
    mesh.delete("Namespace", "istio-system", "")
    assert mesh.roots("client") == before


def test_a_label_goes_before_what_mesh_networks_say_of_a_service() -> None:
    mesh = mesh_of(
        f"address: 10.0.0.1, network: far, {MUTUAL}",
        text="""
networks:
  near: {endpoints: [{fromRegistry: Kubernetes}], gateways: []}
  far: {endpoints: [], gateways: [{registryServiceName: east.istio-system.svc.cluster.local, port: 9}]}
""",
    )
    mesh.apply(EAST)
    assert seen(mesh) == {"203.0.113.8:15443": 1}


def test_a_gateway_by_a_name_is_where_the_name_was_found_last() -> None:
    mesh = mesh_of(f"address: 10.0.0.1, network: far, {MUTUAL}")
    tell(mesh, NETWORKS.replace("203.0.113.2", "Far.test"))
    assert mesh.engine.get(names_to_find) == ("far.test",)
    mesh.engine.apply([Change(facts.RESOLVED, "", "far.test", ("203.0.113.4", "203.0.113.5"))])
    assert set(seen(mesh)) == {f"203.0.113.{number}:15443" for number in (3, 4, 5)}
    assert not mesh.engine.reports(networks)


def test_who_passes_mutual_tls_on_reaches_its_own_network_and_the_gateways_of_others() -> None:
    text = NETWORKS.replace("fromRegistry: Kubernetes", "fromCidr: 198.51.100.0/24")
    mesh = mesh_of(
        f"address: 10.0.0.1, network: near, {MUTUAL}",
        "address: 10.0.0.2",
        f"network: far, {MUTUAL}",
        text=text,
    )
    labels = {"istio": "eastwest", "topology.istio.io/network": "near"}
    mesh.pod("near", "istio-system", ip="198.18.0.5", labels=labels, gateway=True)
    mesh.pod("none", "istio-system", ip="198.18.0.6", labels={"istio": "eastwest"}, gateway=True)
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: eastwest, namespace: istio-system}
spec:
  selector: {istio: eastwest}
  servers:
  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: ["*.test"], tls: {mode: AUTO_PASSTHROUGH}}
"""
    )
    name = "outbound_.80_._.app.test"
    gateways = ["203.0.113.2:15443", "203.0.113.3:15443"]
    assert mesh.endpoints("near", "istio-system")[name] == ["10.0.0.1:80", *gateways]
    assert mesh.endpoints("none", "istio-system")[name] == ["10.0.0.1:80"]


def test_a_gateway_without_an_address_is_told() -> None:
    mesh = mesh_of(f"address: 10.0.0.1, network: far, {MUTUAL}")
    declared = yaml.safe_load(NETWORKS)
    declared["networks"]["far"]["gateways"][0]["address"] = "far.test"
    tell(mesh, yaml.safe_dump(declared))
    assert seen(mesh) == {"203.0.113.3:15443": 1}
    (told,) = mesh.engine.reports(networks)
    assert (told.code.id, str(told.ref)) == ("MEL0120", "configmap istio-system/istio")
    assert told.path == "data.meshNetworks.networks.far.gateways[0]"


def test_callers_of_one_network_share_what_is_made() -> None:
    mesh = mesh_of(f"address: 10.0.0.1, network: far, {MUTUAL}")
    for number, network in enumerate(("near", "far", "far")):
        labels = {"topology.istio.io/network": network, "app": "c"}
        mesh.pod(f"c-{number}", ip=f"198.18.4.{number}", labels=labels)
    for client in ("client", "c-0", "c-1", "c-2"):
        mesh.engine.hold(roots, mesh.view(client))
    mesh.engine.refresh()
    assert mesh.engine.memos()["pilot.core.assignments.load_assignments"] == 2
