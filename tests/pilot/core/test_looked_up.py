"""ServiceEntries of resolution DYNAMIC_DNS: names looked up by request."""

from __future__ import annotations

from typing import Any

from tests.pilot.core.meshes import Mesh

HTTP = "envoy.filters.http.dynamic_forward_proxy"
SNI = "envoy.filters.network.sni_dynamic_forward_proxy"


def mesh_of(*hosts: str, protocol: str = "HTTP") -> Mesh:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.4")
    mesh.service("plain", ports={"http": 80, "http-alt": 81})
    for index, host in enumerate(hosts):
        mesh.apply(f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: dyn{index}}}
spec:
  hosts: ["{host}"]
  ports: [{{number: 80, name: p, protocol: {protocol}}}]
  resolution: DYNAMIC_DNS
""")
    return mesh


def lookups(listener: dict[str, Any]) -> list[str]:
    """The caches of the filters of a listener, of which each stands right before what sends on."""
    found = []
    for chain in listener["filterChains"]:
        network = chain["filters"]
        found += [one["typedConfig"]["dnsCacheConfig"]["name"] for one in network if one["name"] == SNI]
        filters = network[-1]["typedConfig"].get("httpFilters", [])
        names = [one["name"] for one in filters if one["name"] != HTTP]
        assert not names or names[-1] == "envoy.filters.http.router"
        found += [one["typedConfig"]["dnsCacheConfig"]["name"] for one in filters if one["name"] == HTTP]
    return found


def test_a_listener_looks_up_names_of_its_port_alone() -> None:
    mesh = mesh_of("*.a.example", "*.b.example")
    listeners = mesh.listeners("client")
    assert lookups(listeners["0.0.0.0_80"]) == ["*.a.example_dfp_dns_cache", "*.b.example_dfp_dns_cache"]
    assert lookups(listeners["0.0.0.0_81"]) == []
    mesh.delete("ServiceEntry", "dyn0")
    assert lookups(mesh.listeners("client")["0.0.0.0_80"]) == ["*.b.example_dfp_dns_cache"]


def test_the_filter_and_the_cluster_have_one_cache() -> None:
    mesh = mesh_of("*.a.example")
    mesh.setting("dnsRefreshRate", 7.0)
    cluster = mesh.clusters("client")["outbound|80||*.a.example"]
    config = cluster["clusterType"]["typedConfig"]
    assert cluster["lbPolicy"] == "CLUSTER_PROVIDED"
    assert config["dnsCacheConfig"] == {
        "name": "*.a.example_dfp_dns_cache_7s",
        "dnsLookupFamily": "V4_ONLY",
        "dnsRefreshRate": "7s",
    }
    assert "outbound|80||*.a.example" not in mesh.endpoints("client")
    chain = next(
        one for one in mesh.listeners("client")["0.0.0.0_80"]["filterChains"] if one["name"] == "0.0.0.0_80"
    )
    (found,) = [one for one in chain["filters"][-1]["typedConfig"]["httpFilters"] if one["name"] == HTTP]
    assert found["typedConfig"]["dnsCacheConfig"] == config["dnsCacheConfig"]


def test_tls_is_looked_up_by_the_name_it_asks_for() -> None:
    mesh = mesh_of("*.a.example", protocol="TLS")
    (chain,) = [
        one for one in mesh.listeners("client")["0.0.0.0_80"]["filterChains"] if SNI in str(one["filters"])
    ]
    assert chain["filterChainMatch"]["serverNames"] == ["*.a.example"]
    assert [one["name"] for one in chain["filters"]] == [SNI, "envoy.filters.network.tcp_proxy"]
    assert chain["filters"][0]["typedConfig"]["portValue"] == 80
