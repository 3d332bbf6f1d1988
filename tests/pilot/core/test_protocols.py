"""What the protocol of a port makes of listeners and clusters."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

GRPC_WEB = "envoy.filters.http.grpc_web"
MONGO = "envoy.filters.network.mongo_proxy"
SET_STATE = "envoy.filters.network.set_filter_state"


def mesh(**ports: int) -> Mesh:
    """A service with these ports, its pod, a client and a gateway."""
    made = Mesh()
    made.service("app", ports={name.replace("_", "-"): number for name, number in ports.items()})
    made.pod("app", ip="198.18.0.2")
    made.pod("client", ip="198.18.0.3")
    made.pod("edge", ip="198.18.0.4", labels={"istio": "edge"}, gateway=True)
    return made


def outbound(made: Mesh, port: int) -> dict[str, Any]:
    (found,) = (one for name, one in made.listeners("client").items() if name.endswith(f"_{port}"))
    return dict(found)


def inbound(made: Mesh, port: int) -> list[dict[str, Any]]:
    chains = made.listeners("app")["virtualInbound"]["filterChains"]
    return [one for one in chains if one.get("filterChainMatch", {}).get("destinationPort") == port]


def filters(chain: dict[str, Any]) -> list[str]:
    return [one["name"] for one in chain["filters"]]


def http_filters(chain: dict[str, Any]) -> list[str]:
    return [one["name"] for one in chain["filters"][-1]["typedConfig"].get("httpFilters", ())]


def test_bytes_on_a_port_that_does_not_say_are_the_default() -> None:
    """A chain without a match would never be come back to from "no TLS"."""
    found = outbound(mesh(any=90), 90)
    assert [one["filterChainMatch"]["transportProtocol"] for one in found["filterChains"]] == ["raw_buffer"]
    assert filters(found["defaultFilterChain"]) == [SET_STATE, "envoy.filters.network.tcp_proxy"]


def test_bytes_say_that_they_are_bytes_only_where_they_could_be_taken_for_http() -> None:
    made = mesh(any=90, tcp=91)
    (chain,) = outbound(made, 91)["filterChains"]
    assert filters(chain) == ["envoy.filters.network.tcp_proxy"]


@pytest.mark.parametrize("mode", ["PERMISSIVE", "STRICT"])
def test_http_within_mutual_tls_is_known_by_what_the_client_asks_for(mode: str) -> None:
    made = mesh(any=90)
    made.apply(f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default}}
spec: {{mtls: {{mode: {mode}}}}}
""")
    secure = [one for one in inbound(made, 90) if "transportSocket" in one]
    kinds = [one["filters"][-1]["name"].rpartition(".")[2] for one in secure]
    assert kinds == ["http_connection_manager", "tcp_proxy"]
    asked = [one["filterChainMatch"].get("applicationProtocols", []) for one in secure]
    assert asked[0] == ["istio-http/1.0", "istio-http/1.1", "istio-h2"]
    assert asked[1] == (["istio", "istio-peer-exchange"] if mode == "PERMISSIVE" else [])
    cluster = str(made.clusters("client")["outbound|90||app.default.svc.cluster.local"])
    assert "istio-http/1.1" in cluster


def test_grpc_web_is_turned_into_grpc_where_a_port_says_so() -> None:
    made = mesh(grpc_web=90, grpc=91)
    assert all(GRPC_WEB in http_filters(one) for one in inbound(made, 90) if http_filters(one))
    assert not any(GRPC_WEB in http_filters(one) for one in inbound(made, 91))


@pytest.mark.parametrize(("protocol", "there"), [("GRPC-WEB", True), ("HTTP", False)])
def test_a_gateways_server_says_grpc_web_itself(protocol: str, there: bool) -> None:
    made = mesh(grpc=91)
    made.apply(f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: edge}}
  servers: [{{port: {{number: 80, name: x, protocol: {protocol}}}, hosts: ["*"]}}]
""")
    (chain,) = made.listeners("edge")["0.0.0.0_80"]["filterChains"]
    assert (GRPC_WEB in http_filters(chain)) == there


def test_mongo_is_read_on_both_sides() -> None:
    made = mesh(mongo=90, tcp_mongo=91)
    (chain,) = outbound(made, 90)["filterChains"]
    assert filters(chain) == [MONGO, "envoy.filters.network.tcp_proxy"]
    assert all(MONGO in filters(one) for one in inbound(made, 90))
    assert not any(MONGO in filters(one) for one in inbound(made, 91))


def test_gateways_know_the_endpoints_of_headless_services_and_sidecars_go_where_they_were_going() -> None:
    made = mesh()
    made.service("db", ports={"http": 80}, selector={"app": "app"}, headless=True)
    name = "outbound|80||db.default.svc.cluster.local"
    assert made.clusters("client")[name]["type"] == "ORIGINAL_DST"
    assert name not in made.endpoints("client")
    assert made.clusters("edge")[name]["type"] == "EDS"
    assert made.endpoints("edge")[name] == ["198.18.0.2:80"]
