from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, findings, told

HTTP = {"number": 9080, "name": "http", "protocol": "HTTP"}
SOCKET = {"number": 0, "name": "uds", "protocol": "HTTP"}
EVERYTHING = {"hosts": ["*/*"]}


def ingress(*more: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"ingress": [{"port": HTTP, **fields}, *more]}


def egress(*more: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"egress": [{"port": HTTP, "hosts": ["./*"], **fields}, *more]}


def hosts(*names: str) -> dict[str, Any]:
    return {"egress": [{"hosts": list(names)}]}


def policy(**fields: Any) -> dict[str, Any]:
    return {"outboundTrafficPolicy": fields}


PROXY = {"host": "egress.istio-system.svc.cluster.local", "port": {"number": 443}}
POLICY = "spec.outboundTrafficPolicy.egressProxy"
IN, OUT = "spec.ingress[0]", "spec.egress[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec"),
        ({"workloadSelector": {"labels": {"a": "b"}}}, "spec"),
        ({"egress": [EVERYTHING], "hosts": []}, "spec.hosts"),
        ({"workloadSelector": {"labels": {"a": "*"}}, "egress": [EVERYTHING]}, "spec.workloadSelector.labels.a"),
        ({"workloadSelector": {"labels": {"": "b"}}, "egress": [EVERYTHING]}, "spec.workloadSelector.labels"),
        ({"ingress": [{"defaultEndpoint": "127.0.0.1:80"}]}, f"{IN}.port"),
        (ingress(port=HTTP | {"number": 0}), f"{IN}.port.number"),
        (ingress(port=HTTP | {"number": 70000}), f"{IN}.port.number"),
        (ingress(port=HTTP | {"name": "a_b"}), f"{IN}.port.name"),
        (ingress(port=HTTP | {"protocol": "FTP"}), f"{IN}.port.protocol"),
        (ingress(port=HTTP | {"targetPort": 80}), f"{IN}.port.targetPort"),
        (ingress({"port": HTTP}), "spec.ingress[1].port.number"),
        (ingress(bind="localhost"), f"{IN}.bind"),
        (ingress(bind="unix:///run/a"), f"{IN}.bind"),
        (ingress(captureMode="TPROXY"), f"{IN}.captureMode"),
        (ingress(defaultEndpoint="8080"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="10.0.0.1:8080"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="127.0.0.1:http"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="[::1:8080"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="::1:8080"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="127.0.0.1:0"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="127.0.0.1:70000"), f"{IN}.defaultEndpoint"),
        (ingress(defaultEndpoint="unix://a"), f"{IN}.defaultEndpoint"),
        (ingress(tls={"mode": "ISTIO_MUTUAL"}), f"{IN}.tls.mode"),
        (ingress(tls={"mode": "SIMPLE", "serverCertificate": "a"}), f"{IN}.tls.privateKey"),
        (ingress(tls={"mode": "SIMPLE", "credentialName": "a"}), f"{IN}.tls.credentialName"),
        (ingress(tls={"httpsRedirect": True}), f"{IN}.tls.httpsRedirect"),
        (ingress(tls={"subjectAltNames": ["a"]}), f"{IN}.tls.subjectAltNames"),
        (ingress(connectionPool={}), f"{IN}.connectionPool"),
        (ingress(connectionPool={"http": {"maxRetries": -1}}), f"{IN}.connectionPool.http.maxRetries"),
        ({"inboundConnectionPool": {"tcp": {"maxConnections": -1}}}, "spec.inboundConnectionPool.tcp.maxConnections"),
        (egress(hosts=[]), f"{OUT}.hosts"),
        ({"egress": [EVERYTHING, {"port": HTTP, "hosts": ["./*"]}]}, OUT),
        ({"egress": [EVERYTHING, EVERYTHING]}, OUT),
        (egress({"port": HTTP, "hosts": ["./*"]}), "spec.egress[1].port.number"),
        (egress(bind="a"), f"{OUT}.bind"),
        (egress(port=SOCKET), f"{OUT}.bind"),
        (egress(port=SOCKET, bind="unix://a"), f"{OUT}.bind"),
        (egress(port=SOCKET, bind="unix:///run/a", captureMode="IPTABLES"), f"{OUT}.captureMode"),
        (
            egress({"port": SOCKET, "bind": "unix:///run/a", "hosts": ["./*"]}, port=SOCKET, bind="unix:///run/a"),
            "spec.egress[1].bind",
        ),
        (egress(port=HTTP | {"targetPort": 1}), f"{OUT}.port.targetPort"),
        (hosts("reviews.shop"), f"{OUT}.hosts[0]"),
        (hosts("shop/reviews"), f"{OUT}.hosts[0]"),
        (hosts("shop/"), f"{OUT}.hosts[0]"),
        (hosts("/a.com"), f"{OUT}.hosts[0]"),
        (hosts("a.b/c.com"), f"{OUT}.hosts[0]"),
        (hosts("./*a.com"), f"{OUT}.hosts[0]"),
        (hosts("./a b.com"), f"{OUT}.hosts[0]"),
        (policy(mode="ALLOW_NONE"), "spec.outboundTrafficPolicy.mode"),
        (policy(egressProxy=PROXY), POLICY),
        (policy(mode="ALLOW_ANY", egressProxy={"host": "*.a.com", "port": {"number": 1}}), f"{POLICY}.host"),
        (policy(mode="ALLOW_ANY", egressProxy={"host": "a.com"}), f"{POLICY}.port"),
        (policy(mode="ALLOW_ANY", egressProxy=PROXY | {"port": {"number": 0}}), f"{POLICY}.port.number"),
        (policy(mode="ALLOW_ANY", egressProxy=PROXY | {"subset": "a.b"}), f"{POLICY}.subset"),
    ],
)  # fmt: skip
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert errors("Sidecar", spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        {"egress": [EVERYTHING]},
        hosts("./*", "istio-system/*", "*/a.com", "~/*"),
        egress(EVERYTHING),
        egress(port=SOCKET, bind="unix://@a", captureMode="NONE"),
        ingress(defaultEndpoint=":8080", captureMode="NONE", bind="10.0.0.1"),
        ingress(defaultEndpoint="[::1]:8080"),
        ingress(defaultEndpoint="unix:///run/a.sock"),
        ingress(tls={"mode": "MUTUAL", "serverCertificate": "a", "privateKey": "b", "caCertificates": "c"}),
        ingress(port={"number": 1}, connectionPool={"tcp": {"maxConnections": 1}}),
        {"inboundConnectionPool": {"http": {"http1MaxPendingRequests": 5}}},
        ingress(connectionPool={"http": {"http1MaxPendingRequests": 5}}),
        policy(mode="ALLOW_ANY", egressProxy=PROXY | {"subset": "v1"}),
        policy(),
    ],
)
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert errors("Sidecar", spec) == []
    assert told("Sidecar", spec) == []


