from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.galley import rule_documents

from meltemi.api.security.authorization_policy import AUTHORIZATION_POLICY
from meltemi.checks import check
from meltemi.galley.validate import attributes

errors = partial(rule_documents.errors, "AuthorizationPolicy", version="security.istio.io/v1")
told = partial(rule_documents.told, "AuthorizationPolicy", version="security.istio.io/v1")


def source(**fields: Any) -> dict[str, Any]:
    return {"rules": [{"from": [{"source": fields}]}]}


def operation(**fields: Any) -> dict[str, Any]:
    return {"rules": [{"to": [{"operation": fields}]}]}


def when(key: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"rules": [{"when": [{"key": key, "values": list(values), **more}]}]}


SOURCE, OPERATION = "spec.rules[0].from[0].source", "spec.rules[0].to[0].operation"
GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (source(), SOURCE),
        (operation(), OPERATION),
        ({"rules": [{"from": []}]}, "spec.rules[0].from"),
        ({"rules": [{"to": []}]}, "spec.rules[0].to"),
        ({"rules": [{"from": [{}]}]}, SOURCE),
        ({"rules": [{"to": [{}]}]}, OPERATION),
        ({"rules": [None]}, "spec.rules[0]"),
        ({"rules": [{}] * 513}, "spec.rules"),
        (source(principals=["a", ""]), f"{SOURCE}.principals[1]"),
        (source(notTrustDomains=[""]), f"{SOURCE}.notTrustDomains[0]"),
        (source(ipBlocks=["1.2.3.4", "1.2.3"]), f"{SOURCE}.ipBlocks[1]"),
        (source(notIpBlocks=["1.2.3.4/33"]), f"{SOURCE}.notIpBlocks[0]"),
        (source(remoteIpBlocks=["1.2.3.0/024"]), f"{SOURCE}.remoteIpBlocks[0]"),
        (source(notRemoteIpBlocks=["a/8"]), f"{SOURCE}.notRemoteIpBlocks[0]"),
        (source(serviceAccounts=["a/b/c"]), f"{SOURCE}.serviceAccounts[0]"),
        (source(serviceAccounts=["/b"]), f"{SOURCE}.serviceAccounts[0]"),
        (source(notServiceAccounts=["a/*"]), f"{SOURCE}.notServiceAccounts[0]"),
        (source(serviceAccounts=["a" * 321]), f"{SOURCE}.serviceAccounts[0]"),
        (source(serviceAccounts=["a"] * 17), f"{SOURCE}.serviceAccounts"),
        (source(notServiceAccounts=["a"], notNamespaces=["b"]), SOURCE),
        (operation(ports=["80", "http"]), f"{OPERATION}.ports[1]"),
        (operation(notPorts=["65536"]), f"{OPERATION}.notPorts[0]"),
        (operation(ports=["9" * 5000]), f"{OPERATION}.ports[0]"),
        (operation(ports=["-1"]), f"{OPERATION}.ports[0]"),
        (operation(methods=[""]), f"{OPERATION}.methods[0]"),
        (operation(paths=["/a/{b}"]), f"{OPERATION}.paths[0]"),
        (operation(paths=["/{**}/a/{*}"]), f"{OPERATION}.paths[0]"),
        (operation(notPaths=["/{*}/b*"]), f"{OPERATION}.notPaths[0]"),
        (operation(paths=["/{*}//b"]), f"{OPERATION}.paths[0]"),
        (operation(paths=["/a{*}"]), f"{OPERATION}.paths[0]"),
        (source(ipBlocks=["10.0.0.1/33"]), f"{SOURCE}.ipBlocks[0]"),
        (source(ipBlocks=["::1/129"]), f"{SOURCE}.ipBlocks[0]"),
        (operation(paths=["/a{b"]), f"{OPERATION}.paths[0]"),
        (operation(paths=["/a}"]), f"{OPERATION}.paths[0]"),
        ({"rules": [{"when": [{"values": ["a"]}]}]}, "spec.rules[0].when[0].key"),
        (when("", "a"), "spec.rules[0].when[0].key"),
        (when("source.ip"), "spec.rules[0].when[0]"),
        (when("source.ip", "1.2.3.4", notValues=["x"]), "spec.rules[0].when[0].notValues[0]"),
        (when("remote.ip", "1.2.3.4/99"), "spec.rules[0].when[0].values[0]"),
        (when("destination.port", "x"), "spec.rules[0].when[0].values[0]"),
        (when("source.serviceAccount", "a/b/c"), "spec.rules[0].when[0].values[0]"),
        (when("source.namespace", ""), "spec.rules[0].when[0].values[0]"),
        (when("request.headers", "a"), "spec.rules[0].when[0].key"),
        (when("request.headers[]", "a"), "spec.rules[0].when[0].key"),
        (when("request.auth.claims[a", "a"), "spec.rules[0].when[0].key"),
        (when("experimental.envoy.filters.a", "a"), "spec.rules[0].when[0].key"),
        (when("destination.labels[app]", "a"), "spec.rules[0].when[0].key"),
        (when("destination.namespace", "a"), "spec.rules[0].when[0].key"),
        (when("destination.user", "a"), "spec.rules[0].when[0].key"),
        (when("source.names", "a"), "spec.rules[0].when[0].key"),
        ({"action": "DENY"}, "spec.rules"),
        ({"action": "NEVER"}, "spec.action"),
        ({"action": "CUSTOM", "provider": {"name": "a"}}, "spec.rules"),
        ({"action": "CUSTOM", "rules": [{}]}, "spec.provider.name"),
        ({"action": "CUSTOM", "rules": [{}], "provider": {}}, "spec.provider.name"),
        ({"action": "ALLOW", "rules": [{}], "provider": {"name": "a"}}, "spec.provider"),
        ({"rules": [{}], "selector": {"matchLabels": {"a": "b*"}}}, "spec.selector.matchLabels.a"),
        ({"rules": [{}], "selector": {"matchLabels": {"": "b"}}}, "spec.selector.matchLabels"),
        ({"rules": [{}], "selector": {}, "targetRefs": [GATEWAY]}, "spec"),
        ({"rules": [{}], "targetRef": GATEWAY, "targetRefs": [GATEWAY]}, "spec"),
        ({"rules": [{}], "targetRefs": [GATEWAY] * 17}, "spec.targetRefs"),
        ({"rules": [{}], "targetRefs": [{**GATEWAY, "namespace": "b"}]}, "spec.targetRefs[0].namespace"),
        ({"rules": [{}], "targetRefs": [{**GATEWAY, "kind": "Pod"}]}, "spec.targetRefs[0].kind"),
        ({"rules": [{}], "targetRefs": [{**GATEWAY, "group": ""}]}, "spec.targetRefs[0].group"),
        ({"rules": [{}], "targetRef": {"kind": "Service", "name": ""}}, "spec.targetRef.name"),
    ],
)
def test_what_is_refused(spec: dict[str, Any], path: str) -> None:
    assert errors(spec) == [path]


