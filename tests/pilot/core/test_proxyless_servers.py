"""What gRPC servers without a proxy are served."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

PROXYLESS = {"inject.istio.io/templates": "grpc-agent"}
INBOUND = "xds.istio.io/grpc/lds/inbound/"
AT = f"{INBOUND}0.0.0.0:7070"
TLS_MODE = "security.istio.io/tlsMode"


def mesh(**labels: str) -> Mesh:
    made = Mesh()
    made.service("native", ports={"grpc": (80, 7070), "grpc-named": (81, "door"), "udp": 82})
    labels = {"app": "native", "version": "v1", **labels}
    ports = {"door": 7071}
    made.pod(
        "native",
        ip="198.18.0.2",
        labels=labels,
        ports=ports,
        sidecar=False,
        annotations=PROXYLESS,
        account="n",
    )
    made.pod("client", ip="198.18.0.3")
    return made


def policy(mode: str, name: str = "default", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    made = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta}
    return {**made, "spec": {"mtls": {"mode": mode}, **spec}}


def inbound(made: Mesh, pod: str = "native") -> dict[str, Any]:
    return {name: one for name, one in made.listeners(pod).items() if name.startswith(INBOUND)}


def ends_tls(made: Mesh, at: str = AT) -> bool:
    """Say whether a server ends mutual TLS, and takes nothing else; without it plain text, and nothing else."""
    (chain,) = made.listeners("native")[at]["filterChains"]
    if "transportSocket" not in chain:
        return False
    context = chain["transportSocket"]["typedConfig"]
    assert context["requireClientCertificate"] is True
    known = context["commonTlsContext"]
    assert known["tlsCertificateProviderInstance"]["instanceName"] == "default"
    # A name to match is what a server refuses the listener for.
    assert set(known["validationContext"]) == {"caCertificateProviderInstance"}
    return True


def test_a_server_has_a_listener_at_each_address_for_each_port_that_services_lead_to() -> None:
    found = inbound(mesh())
    hosts = ("0.0.0.0", "[::]", "198.18.0.2")
    assert set(found) == {f"{INBOUND}{host}:{port}" for host in hosts for port in (7070, 7071)}
    assert {one["address"]["socketAddress"]["address"] for one in found.values()} == {
        "0.0.0.0",
        "::",
        "198.18.0.2",
    }
    for one in found.values():
        assert set(one) == {"name", "address", "filterChains"}
        (chain,) = one["filterChains"]
        (handler,) = chain["filters"]
        manager = handler["typedConfig"]
        assert [each["name"] for each in manager["httpFilters"]] == ["envoy.filters.http.router"]
        (route,) = manager["routeConfig"]["virtualHosts"][0]["routes"]
        assert route == {"match": {"prefix": "/"}, "nonForwardingAction": {}}


def test_a_pod_that_no_service_leads_to_and_one_with_a_sidecar_have_none() -> None:
    made = mesh()
    made.pod("alone", ip="198.18.0.9", sidecar=False, annotations=PROXYLESS)
    assert inbound(made, "alone") == inbound(made, "client") == {}


@pytest.mark.parametrize(
    ("mode", "label", "tls"),
    [
        ("STRICT", "", True),
        ("STRICT", "istio", True),
        ("PERMISSIVE", "", False),
        ("PERMISSIVE", "istio", True),
        ("DISABLE", "", False),
        ("DISABLE", "istio", False),
    ],
)
def test_peer_authentication_decides_and_of_permissive_the_label(mode: str, label: str, tls: bool) -> None:
    made = mesh(**({TLS_MODE: label} if label else {}))
    made.put([policy(mode)])
    assert ends_tls(made) is tls


def test_a_port_may_differ_and_a_workload() -> None:
    made = mesh()
    assert not ends_tls(made)
    selector = {"matchLabels": {"version": "v1"}}
    made.put([policy("STRICT", "one", selector=selector, portLevelMtls={"7071": {"mode": "DISABLE"}})])
    assert ends_tls(made)
    assert not ends_tls(made, f"{INBOUND}0.0.0.0:7071")
    made.put([policy("STRICT", "one", selector={"matchLabels": {"version": "v2"}})])
    assert not ends_tls(made)


@pytest.mark.parametrize("label", ["", "istio", "disabled"])
def test_sidecars_come_with_mutual_tls_to_a_server_that_bears_the_label(label: str) -> None:
    made = mesh(**({TLS_MODE: label} if label else {}))
    cluster = "outbound|80||native.default.svc.cluster.local"
    (group,) = made.messages("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "client")[
        cluster
    ]["endpoints"]
    (endpoint,) = group["lbEndpoints"]
    told = endpoint["metadata"]["filterMetadata"].get("envoy.transport_socket_match")
    assert told == ({"tlsMode": "istio"} if label == "istio" else None)
    sockets = made.clusters("client")[cluster]["transportSocketMatches"]
    context = sockets[0]["transportSocket"]["typedConfig"]["commonTlsContext"]
    # gRPC takes no connection whose ALPN does not name what it speaks.
    assert "h2" in context["alpnProtocols"]
    assert "spiffe://cluster.local/ns/default/sa/n" in str(context)
