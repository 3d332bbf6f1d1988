"""What fields of the Gateway API must be to each other: told alike by decoding and by CEL on what a server fills in."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api import cel

from meltemi.api import openapi, registry
from meltemi.api.decode import decode, decode_lenient, encode
from meltemi.apiserver.core.filled import filled
from meltemi.apiserver.core.schema import Schemas

GROUP = "gateway.networking.k8s.io"
PARENT = {"name": "gw"}
BACKEND = {"name": "svc", "port": 80}
CERTIFICATE = {"certificateRefs": [{"name": "cert"}]}
HTTP: dict[str, Any] = {"parentRefs": [PARENT], "rules": [{"backendRefs": [BACKEND]}]}
GRPC: dict[str, Any] = {"parentRefs": [PARENT], "rules": [{"backendRefs": [BACKEND]}]}
TLS: dict[str, Any] = {"hostnames": ["a.example.com"], "rules": [{"backendRefs": [BACKEND]}]}
GATEWAY: dict[str, Any] = {
    "gatewayClassName": "istio",
    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
}
POLICY: dict[str, Any] = {
    "targetRefs": [{"group": "", "kind": "Service", "name": "svc"}],
    "validation": {"hostname": "a.example.com", "wellKnownCACertificates": "System"},
}


def http(**rule: Any) -> dict[str, Any]:
    return {"parentRefs": [PARENT], "rules": [rule]}


def listeners(*found: dict[str, Any]) -> dict[str, Any]:
    numbered = [{"name": f"l{index}", **one} for index, one in enumerate(found)]
    return {"gatewayClassName": "istio", "listeners": numbered}


def redirect(**more: Any) -> dict[str, Any]:
    return {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", **more}}


def prefix(value: str = "/new") -> dict[str, Any]:
    return {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}}


def rewrite(**more: Any) -> dict[str, Any]:
    return {"type": "URLRewrite", "urlRewrite": more}


MODIFY = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x", "value": "1"}]}}
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND}}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("HTTPRoute", HTTP),
    ("HTTPRoute", {}),
    ("HTTPRoute", {"parentRefs": [{"name": "gw", "sectionName": "a"}, {"name": "gw", "sectionName": "b"}]}),
    ("HTTPRoute", {"parentRefs": [{"name": "gw", "port": 80}, {"name": "gw", "port": 81}]}),
    ("HTTPRoute", {"parentRefs": [{"name": "gw"}, {"name": "gw", "namespace": "other"}]}),
    ("HTTPRoute", {"parentRefs": [{"group": "", "kind": "Service", "name": "reviews", "port": 9080}]}),
    ("HTTPRoute", http(filters=[redirect()])),
    ("HTTPRoute", http(filters=[redirect(**prefix())])),
    ("HTTPRoute", http(filters=[rewrite(**prefix())], backendRefs=[BACKEND])),
    ("HTTPRoute", http(filters=[MODIFY, MIRROR, MIRROR], backendRefs=[{**BACKEND, "filters": [MODIFY]}])),
    ("HTTPRoute", http(matches=[{"path": {"type": "RegularExpression", "value": "a//b"}}])),
    ("HTTPRoute", http(matches=[{"path": {"value": "/a%20b"}, "method": "GET"}])),
    ("HTTPRoute", http(backendRefs=[{"group": "x.io", "kind": "Thing", "name": "t"}])),
    ("HTTPRoute", http(timeouts={"request": "10s", "backendRequest": "2s"})),
    ("HTTPRoute", http(timeouts={"request": "0s", "backendRequest": "2s"})),
    ("HTTPRoute", http(retry={"codes": [500, 503], "attempts": 0, "backoff": "100ms"})),
    ("HTTPRoute", http(filters=[{"type": "CORS", "cors": {"allowOrigins": ["*"], "allowMethods": ["*"]}}])),
    (
        "HTTPRoute",
        http(
            filters=[
                {
                    "type": "RequestMirror",
                    "requestMirror": {"backendRef": BACKEND, "fraction": {"numerator": 1, "denominator": 3}},
                }
            ]
        ),
    ),
    (
        "HTTPRoute",
        http(
            filters=[
                {
                    "type": "ExternalAuth",
                    "externalAuth": {"protocol": "GRPC", "backendRef": BACKEND, "grpc": {}},
                }
            ]
        ),
    ),
    (
        "HTTPRoute",
        http(sessionPersistence={"cookieConfig": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1h"}),
    ),
    ("GRPCRoute", GRPC),
    ("GRPCRoute", http(matches=[{"method": {"service": "a.B", "method": "C"}}])),
    ("GRPCRoute", http(matches=[{"method": {"type": "RegularExpression", "service": "a/b"}}])),
    ("TLSRoute", TLS),
    ("TCPRoute", {"rules": [{"backendRefs": [BACKEND]}]}),
    ("UDPRoute", {"rules": [{"backendRefs": [BACKEND]}]}),
    ("ListenerSet", {"parentRef": PARENT, "listeners": GATEWAY["listeners"]}),
    ("Gateway", GATEWAY),
    ("Gateway", listeners({"port": 443, "protocol": "HTTPS", "tls": CERTIFICATE})),
    ("Gateway", listeners({"port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}})),
    (
        "Gateway",
        listeners(
            {"port": 80, "protocol": "HTTP", "hostname": "a.io"},
            {"port": 80, "protocol": "HTTP", "hostname": "b.io"},
        ),
    ),
    ("Gateway", {**GATEWAY, "addresses": [{"value": "1.2.3.4"}, {"value": "::1"}, {"type": "Hostname"}]}),
    ("Gateway", {**GATEWAY, "infrastructure": {"labels": {"a.io/b": "c"}, "annotations": {"d": "e f"}}}),
    ("BackendTLSPolicy", POLICY),
    (
        "BackendTLSPolicy",
        {
            **POLICY,
            "validation": {"hostname": "a", "caCertificateRefs": [{"group": "", "kind": "C", "name": "c"}]},
        },
    ),
]

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("HTTPRoute", {"parentRefs": [PARENT, PARENT]}, "must differ in sectionName"),
    ("HTTPRoute", {"parentRefs": [PARENT, {**PARENT, "sectionName": "a"}]}, "must tell the same"),
    (
        "HTTPRoute",
        {"parentRefs": [{**PARENT, "port": 1}, {**PARENT, "sectionName": "a"}]},
        "must tell the same",
    ),
    ("HTTPRoute", {"rules": [{"name": "a"}, {"name": "a"}]}, "names of rules must differ"),
    ("HTTPRoute", {"rules": [{"matches": [{}] * 64}] * 3}, "at most 128 matches"),
    ("HTTPRoute", http(backendRefs=[{"name": "svc"}]), "is referred to with its port"),
    ("HTTPRoute", http(filters=[redirect()], backendRefs=[BACKEND]), "a redirect has no backendRefs"),
    ("HTTPRoute", http(filters=[redirect(), rewrite(hostname="a.io")]), "exclude each other"),
    ("HTTPRoute", http(filters=[MODIFY, MODIFY]), "may be given once"),
    ("HTTPRoute", http(filters=[redirect(statusCode=305)]), "statusCode is one of"),
    ("HTTPRoute", http(filters=[{"type": "URLRewrite"}]), "urlRewrite belongs to"),
    ("HTTPRoute", http(filters=[{**MODIFY, "type": "RequestMirror"}]), "requestMirror belongs to"),
    (
        "HTTPRoute",
        http(filters=[rewrite(path={"type": "ReplaceFullPath", "replacePrefixMatch": "/"})]),
        "replaceFullPath belongs",
    ),
    (
        "HTTPRoute",
        http(matches=[{"path": {"type": "Exact", "value": "/a"}}], filters=[redirect(**prefix())]),
        "exactly one match",
    ),
    (
        "HTTPRoute",
        http(
            matches=[{}, {"path": {"value": "/b"}}],
            backendRefs=[{**BACKEND, "filters": [rewrite(**prefix())]}],
        ),
        "exactly one match",
    ),
    ("HTTPRoute", http(matches=[{"path": {"value": "a"}}]), "begins with /"),
    ("HTTPRoute", http(matches=[{"path": {"value": "/a/../b"}}]), "has none of"),
    ("HTTPRoute", http(matches=[{"path": {"type": "Exact", "value": "/a/.."}}]), "has none of"),
    ("HTTPRoute", http(matches=[{"path": {"value": "/a b"}}]), "letters, digits"),
    ("HTTPRoute", http(timeouts={"request": "1s", "backendRequest": "2s"}), "must not take longer"),
    (
        "HTTPRoute",
        http(filters=[{"type": "CORS", "cors": {"allowOrigins": ["*", "https://a.io"]}}]),
        "stands alone",
    ),
    (
        "HTTPRoute",
        http(
            filters=[
                {
                    "type": "RequestMirror",
                    "requestMirror": {"backendRef": BACKEND, "fraction": {"numerator": 101}},
                }
            ]
        ),
        "must not exceed",
    ),
    (
        "HTTPRoute",
        http(filters=[{"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "backendRef": BACKEND}}]),
        "http belongs to",
    ),
    (
        "HTTPRoute",
        http(sessionPersistence={"cookieConfig": {"lifetimeType": "Permanent"}}),
        "absoluteTimeout",
    ),
    ("GRPCRoute", http(matches=[{"method": {}}]), "service or method must be given"),
    ("GRPCRoute", http(matches=[{"method": {"service": "a/b"}}]), "a service is words"),
    ("GRPCRoute", http(matches=[{"method": {"method": "a.b"}}]), "a method is a word"),
    ("GRPCRoute", http(filters=[MODIFY, MODIFY]), "may be given once"),
    ("TLSRoute", {**TLS, "hostnames": ["1.2.3.4"]}, "DNS names"),
    ("Gateway", listeners({"port": 80, "protocol": "http", "tls": CERTIFICATE}), "has no tls"),
    ("Gateway", listeners({"port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}}), "ends TLS"),
    ("Gateway", listeners({"port": 443, "protocol": "TLS"}), "needs tls.mode"),
    ("Gateway", listeners({"port": 443, "protocol": "TLS", "tls": {}}), "needs certificateRefs"),
    ("Gateway", listeners({"port": 9000, "protocol": "TCP", "hostname": "a.io"}), "has no hostname"),
    (
        "Gateway",
        listeners({"port": 80, "protocol": "HTTP"}, {"port": 80, "protocol": "HTTP"}),
        "must differ in port",
    ),
    ("UDPRoute", {"rules": [{"backendRefs": [{"name": "a"}]}]}, "is referred to with its port"),
    (
        "ListenerSet",
        {"parentRef": PARENT, "listeners": [{"name": "a", "port": 443, "protocol": "TLS"}]},
        "needs tls.mode",
    ),
    ("Gateway", {**GATEWAY, "addresses": [{"value": "a.io"}]}, "must be an IP address"),
    ("Gateway", {**GATEWAY, "addresses": [{"value": "1.1.1.1"}] * 2}, "may be given once"),
    ("Gateway", {**GATEWAY, "addresses": [{"type": "Hostname", "value": "A"}]}, "must be a DNS name"),
    ("Gateway", {**GATEWAY, "infrastructure": {"labels": {"a b": "c"}}}, "keys of labels"),
    ("BackendTLSPolicy", {**POLICY, "targetRefs": POLICY["targetRefs"] * 2}, "must differ in sectionName"),
    ("BackendTLSPolicy", {**POLICY, "validation": {"hostname": "a"}}, "and not both"),
    (
        "BackendTLSPolicy",
        {
            **POLICY,
            "validation": {**POLICY["validation"], "subjectAltNames": [{"type": "URI", "hostname": "a"}]},
        },
        "belongs to the type",
    ),
]


def document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    found = next(one for one in registry.in_group(GROUP) if one.name == kind)
    return {
        "apiVersion": found.api_version,
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": copy.deepcopy(spec),
    }


def broken(node: dict[str, Any], value: Any) -> Iterator[str]:
    """Ask CEL about every rule of a value and of all that is in it."""
    for rule in node.get("x-kubernetes-validations", ()):
        if rule["rule"] != "self == oldSelf" and not cel.holds(rule["rule"], value):
            yield rule["message"]
    if isinstance(value, dict):
        for name, part in value.items():
            inner = node.get("properties", {}).get(name)
            if inner is not None:
                yield from broken(inner, part)
    if isinstance(value, list):
        for part in value:
            yield from broken(node["items"], part)


def told(kind: str, spec: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Give what decoding tells, and what the rules of the definition tell of the same once it is filled in."""
    found = next(one for one in registry.in_group(GROUP) if one.name == kind)
    written = document(kind, spec)
    _, problems = decode(found, written)
    schema = openapi.structural_schema(found, found.storage_version)["properties"]["spec"]
    whole = filled(Schemas(openapi.definitions()), schema, written["spec"])
    return {one.message for one in problems}, set(broken(schema, whole))


