from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, told

V1 = "gateway.networking.k8s.io/v1"
BACKEND = {"name": "svc", "port": 80}


def http(**rule: Any) -> dict[str, Any]:
    return {"rules": [{"backendRefs": [BACKEND], **rule}]}


def headers(**changes: Any) -> dict[str, Any]:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": changes}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hostnames": ["a.io", "10.0.0.1"], **http()}, "spec.hostnames[1]"),
        (
            http(matches=[{"path": {"type": "RegularExpression", "value": "("}}]),
            "spec.rules[0].matches[0].path.value",
        ),
        (
            http(matches=[{"headers": [{"type": "RegularExpression", "name": "a", "value": "(?=b)"}]}]),
            "spec.rules[0].matches[0].headers[0].value",
        ),
        (
            http(matches=[{"queryParams": [{"type": "RegularExpression", "name": "a", "value": "["}]}]),
            "spec.rules[0].matches[0].queryParams[0].value",
        ),
        (
            http(filters=[headers(set=[{"name": "X", "value": "1"}], remove=["x"])]),
            "spec.rules[0].filters[0].requestHeaderModifier.remove[0]",
        ),
        (
            http(backendRefs=[{**BACKEND, "filters": [headers(remove=["a", "A"])]}]),
            "spec.rules[0].backendRefs[0].filters[0].requestHeaderModifier.remove[1]",
        ),
        (
            http(filters=[{"type": "URLRewrite", "urlRewrite": {"hostname": "1.2.3.4"}}]),
            "spec.rules[0].filters[0].urlRewrite.hostname",
        ),
    ],
)
def test_an_http_route_is_refused_for_what_can_never_work(spec: dict[str, Any], path: str) -> None:
    assert errors("HTTPRoute", spec, version=V1) == [path]


def test_an_http_route_that_goes_nowhere_is_told() -> None:
    nowhere = ("MEL0040", "spec.rules[0]")
    assert told("HTTPRoute", {"rules": [{}]}, version=V1) == [nowhere]
    assert told("HTTPRoute", http(backendRefs=[{**BACKEND, "weight": 0}]), version=V1) == [nowhere]
    assert told("HTTPRoute", http(backendRefs=[{**BACKEND, "weight": 0}, BACKEND]), version=V1) == []
    sent = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
    assert told("HTTPRoute", {"rules": [{"filters": [sent]}]}, version=V1) == []


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_what_is_not_kept_of_sessions_is_told(kind: str) -> None:
    def of(*backends: dict[str, Any], **session: Any) -> list[tuple[str, str]]:
        rule = {"backendRefs": list(backends) or [BACKEND], "sessionPersistence": session}
        return told(kind, {"rules": [rule]}, version=V1)

    at = "spec.rules[0].sessionPersistence"
    assert of() == of(absoluteTimeout="1h") == of(BACKEND, {**BACKEND, "weight": 0}) == []
    kept = {"absoluteTimeout": "1h", "cookieConfig": {"lifetimeType": "Permanent"}}
    assert of(**kept) == []
    assert of(BACKEND, BACKEND) == [("MEL0219", at)]
    assert of(type="Header", absoluteTimeout="1h") == [("MEL0219", f"{at}.absoluteTimeout")]
    only = {**kept, "cookieConfig": {"lifetimeType": "Session"}}
    assert of(**only) == [("MEL0219", f"{at}.cookieConfig.lifetimeType")]


@pytest.mark.parametrize("name", ["two words", "x\ny: z", ":status", "a;b"])
@pytest.mark.parametrize("form", ["Cookie", "Header"])
def test_what_bears_a_session_has_a_name_that_can_be_written(name: str, form: str) -> None:
    rule = {"backendRefs": [BACKEND], "sessionPersistence": {"type": form, "sessionName": name}}
    assert errors("HTTPRoute", {"rules": [rule]}, version=V1) == [
        "spec.rules[0].sessionPersistence.sessionName"
    ]


