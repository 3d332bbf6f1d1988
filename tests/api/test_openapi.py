from __future__ import annotations

import json
from typing import Any

import pytest

from meltemi.api import openapi
from meltemi.api.compiled import fields_of
from meltemi.api.kind import Kind
from meltemi.api.kubernetes.schemas import PREFIX
from meltemi.api.registry import KINDS

ALL = [(kind, version) for kind in KINDS for version in kind.versions]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_every_reference_leads_to_a_definition() -> None:
    known = openapi.definitions()
    for name, schema in known.items():
        for reference in references(schema):
            assert reference.removeprefix(PREFIX) in known, name
    assert openapi.OBJECT_META in known


@pytest.mark.parametrize(("kind", "version"), ALL, ids=lambda x: getattr(x, "name", x))
def test_a_kinds_definition_says_its_kind_and_metadata(kind: Kind[Any], version: str) -> None:
    schema = openapi.schema(kind, version)
    assert {"group": kind.group, "version": version, "kind": kind.name} in schema[
        "x-kubernetes-group-version-kind"
    ]
    assert openapi.OBJECT_META in json.dumps(schema["properties"]["metadata"])
    assert ("spec" in schema["properties"]) != kind.body


def test_names_of_definitions_are_kubernetes_and_istios() -> None:
    names = {openapi.definition_name(kind, kind.storage_version) for kind in KINDS}
    assert "io.k8s.api.core.v1.Pod" in names
    assert "io.istio.networking.v1.VirtualService" in names


def test_lists_say_how_they_are_merged() -> None:
    ports = openapi.definitions()["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["port", "protocol"]
    assert ports["x-kubernetes-patch-merge-key"] == "port"
    assert (
        openapi.definitions()["io.k8s.api.core.v1.ServicePort"]["properties"]["protocol"]["default"] == "TCP"
    )
    containers = openapi.definitions()["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-strategy"] == "merge"


def structural(node: Any, path: str = "") -> None:
    """The rules that a CRD's schema must keep."""
    assert "$ref" not in node, path
    assert "type" in node or node.get("x-kubernetes-int-or-string"), path
    for name, inner in node.get("properties", {}).items():
        structural(inner, f"{path}.{name}")
    assert not ("properties" in node and "additionalProperties" in node), path
    for key in ("items", "additionalProperties"):
        if key in node:
            structural(node[key], f"{path}.{key}")
    for name in node.get("required", ()):
        assert name in node["properties"], path
    if node.get("x-kubernetes-list-type") == "map":
        for key in node["x-kubernetes-list-map-keys"]:
            assert key in node["items"]["properties"], path
            assert key in node["items"]["required"] or node["items"]["properties"][key].get("default"), path


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.group.endswith("istio.io")], ids=lambda k: k.name
)
def test_schemas_of_istios_kinds_are_structural(kind: Kind[Any]) -> None:
    for version in kind.versions:
        schema = openapi.structural_schema(kind, version)
        spec = schema["properties"]["spec"]
        structural(spec)
        known = {f.json for f in fields_of(kind.model) if not f.meta.versions or version in f.meta.versions}
        assert set(spec["properties"]) == known
        json.dumps(schema)


def rules(kind: str, *path: str) -> str:
    """Give the rules of a part of a networking kind's spec, as one text."""
    declared = next(one for one in KINDS if one.name == kind and one.group == "networking.istio.io")
    node = openapi.structural_schema(declared, declared.storage_version)["properties"]["spec"]
    for name in path:
        node = node["items"] if name == "[]" else node["properties"][name]
    return " ".join(one["rule"] for one in node["x-kubernetes-validations"])


def test_rules_between_fields_are_where_istios_crds_have_them() -> None:
    assert "has(self.address) || has(self.network)" in rules("WorkloadEntry")
    assert "has(self.network)" in rules("ServiceEntry", "endpoints", "[]")
    assert "has(self.network)" not in rules("WorkloadGroup", "template")
    assert "startsWith('unix://@')" in rules("WorkloadGroup", "template")
    assert "DNS_ROUND_ROBIN" in rules("ServiceEntry")
    assert "WAYPOINT" in rules("EnvoyFilter", "configPatches", "[]", "match")
    assert "contains('*')" in rules("EnvoyFilter", "workloadSelector")
    assert "has(self.tlsCertificates)" in rules("Sidecar", "ingress", "[]", "tls")
    assert "size(key) != 0" in rules("ProxyConfig", "selector")


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("WorkloadEntry", True),
        ("WorkloadGroup", True),
        ("ServiceEntry", True),
        ("DestinationRule", True),
        ("Sidecar", False),
        ("EnvoyFilter", False),
        ("ProxyConfig", False),
        ("VirtualService", False),
    ],
)
def test_a_spec_is_required_where_an_empty_one_would_be_wrong(name: str, *, needed: bool) -> None:
    kind = next(kind for kind in KINDS if kind.name == name and kind.group == "networking.istio.io")
    schema = openapi.structural_schema(kind, kind.storage_version)
    assert (schema.get("required") == ["spec"]) == needed


def test_constraints_are_in_the_schema() -> None:
    kind = next(kind for kind in KINDS if kind.name == "VirtualService")
    route = openapi.structural_schema(kind, "v1")["properties"]["spec"]["properties"]["http"]["items"][
        "properties"
    ]
    assert route["timeout"]["x-kubernetes-validations"][0]["rule"] == "duration(self) >= duration('1ms')"
    match = route["match"]["items"]["properties"]
    assert (match["port"]["minimum"], match["port"]["maximum"]) == (0, 4294967295)
    assert {"required": ["exact"]} in match["uri"]["oneOf"]
    assert "websocketUpgrade" not in route
    assert route["corsPolicy"]["properties"]["unmatchedPreflights"]["enum"] == [
        "UNSPECIFIED",
        "FORWARD",
        "IGNORE",
    ]