@pytest.mark.parametrize(("kind", "spec"), GOOD, ids=lambda value: value if isinstance(value, str) else "")
def test_good_ones_are_good_to_both(kind: str, spec: dict[str, Any]) -> None:
    assert told(kind, spec) == (set(), set())


@pytest.mark.parametrize(("kind", "spec", "message"), BAD, ids=[bad[2] for bad in BAD])
def test_bad_ones_are_bad_to_both(kind: str, spec: dict[str, Any], message: str) -> None:
    ours, theirs = told(kind, spec)
    assert any(message in one for one in ours), ours
    assert any(message in one for one in theirs), theirs
    assert ours == theirs


def test_every_rule_is_broken_by_some_test() -> None:
    met = {one for _, spec, message in BAD for one in told(_, spec)[1]}
    known = set()
    for kind in registry.in_group(GROUP):
        schema = openapi.structural_schema(kind, kind.storage_version)["properties"]["spec"]
        known |= set(_messages(schema))
    unmet = {one for one in known - met if "belongs to" not in one and "immutable" not in one}
    # Alike for annotations, for methods and headers, and for names of another sort.
    assert {one for one in unmet if "annotations" not in one and "stands alone" not in one} <= {
        "the DNS name before the slash in keys of labels may have at most 252 characters",
        "of several references to one target all must have sectionName, or none",
        "each Hostname may be given once",
        "a filter of type RequestHeaderModifier, ResponseHeaderModifier may be given once",
    }