def test_a_header_that_is_matched_twice_is_told() -> None:
    match = {"headers": [{"name": "End-User", "value": "a"}, {"name": "end-user", "value": "b"}]}
    place = ("MEL0041", "spec.rules[0].matches[0].headers[1].name")
    assert told("HTTPRoute", http(matches=[match]), version=V1) == [place]
    assert told("GRPCRoute", http(matches=[match]), version=V1) == [place]


def test_rules_of_a_grpc_route() -> None:
    bad = {"method": {"type": "RegularExpression", "service": "("}}
    assert errors("GRPCRoute", http(matches=[bad]), version=V1) == ["spec.rules[0].matches[0].method.service"]
    assert errors("GRPCRoute", {"hostnames": ["1.1.1.1"]}, version=V1) == ["spec.hostnames[0]"]
    assert told("GRPCRoute", {"rules": [{}]}, version=V1) == [("MEL0040", "spec.rules[0]")]


def test_streams_that_go_nowhere_are_told() -> None:
    rules = {"rules": [{"backendRefs": [{**BACKEND, "weight": 0}]}]}
    place = [("MEL0040", "spec.rules[0]")]
    assert told("TCPRoute", rules, version="gateway.networking.k8s.io/v1alpha2") == place
    assert told("UDPRoute", rules, version="gateway.networking.k8s.io/v1alpha2") == place
    assert told("TLSRoute", {"hostnames": ["a.io"], **rules}, version=V1) == place


def gateway(*listeners: dict[str, Any], **more: Any) -> dict[str, Any]:
    numbered = [{"name": f"l{index}", "protocol": "HTTP", **one} for index, one in enumerate(listeners)]
    return {"gatewayClassName": "istio", "listeners": numbered, **more}


def test_rules_of_a_gateway() -> None:
    selector = {"namespaces": {"from": "Selector"}}
    assert errors("Gateway", gateway({"port": 80, "allowedRoutes": selector}), version=V1) == [
        "spec.listeners[0].allowedRoutes.namespaces.selector"
    ]
    assert errors("Gateway", gateway({"port": 80}, allowedListeners=selector), version=V1) == [
        "spec.allowedListeners.namespaces.selector"
    ]
    assert errors("Gateway", gateway({"port": 80, "hostname": "1.2.3.4"}), version=V1) == [
        "spec.listeners[0].hostname"
    ]
    named = {"type": "NamedAddress", "value": "mine"}
    assert told("Gateway", gateway({"port": 80}, addresses=[named]), version=V1) == [
        ("IST0002", "spec.addresses[0].type")
    ]


@pytest.mark.parametrize(
    ("listeners", "path"),
    [
        ([{"port": 443, "protocol": "HTTPS"}], "spec.listeners[0]"),
        ([{"port": 80, "protocol": "HTP"}], "spec.listeners[0].protocol"),
        ([{"port": 80}, {"port": 80, "protocol": "TCP"}], "spec.listeners[1].port"),
    ],
)
def test_a_listener_that_cannot_be_served_is_told(listeners: list[dict[str, Any]], path: str) -> None:
    assert told("Gateway", gateway(*listeners), version=V1) == [("MEL0042", path)]


def test_listeners_of_a_set_are_checked_as_those_of_a_gateway() -> None:
    spec = {"parentRef": {"name": "gw"}, "listeners": [{"name": "a", "port": 443, "protocol": "HTTPS"}]}
    assert told("ListenerSet", spec, version=V1) == [("MEL0042", "spec.listeners[0]")]


def test_udp_and_tcp_may_share_a_number() -> None:
    both = gateway({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"})
    assert told("Gateway", both, version=V1) == []


def test_rules_of_a_backend_tls_policy() -> None:
    target = {"group": "", "kind": "Service", "name": "a"}
    spec = {
        "targetRefs": [target],
        "validation": {"hostname": "1.2.3.4", "wellKnownCACertificates": "System"},
    }
    assert errors("BackendTLSPolicy", spec, version=V1) == ["spec.validation.hostname"]
    other = [{"group": "", "kind": "Pod", "name": "a"}]
    spec["validation"] = {"hostname": "a.io", "caCertificateRefs": other}
    assert told("BackendTLSPolicy", spec, version=V1) == [
        ("IST0133", "spec.validation.caCertificateRefs[0].kind")
    ]
