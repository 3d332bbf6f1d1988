"""Clusters where goldens are too coarse: who is verified, by what."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec:
  hosts: [out.example.com]
  subjectAltNames: [alt.example.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: out}
spec: {host: out.example.com, trafficPolicy: {tls: %s}}
"""


def context(tls: str) -> dict[str, Any]:
    """Return the TLS of a cluster towards the outside."""
    mesh = Mesh()
    mesh.pod("sleep", ip="198.18.0.2")
    mesh.apply(ENTRY % tls)
    socket: dict[str, Any] = mesh.clusters("sleep")["outbound|443||out.example.com"]["transportSocket"][
        "typedConfig"
    ]
    return socket


@pytest.mark.parametrize(
    ("tls", "names"),
    [
        ("{mode: SIMPLE}", {"alt.example.com"}),
        ("{mode: SIMPLE, subjectAltNames: [rule.example.com]}", {"rule.example.com"}),
    ],
)
def test_the_rule_says_whom_to_believe_and_else_the_entry(tls: str, names: set[str]) -> None:
    found = context(tls)
    validation = found["commonTlsContext"]["validationContext"]
    assert {one["matcher"]["exact"] for one in validation["matchTypedSubjectAltNames"]} == names
    assert found["sni"] == "out.example.com"
    assert validation["trustedCa"]["filename"]


def test_a_client_certificate_is_shown_only_if_it_is_mutual() -> None:
    files = "clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem"
    mutual = context(f"{{mode: MUTUAL, {files}}}")["commonTlsContext"]
    assert mutual["tlsCertificates"][0]["certificateChain"] == {"filename": "/c.pem"}
    assert mutual["validationContext"]["trustedCa"] == {"filename": "/ca.pem"}
    assert "tlsCertificates" not in context("{mode: SIMPLE}")["commonTlsContext"]


def test_automatic_mutual_tls_checks_the_accounts_behind_the_service() -> None:
    mesh = Mesh()
    mesh.pod("sleep", ip="198.18.0.2")
    mesh.service("app")
    mesh.pod("app", ip="198.18.0.3", account="robot")
    cluster = mesh.clusters("sleep")["outbound|80||app.default.svc.cluster.local"]
    istio, plain = cluster["transportSocketMatches"]
    common = istio["transportSocket"]["typedConfig"]["commonTlsContext"]
    matchers = common["combinedValidationContext"]["defaultValidationContext"]["matchTypedSubjectAltNames"]
    assert [(one["sanType"], one["matcher"]["exact"]) for one in matchers] == [
        ("URI", "spiffe://cluster.local/ns/default/sa/robot")
    ]
    assert (istio["match"], plain.get("match", {})) == ({"tlsMode": "istio"}, {})
    mesh.setting("enableAutoMtls", False)
    assert (
        "transportSocketMatches" not in mesh.clusters("sleep")["outbound|80||app.default.svc.cluster.local"]
    )


def test_a_headless_services_clients_use_mutual_tls_only_if_all_its_pods_have_a_proxy() -> None:
    mesh = Mesh()
    mesh.pod("sleep", ip="198.18.0.2")
    mesh.service("app", headless=True)
    mesh.pod("one", ip="198.18.0.3", labels={"app": "app"})
    name = "outbound|80||app.default.svc.cluster.local"
    assert mesh.clusters("sleep")[name]["type"] == "ORIGINAL_DST"
    assert "transportSocket" in mesh.clusters("sleep")[name]
    mesh.pod("two", ip="198.18.0.4", labels={"app": "app"}, sidecar=False)
    assert "transportSocket" not in mesh.clusters("sleep")[name]