def _messages(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, inner in node.items():
            if key == "x-kubernetes-validations":
                yield from (rule["message"] for rule in inner)
            else:
                yield from _messages(inner)


@pytest.mark.parametrize(
    ("kind", "spec", "path", "message"),
    [
        ("HTTPRoute", {"hostnames": ["*.*.a"]}, "spec.hostnames[0]", "does not match"),
        ("HTTPRoute", {"rules": []}, "spec.rules", "at least 1"),
        ("HTTPRoute", http(matches=[{"method": "get"}]), "spec.rules[0].matches[0].method", "GET"),
        ("HTTPRoute", http(backendRef=[]), "spec.rules[0].backendRef", "unknown field"),
        (
            "HTTPRoute",
            http(backendRefs=[{**BACKEND, "weight": -1}]),
            "spec.rules[0].backendRefs[0].weight",
            "between 0",
        ),
        ("HTTPRoute", http(timeouts={"request": "1.5s"}), "spec.rules[0].timeouts.request", "does not match"),
        ("HTTPRoute", http(matches=[{"headers": [{"name": "a", "value": "1"}] * 2}]), "", "Duplicate value"),
        (
            "HTTPRoute",
            http(filters=[{"type": "CORS", "cors": {"allowMethods": ["GET", "PUT", "GET"]}}]),
            "spec.rules[0].filters[0].cors.allowMethods[2]",
            'Duplicate value: "GET"',
        ),
        ("Gateway", {"gatewayClassName": "istio"}, "spec.listeners", "Required value"),
        (
            "Gateway",
            {**GATEWAY, "listeners": GATEWAY["listeners"] * 2},
            "spec.listeners[1]",
            "Duplicate value",
        ),
        (
            "Gateway",
            listeners({"port": 0, "protocol": "HTTP"}),
            "spec.listeners[0].port",
            "between 1 and 65535",
        ),
        ("GatewayClass", {"controllerName": "istio"}, "spec.controllerName", "does not match"),
        ("ReferenceGrant", {"from": [], "to": []}, "spec.from", "at least 1"),
        ("TLSRoute", {"rules": TLS["rules"]}, "spec.hostnames", "Required value"),
        ("TLSRoute", {**TLS, "rules": TLS["rules"] * 2}, "spec.rules", "at most 1"),
    ],
)
def test_bounds_are_the_gateway_apis(kind: str, spec: dict[str, Any], path: str, message: str) -> None:
    found = next(one for one in registry.in_group(GROUP) if one.name == kind)
    _, problems = decode(found, document(kind, spec))
    assert any(message in one.message + one.hint and one.path.startswith(path) for one in problems), problems


TWO = TLS["rules"] * 2


@pytest.mark.parametrize(
    ("version", "spec", "paths"),
    [
        ("v1", TLS, []),
        ("v1", {"rules": TWO}, ["spec.hostnames", "spec.rules"]),
        ("v1alpha3", {**TLS, "rules": TWO}, []),
        ("v1alpha3", {"rules": TWO}, ["spec.hostnames"]),
        ("v1alpha2", {"rules": TWO}, []),
        ("v1alpha2", {**TLS, "hostnames": ["1.2.3.4"]}, ["spec.hostnames"]),
    ],
)
def test_a_tls_route_is_held_to_the_bounds_of_its_version(
    version: str, spec: dict[str, Any], paths: list[str]
) -> None:
    kind = registry.find(GROUP, version, "TLSRoute")
    assert kind is not None
    written = document("TLSRoute", spec) | {"apiVersion": f"{GROUP}/{version}"}
    made, found = decode(kind, written)
    assert sorted(one.path for one in found) == paths
    if made is not None:
        assert decode(kind, encode(kind, made, version)) == (made, ())
        # What is kept is read whole, in whatever version it was written.
        assert decode_lenient(kind, {**written, "apiVersion": f"{GROUP}/v1"}) == made
        assert len(made.spec.rules) == len(spec["rules"])
    schema = openapi.structural_schema(kind, version)["properties"]["spec"]
    assert schema["properties"]["rules"]["maxItems"] == (1 if version == "v1" else 16)
    assert ("hostnames" in schema["required"]) is (version != "v1alpha2")
