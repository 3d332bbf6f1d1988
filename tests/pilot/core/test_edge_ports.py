"""What gateways open: addresses, servers that share a port, names that are kept, and AUTO_PASSTHROUGH."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core.findings import PORT_CONFLICT

MTLS = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"]


@pytest.fixture
def mesh() -> Mesh:
    made = Mesh()
    made.pod("gw", ip="198.18.0.9", labels={"gw": "x"}, gateway=True)
    return made


def server(
    protocol: str = "HTTP", number: int = 80, hosts: tuple[str, ...] = ("*",), **more: Any
) -> dict[str, Any]:
    name = f"p{len(protocol)}{number}{abs(hash((hosts, str(more))))}"
    return {"port": {"number": number, "name": name, "protocol": protocol}, "hosts": list(hosts), **more}


def gateway(mesh: Mesh, name: str, *servers: dict[str, Any], namespace: str = "default") -> None:
    mesh.apply(
        yaml.safe_dump(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "Gateway",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"selector": {"gw": "x"}, "servers": list(servers)},
            }
        )
    )


def routed(
    mesh: Mesh, name: str, hosts: list[str], *gateways: str, namespace: str = "default", **rules: Any
) -> None:
    spec = {
        "hosts": hosts,
        "gateways": list(gateways),
        **(rules or {"http": [{"directResponse": {"status": 200}}]}),
    }
    mesh.apply(
        yaml.safe_dump(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            }
        )
    )


def chains(mesh: Mesh, listener: str) -> list[tuple[list[str], str]]:
    """(server names, cluster) of each chain of bytes."""
    found = []
    for chain in mesh.listeners("gw")[listener]["filterChains"]:
        match = chain.get("filterChainMatch", {})
        found.append((match.get("serverNames", []), chain["filters"][-1]["typedConfig"].get("cluster", "")))
    return found


def test_servers_of_one_port_listen_where_each_says(mesh: Mesh) -> None:
    gateway(
        mesh,
        "g",
        server(hosts=("all.test",)),
        server(hosts=("one.test",), bind="127.0.0.1"),
        server(hosts=("same.test",), bind="0.0.0.0"),
        server(number=0, hosts=("socket.test",), bind="unix:///tmp/edge.sock"),
    )
    routed(mesh, "v", ["all.test", "one.test", "same.test", "socket.test"], "g")
    listeners = mesh.listeners("gw")
    assert {name: next(iter(one["address"])) for name, one in listeners.items()} == {
        "0.0.0.0_80": "socketAddress",
        "127.0.0.1_80": "socketAddress",
        "unix:///tmp/edge.sock_0": "pipe",
    }
    assert listeners["127.0.0.1_80"]["address"]["socketAddress"] == {"address": "127.0.0.1", "portValue": 80}
    assert listeners["unix:///tmp/edge.sock_0"]["address"]["pipe"] == {"path": "/tmp/edge.sock"}
    domains = {
        name: sorted(domain for host in one["virtualHosts"] for domain in host["domains"])
        for name, one in mesh.routes("gw").items()
    }
    assert domains == {
        "http.80": ["all.test", "same.test"],
        "http.80.127.0.0.1": ["one.test"],
        "http.0.unix:///tmp/edge.sock": ["socket.test"],
    }


def test_of_servers_that_want_one_port_for_two_protocols_the_older_has_it(mesh: Mesh) -> None:
    gateway(mesh, "older", server(hosts=("a.test",)))
    gateway(mesh, "newer", server("TCP"), server("GRPC", hosts=("b.test",)), server("TCP", bind="127.0.0.1"))
    routed(mesh, "v", ["a.test", "b.test"], "older", "newer")
    routed(mesh, "t", ["*"], "newer", tcp=[{"route": [{"destination": {"host": "a"}}]}])
    [told] = [one for one in mesh.reports("gw") if one.code is PORT_CONFLICT]
    assert (told.ref and told.ref.name, told.path) == ("newer", "spec.servers[0].port")
    assert sorted(mesh.listeners("gw")) == ["0.0.0.0_80", "127.0.0.1_80"]
    [config] = mesh.routes("gw").values()
    assert sorted(one["name"] for one in config["virtualHosts"]) == ["a.test:80", "b.test:80"]


@pytest.mark.parametrize("protocol", ["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "http"])
def test_protocols_that_are_http_are_routed(mesh: Mesh, protocol: str) -> None:
    gateway(mesh, "g", server(protocol))
    routed(mesh, "v", ["a.test"], "g")
    assert list(mesh.routes("gw")) == ["http.80"]


@pytest.mark.parametrize("protocol", ["TCP", "MONGO", "REDIS", "MYSQL"])
def test_protocols_that_are_bytes_are_passed_on(mesh: Mesh, protocol: str) -> None:
    mesh.service("db", ports={"tcp": 3306})
    gateway(mesh, "g", server(protocol, 3306))
    routed(mesh, "v", ["*"], "g", tcp=[{"route": [{"destination": {"host": "db"}}]}])
    assert chains(mesh, "0.0.0.0_3306") == [([], "outbound|3306||db.default.svc.cluster.local")]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("*", ["default", "other"]),
        ("*/*", ["default", "other"]),
        ("./*", ["default"]),
        ("other/*.test", ["other"]),
        ("*/a.test", ["default", "other"]),
        ("third/a.test", []),
        ("*.test", ["default", "other"]),
        ("A.test", ["default", "other"]),
        ("b.test", []),
    ],
)
def test_which_virtual_services_a_host_of_a_server_lets_in(mesh: Mesh, text: str, seen: list[str]) -> None:
    gateway(mesh, "g", server(hosts=(text,)))
    for namespace in ("default", "other"):
        rule = {
            "name": namespace,
            "match": [{"uri": {"exact": f"/{namespace}"}}],
            "directResponse": {"status": 200},
        }
        routed(mesh, "v", ["a.test"], "default/g", namespace=namespace, http=[rule])
    found = [
        route["name"]
        for host in mesh.routes("gw")["http.80"]["virtualHosts"]
        for route in host.get("routes", ())
    ]
    assert sorted(found) == seen


def test_a_tls_server_without_routes_keeps_its_names(mesh: Mesh) -> None:
    mesh.service("db", ports={"tcp": 3306})
    ended = {"mode": "ISTIO_MUTUAL"}
    gateway(mesh, "g", server("TLS", 443, ("a.test",), tls=ended), server("TLS", 443, ("*.test",), tls=ended))
    routed(mesh, "v", ["b.test"], "g", tcp=[{"route": [{"destination": {"host": "db"}}]}])
    wide = (["*.test"], "outbound|3306||db.default.svc.cluster.local")
    assert chains(mesh, "0.0.0.0_443") == [(["a.test"], "BlackHoleCluster"), wide]
    mesh.delete("VirtualService", "v")
    assert mesh.listeners("gw") == {}


def test_auto_passthrough_leads_to_every_service_by_its_own_name(mesh: Mesh) -> None:
    mesh.service("app", ports={"http": 80, "tcp": 9000})
    mesh.service("headless", ports={"tcp": 9000}, headless=True)
    mesh.service("far", "other", ports={"http": 80})
    mesh.pod("app-1", ip="198.18.0.2", labels={"app": "app", "version": "v1"})
    mesh.pod("app-2", ip="198.18.0.3", labels={"app": "app", "version": "v2"})
    mesh.pod("app-3", ip="198.18.0.4", labels={"app": "app", "version": "v1"}, sidecar=False)
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app, subsets: [{name: V1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec:
  hosts: [out.local]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 198.51.100.1}]
"""
    )
    before = set(mesh.clusters("gw"))
    gateway(mesh, "g", server("TLS", 15443, ("*.local",), tls={"mode": "AUTO_PASSTHROUGH"}))
    home = "default.svc.cluster.local"
    made = {
        *(f"outbound_.{port}_.{subset}_.app.{home}" for port in (80, 9000) for subset in ("", "V1")),
        f"outbound_.9000_._.headless.{home}",
        "outbound_.80_._.far.other.svc.cluster.local",
    }
    assert set(mesh.clusters("gw")) - before == made
    assert all("transportSocket" not in one for name, one in mesh.clusters("gw").items() if name in made)
    assert sorted(chains(mesh, "0.0.0.0_15443")) == sorted(([name.lower()], name) for name in made)
    for chain in mesh.listeners("gw")["0.0.0.0_15443"]["filterChains"]:
        assert chain["filterChainMatch"]["applicationProtocols"] == MTLS
    ends = mesh.endpoints("gw")
    assert ends[f"outbound_.80_._.app.{home}"] == ["198.18.0.2:80", "198.18.0.3:80"]
    assert ends[f"outbound_.80_.V1_.app.{home}"] == ["198.18.0.2:80"]
    gateway(
        mesh, "g", server("TLS", 15443, ("app.default.svc.cluster.local",), tls={"mode": "AUTO_PASSTHROUGH"})
    )
    assert len(set(mesh.clusters("gw")) - before) == 4