def test_every_error_is_told_at_once() -> None:
    spec = ingress(bind="a", defaultEndpoint="b") | {"egress": [{"hosts": ["c"]}]} | policy(egressProxy=PROXY)
    assert errors("Sidecar", spec) == [f"{OUT}.hosts[0]", f"{IN}.bind", f"{IN}.defaultEndpoint", POLICY]


def test_what_is_likely_wrong_is_told() -> None:
    assert told("Sidecar", {"workloadSelector": {}, "egress": [EVERYTHING]}) == [
        ("IST0133", "spec.workloadSelector")
    ]
    for names in (("a/b.com", "a/b.com"), ("a/*", "a/b.com"), ("a/b.com", "a/*"), ("./b.com", "shop/b.com")):
        assert told("Sidecar", hosts(*names)) == [("IST0133", f"{OUT}.hosts[1]")]
    assert told("Sidecar", hosts("a/b.com", "c/b.com", "*/b.com")) == []
    assert told("Sidecar", hosts("a/b.com", "*/*")) == [("IST0133", f"{OUT}.hosts")]
    http = ingress(port=HTTP | {"protocol": "TCP"}, connectionPool={"http": {"maxRetries": 1}})
    assert told("Sidecar", http) == [("IST0133", f"{IN}.connectionPool.http")]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("reviews", "for its own namespace write ./reviews.shop.svc.cluster.local"),
        ("a.com", "for its own namespace write ./a.com"),
        ("./reviews", "write ./reviews.shop.svc.cluster.local"),
        ("infra/reviews", "write infra/reviews.infra.svc.cluster.local"),
        ("./a b", ""),
    ],
)
def test_hints_complete_a_hosts_name(name: str, hint: str) -> None:
    assert [one.hint for one in findings("Sidecar", hosts(name)) if one.path == f"{OUT}.hosts[0]"] == [hint]