@pytest.mark.parametrize(
    "field",
    [
        "principals",
        "notPrincipals",
        "requestPrincipals",
        "notRequestPrincipals",
        "namespaces",
        "notNamespaces",
        "serviceAccounts",
        "notServiceAccounts",
    ],
)
def test_who_calls_is_not_known_to_an_external_authorizer(field: str) -> None:
    custom = {"action": "CUSTOM", "provider": {"name": "a"}}
    assert errors({**custom, **source(**{field: ["a"]})}) == [f"{SOURCE}.{field}"]


def test_conditions_on_who_calls_are_not_known_to_it_either() -> None:
    custom = {"action": "CUSTOM", "provider": {"name": "a"}}
    for key in ("source.principal", "source.namespace", "source.serviceAccount", "request.auth.claims[a]"):
        assert errors({**custom, **when(key, "a")}) == ["spec.rules[0].when[0].key"]
    for key, value in (("source.ip", "1.2.3.4"), ("request.headers[a]", "b"), ("destination.port", "80")):
        assert errors({**custom, **when(key, value)}) == []


def test_every_error_is_told_at_once() -> None:
    spec = {
        "action": "DENY",
        "provider": {"name": "a"},
        "rules": [
            {"from": [{"source": {"ipBlocks": ["x"]}}], "to": [{"operation": {"ports": ["y"]}}]},
            {"when": [{"key": "z"}]},
        ],
    }
    assert errors(spec) == [
        "spec.provider",
        "spec.rules[0].from[0].source.ipBlocks[0]",
        "spec.rules[0].to[0].operation.ports[0]",
        "spec.rules[1].when[0]",
        "spec.rules[1].when[0].key",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"rules": [{}]},
        {"action": "DENY", "rules": [{}]},
        {"action": "CUSTOM", "provider": {"name": "a"}, "rules": [{}]},
        {"action": "AUDIT", "rules": [{}]},
        source(ipBlocks=["1.2.3.4", "10.0.0.0/8", "fe80::1", "2001:db8::/32", "1.2.3.4/8"]),
        source(trustDomains=["a"]),
        source(ipBlocks=["10.0.0.1/32", "10.0.0.1/0", "::1/128"]),
        operation(ports=["0", "080", "65535"], paths=["/", "*", "/a*", "/a/{*}/b/{**}", "/a/{**}/"]),
        when("request.headers[x]", "a"),
        when("request.experimental.inline.headers[x]", "a"),
        when("connection.sni", notValues=["a"]),
        {"rules": [{}], "targetRefs": [GATEWAY, {"kind": "Service", "name": "a"}]},
        {
            "rules": [{}],
            "targetRefs": [{"group": "networking.istio.io", "kind": "ServiceEntry", "name": "a"}],
        },
        {"rules": [{}], "targetRef": {"group": "core", "kind": "Service", "name": "a"}},
    ],
)
def test_what_is_right(spec: dict[str, Any]) -> None:
    assert errors(spec) == []


