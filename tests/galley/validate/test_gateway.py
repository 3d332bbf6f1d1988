from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, told

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
HTTPS = {"number": 443, "name": "https", "protocol": "HTTPS"}


def server(port: dict[str, Any] = HTTP, **more: Any) -> dict[str, Any]:
    return {"selector": {"istio": "ingressgateway"}, "servers": [{"port": port, "hosts": ["*"], **more}]}


def secure(**tls: Any) -> dict[str, Any]:
    return server(HTTPS, tls=tls)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"selector": {"a": "b"}}, "spec.servers"),
        ({"servers": [server()["servers"][0], server()["servers"][0]]}, "spec.servers[1].port.name"),
        (server(hosts=[]), "spec.servers[0].hosts"),
        (server(hosts=["*a.com"]), "spec.servers[0].hosts[0]"),
        (server(hosts=["shop"]), "spec.servers[0].hosts[0]"),
        (server(hosts=["./shop"]), "spec.servers[0].hosts[0]"),
        (server(hosts=["a_b/c.com"]), "spec.servers[0].hosts[0]"),
        (server(HTTP | {"number": 0}), "spec.servers[0].port.number"),
        (server(HTTP | {"protocol": "QUIC"}), "spec.servers[0].port.protocol"),
        (server(HTTP | {"targetPort": 8080}), "spec.servers[0].port.targetPort"),
        (server(bind="unix:///run/a"), "spec.servers[0].port.number"),
        (server(HTTP | {"number": 0}, bind="unix://run/a"), "spec.servers[0].bind"),
        (server(bind="localhost"), "spec.servers[0].bind"),
        (server(HTTPS), "spec.servers[0].tls"),
        (server(tls={"mode": "SIMPLE", "credentialName": "a"}), "spec.servers[0].tls"),
        (
            server({"number": 1, "name": "t", "protocol": "TCP"}, tls={"mode": "PASSTHROUGH"}),
            "spec.servers[0].tls",
        ),
        (secure(mode="SIMPLE", serverCertificate="a"), "spec.servers[0].tls.privateKey"),
        (secure(mode="MUTUAL", serverCertificate="a", privateKey="b"), "spec.servers[0].tls.caCertificates"),
        (secure(mode="ISTIO_MUTUAL", credentialName="a"), "spec.servers[0].tls.credentialName"),
        (
            secure(mode="SIMPLE", credentialName="a", credentialNames=["b"]),
            "spec.servers[0].tls.credentialNames",
        ),
        (secure(mode="SIMPLE", credentialNames=["a", "b", "c"]), "spec.servers[0].tls.credentialNames"),
        (
            secure(
                mode="SIMPLE",
                credentialName="a",
                tlsCertificates=[{"serverCertificate": "a", "privateKey": "b"}],
            ),
            "spec.servers[0].tls.tlsCertificates",
        ),
        (
            secure(mode="SIMPLE", serverCertificate="a", privateKey="b", caCrl="c"),
            "spec.servers[0].tls.caCrl",
        ),
        (
            secure(mode="SIMPLE", tlsCertificates=[{"serverCertificate": "a"}]),
            "spec.servers[0].tls.tlsCertificates[0]",
        ),
    ],
)
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert errors("Gateway", spec) == [path]


def test_a_name_with_a_dot_is_refused() -> None:
    assert errors("Gateway", server(), name="a.b") == ["metadata.name"]


@pytest.mark.parametrize(
    "spec",
    [
        server(),
        server(hosts=["shop/*", "./a.com", "*/b.com", "*.c.com"]),
        server(hosts=["10.0.0.1", "./2001:db8::1"]),
        server(tls={"httpsRedirect": True}),
        secure(mode="SIMPLE", credentialName="a"),
        secure(mode="SIMPLE", credentialNames=["a", "b"]),
        secure(mode="MUTUAL", credentialName="a", caCertCredentialName="b"),
        secure(mode="PASSTHROUGH"),
        secure(mode="ISTIO_MUTUAL"),
        server({"number": 31400, "name": "tcp", "protocol": "tcp"}),
    ],
)
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert errors("Gateway", spec) == []
    assert told("Gateway", spec) == []


def test_what_is_likely_wrong_is_told() -> None:
    tls = {"mode": "SIMPLE", "credentialName": "a"}
    assert told("Gateway", secure(**tls, cipherSuites=["NONE", "AES128-SHA", "AES128-SHA"])) == [
        ("IST0133", "spec.servers[0].tls.cipherSuites[0]"),
        ("IST0133", "spec.servers[0].tls.cipherSuites[2]"),
    ]
    assert told("Gateway", secure(**tls, minProtocolVersion="TLSV1_0")) == [
        ("IST0133", "spec.servers[0].tls.minProtocolVersion")
    ]
    assert told("Gateway", secure(**tls, httpsRedirect=True)) == [
        ("IST0133", "spec.servers[0].tls.httpsRedirect")
    ]
    # As Istio's guides wrote it when secrets came by SDS first.
    assert told("Gateway", secure(**tls, serverCertificate="sds", privateKey="sds")) == [
        ("IST0133", "spec.servers[0].tls.serverCertificate")
    ]
    assert told("Gateway", secure(**tls, caCrl="/a")) == [("IST0133", "spec.servers[0].tls.caCrl")]
    assert told("Gateway", server(HTTP | {"protocol": "UDP"})) == [
        ("IST0133", "spec.servers[0].port.protocol")
    ]
    assert told("Gateway", secure(mode="PASSTHROUGH", serverCertificate="a")) == [
        ("IST0133", "spec.servers[0].tls")
    ]
