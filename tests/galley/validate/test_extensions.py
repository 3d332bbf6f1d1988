from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.galley import rule_documents

VERSION = "extensions.istio.io/v1alpha1"
errors = partial(rule_documents.errors, version=VERSION)
told = partial(rule_documents.told, version=VERSION)
LUA = "function envoy_on_request(handle) end"

MODULES: list[tuple[dict[str, Any], str]] = [
    ({}, "url"),
    ({"url": ""}, "url"),
    ({"url": "ftp://a/b"}, "url"),
    ({"url": "registry:5000/a"}, "url"),
    ({"url": "https://a/%zz"}, "url"),
    ({"url": "a b"}, "url"),
    ({"url": "#a"}, "url"),
    ({"url": "a", "sha256": "A" * 64}, "sha256"),
    ({"url": "a@sha256:" + "a" * 64, "sha256": "b" * 64}, "sha256"),
    ({"url": "a", "imagePullSecret": ""}, "imagePullSecret"),
    ({"url": "a", "imagePullSecret": "a" * 254}, "imagePullSecret"),
    ({"url": "a", "pluginName": "a" * 257}, "pluginName"),
    ({"url": "a", "pluginConfig": ["a"]}, "pluginConfig"),
    ({"url": "a", "imagePullPolicy": "Never"}, "imagePullPolicy"),
    ({"url": "a", "failStrategy": "FAIL"}, "failStrategy"),
    ({"url": "a", "type": "TCP"}, "type"),
    ({"url": "a", "vmConfig": {"env": [{"name": "a"}, {"name": "a"}]}}, "vmConfig.env[1]"),
    ({"url": "a", "vmConfig": {"env": [{"name": ""}]}}, "vmConfig.env[0].name"),
    ({"url": "a", "vmConfig": {"env": [{"name": "a" * 257}]}}, "vmConfig.env[0].name"),
    ({"url": "a", "vmConfig": {"env": [{"name": "a", "value": "b" * 2049}]}}, "vmConfig.env[0].value"),
    (
        {"url": "a", "vmConfig": {"env": [{"name": "a", "valueFrom": "HOST", "value": "b"}]}},
        "vmConfig.env[0].value",
    ),
    ({"url": "a", "vmConfig": {"env": [{"name": str(n)} for n in range(257)]}}, "vmConfig.env"),
]
PLACES: list[tuple[dict[str, Any], str]] = [
    ({"phase": "FIRST"}, "spec.phase"),
    ({"priority": 2**31}, "spec.priority"),
    ({"match": [{"ports": [{}]}]}, "spec.match[0].ports[0].number"),
    ({"match": [{"ports": [{"number": 0}]}]}, "spec.match[0].ports[0].number"),
    ({"match": [{"ports": [{"number": 65536}]}]}, "spec.match[0].ports[0].number"),
    ({"match": [{"ports": [{"number": 1}, {"number": 1}]}]}, "spec.match[0].ports[1]"),
    ({"match": [{"mode": "BOTH"}]}, "spec.match[0].mode"),
    ({"match": [None]}, "spec.match[0]"),
    ({"selector": {"matchLabels": {"a": "*"}}}, "spec.selector.matchLabels.a"),
    ({"selector": {}, "targetRefs": [{"kind": "Service", "name": "a"}]}, "spec"),
    ({"targetRefs": [{"kind": "Pod", "name": "a"}]}, "spec.targetRefs[0].kind"),
]


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_modules_that_are_refused(module: dict[str, Any], path: str) -> None:
    assert errors("WasmPlugin", module) == [f"spec.{path}"]
    assert errors("TrafficExtension", {"wasm": module}) == [f"spec.wasm.{path}"]


@pytest.mark.parametrize(("place", "path"), PLACES)
def test_places_that_are_refused(place: dict[str, Any], path: str) -> None:
    assert errors("WasmPlugin", {"url": "a", **place}) == [path]
    assert errors("TrafficExtension", {"lua": {"inlineCode": LUA}, **place}) == [path]


@pytest.mark.parametrize(
    "url",
    [
        "a",
        "ghcr.io/a/b:v1",
        "oci://ghcr.io:443/a@sha256:" + "a" * 64,
        "a@sha256:" + "a" * 64,
        "https://a/b%20c?d#e",
        "HTTP://a",
        "file:///a.wasm",
    ],
)
def test_where_a_module_may_be(url: str) -> None:
    assert errors("WasmPlugin", {"url": url}) == []


def test_an_extension_is_a_module_or_a_script() -> None:
    assert errors("TrafficExtension", {}) == ["spec"]
    assert errors("TrafficExtension", {"wasm": {"url": "a"}, "lua": {"inlineCode": LUA}}) == ["spec"]
    assert errors("TrafficExtension", {"lua": {"inlineCode": ""}}) == ["spec.lua.inlineCode"]
    assert errors("TrafficExtension", {"lua": {}}) == ["spec.lua.inlineCode"]
    assert errors("TrafficExtension", {"lua": {"inlineCode": "-" * 65537}}) == ["spec.lua.inlineCode"]
    assert errors("TrafficExtension", {"lua": {"inlineCode": LUA.ljust(65536)}, "phase": "AUTHZ"}) == []


def test_what_is_told() -> None:
    assert told("WasmPlugin", {"url": "a", "verificationKey": "b"}) == [("IST0133", "spec.verificationKey")]
    assert told("TrafficExtension", {"lua": {"inlineCode": "x = 1"}}) == [("IST0133", "spec.lua.inlineCode")]
    assert told("WasmPlugin", {"url": "a", "selector": {}}) == [("IST0133", "spec.selector")]
    assert told("WasmPlugin", {"url": "a", "pluginConfig": {"a": [1, None]}, "priority": -5}) == []