def test_the_hint_for_a_misspelt_condition_names_the_right_one() -> None:
    (found,) = [
        one
        for one in rule_documents.findings(
            "AuthorizationPolicy", when("source.principle", "a"), version="security.istio.io/v1"
        )
        if one.path.endswith("key")
    ]
    assert found.hint == 'did you mean "source.principal"?'


def test_a_policy_that_allows_nothing_is_told() -> None:
    assert told({}) == [("MEL0031", "spec.rules")]
    assert told({"selector": {}, "rules": [{}]}) == [("IST0133", "spec.selector")]
    assert told({"targetRefs": [GATEWAY, GATEWAY], "rules": [{}]}) == [("IST0133", "spec.targetRefs[1]")]


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ({"to": [{"operation": {"methods": ["GET"]}}]}, True),
        ({"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}, False),
        ({"to": [{"operation": {"methods": ["GET"], "notPorts": ["80"]}}]}, False),
        ({"from": [{"source": {"requestPrincipals": ["a"]}}]}, True),
        ({"from": [{"source": {"requestPrincipals": ["a"], "namespaces": ["a"]}}]}, False),
        ({"from": [{"source": {"namespaces": ["a"]}}], "to": [{"operation": {"paths": ["/a"]}}]}, True),
        ({}, False),
    ],
)
def test_a_deny_rule_that_only_http_can_tell_denies_all_tcp(rule: dict[str, Any], warned: bool) -> None:
    expected = [("IST0133", "spec.rules[0]")] if warned else []
    assert told({"action": "DENY", "rules": [rule]}) == expected
    assert told({"action": "ALLOW", "rules": [rule]}) == []


def annotated(spec: dict[str, Any], **annotations: str) -> list[str]:
    metadata = {"name": "a", "namespace": "shop", "annotations": annotations}
    document = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": metadata}
    _, found = check(AUTHORIZATION_POLICY, {**document, "spec": spec})
    return [f"{one.path}: {one.message}" for one in found if one.code.id == "IST0106"]


@pytest.mark.parametrize("value", ["true", "False", "1", "t"])
def test_policies_that_allow_or_deny_can_be_run_dry(value: str) -> None:
    for action in ("ALLOW", "DENY"):
        assert annotated({"action": action, "rules": [{}]}, **{"istio.io/dry-run": value}) == []


def test_others_cannot_and_the_value_must_be_right() -> None:
    at = 'metadata.annotations["istio.io/dry-run"]'
    (found,) = annotated({"rules": [{}]}, **{"istio.io/dry-run": "yes"})
    assert found == f'{at}: must be "true" or "false", not "yes"'
    (found,) = annotated({"action": "AUDIT", "rules": [{}]}, **{"istio.io/dry-run": "true"})
    assert found == f"{at}: only policies that ALLOW or DENY can be run dry, not AUDIT"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("destination.labels[app]", "use spec.selector"),
        ("destination.user", "use a selector"),
        ("destination.namespace", "metadata.namespace says it"),
        ("source.ips", 'did you mean "source.ip"?'),
    ],
)
def test_keys_that_are_not_have_a_hint_of_what_is(key: str, hint: str) -> None:
    assert attributes.key_fault(key)[1] == hint
