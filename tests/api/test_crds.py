"""What a cluster's API server asks of a definition, asked of each of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import re2
from tests.api import cel

from meltemi.api import crds, openapi, registry
from meltemi.api.decode import decode
from meltemi.api.kind import Kind

KINDS = crds.kinds()
Schema = dict[str, Any]

ALLOWED = {
    *("description", "type", "format", "default", "enum", "pattern", "required", "nullable"),
    *(
        "maximum",
        "minimum",
        "maxLength",
        "minLength",
        "maxItems",
        "minItems",
        "maxProperties",
        "minProperties",
    ),
    *("properties", "additionalProperties", "items", "allOf", "anyOf", "oneOf", "not"),
    *("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"),
}
# What may stand below allOf, anyOf, oneOf and not: conditions on values, and no structure.
CONDITIONS = {
    "required",
    "properties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "enum",
    "pattern",
    "minimum",
    "maximum",
}
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
LIST = ["allOf", "anyOf", "oneOf"]


def faults(node: Schema, path: str = "", *, root: bool = False) -> Iterator[str]:
    """The rules of a structural schema."""
    yield from (f"{path}: {key} is not allowed" for key in node.keys() - ALLOWED)
    open_ = node.get("x-kubernetes-preserve-unknown-fields")
    either = node.get("x-kubernetes-int-or-string")
    if not open_ and not either and node.get("type") not in TYPES:
        yield f"{path}: no type"
    if root and node.get("type") != "object":
        yield f"{path}: a definition is of an object"
    if either:
        if node.get("anyOf") != [{"type": "integer"}, {"type": "string"}] or "type" in node:
            yield f"{path}: int-or-string has a form of its own"
    else:
        for key in LIST:
            for one in node.get(key, ()):
                yield from conditions(one, node, f"{path}/{key}")
    if "properties" in node and "additionalProperties" in node:
        yield f"{path}: properties and additionalProperties exclude each other"
    yield from (
        f"{path}: {name} is required and no field"
        for name in node.get("required", ())
        if name not in node.get("properties", {})
    )
    if node.get("type") == "array":
        yield from array(node, path)
    if "pattern" in node:
        re2.compile(node["pattern"])
    for name, inner in node.get("properties", {}).items():
        yield from faults(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from faults(node[key], f"{path}.{key}")
    if "default" in node:
        yield from unfit(node, node["default"], f"{path} default")


def conditions(node: Schema, around: Schema, path: str) -> Iterator[str]:
    yield from (f"{path}: {key} is not allowed here" for key in node.keys() - CONDITIONS)
    known = around.get("properties", {})
    yield from (f"{path}: {name} is no field" for name in node.get("required", ()) if name not in known)
    for key in LIST:
        for one in node.get(key, ()):
            yield from conditions(one, around, path)
    if "not" in node:
        yield from conditions(node["not"], around, path)


def array(node: Schema, path: str) -> Iterator[str]:
    items = node.get("items")
    if not isinstance(items, dict):
        yield f"{path}: a list says what is in it"
        return
    kind = node.get("x-kubernetes-list-type", "atomic")
    if kind == "set" and items.get("type") in {"object", "array"}:
        yield f"{path}: a set is of plain values"
    if kind == "map":
        for key in node.get("x-kubernetes-list-map-keys") or ["(none)"]:
            inner = items.get("properties", {}).get(key, {})
            if inner.get("type") not in {"string", "integer", "boolean"}:
                yield f"{path}: the key {key} is no plain field"
            if key not in items.get("required", ()) and "default" not in inner:
                yield f"{path}: the key {key} may be missing"


def unfit(node: Schema, value: Any, path: str) -> Iterator[str]:
    """A default must fit its schema."""
    python = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if not isinstance(value, python[node["type"]]):
        yield f"{path}: {value!r} is no {node['type']}"
    elif isinstance(value, dict):
        known = node.get("properties", {})
        yield from (f"{path}: {name} is no field" for name in value.keys() - known.keys())
        yield from (f"{path}: {name} is missing" for name in node.get("required", ()) if name not in value)
        for name in value.keys() & known.keys():
            yield from unfit(known[name], value[name], f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from unfit(node["items"], item, path)
    elif "enum" in node and value not in node["enum"]:
        yield f"{path}: {value!r} is not one of {node['enum']}"


def rules(node: Any, path: str = "") -> Iterator[tuple[str, Schema, str]]:
    if isinstance(node, dict):
        for rule in node.get("x-kubernetes-validations") or ():
            yield path, node, rule["rule"]
        for key, inner in node.items():
            if key not in {"default", "x-kubernetes-validations"}:
                yield from rules(inner, f"{path}.{key}")


def versions(kind: Kind[Any]) -> list[tuple[str, Schema]]:
    return [(one["name"], one["schema"]["openAPIV3Schema"]) for one in crds.crd(kind)["spec"]["versions"]]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_schema_is_structural(kind: Kind[Any]) -> None:
    for version, schema in versions(kind):
        assert list(faults(schema, version, root=True)) == []
        assert set(schema["properties"]) >= {"apiVersion", "kind", "metadata"}
        assert schema["properties"]["metadata"] == {"type": "object"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_rule_is_cel_about_fields_that_there_are(kind: Kind[Any]) -> None:
    for version, schema in versions(kind):
        for path, node, rule in rules(schema, version):
            cel.compiled(rule)
            if "properties" in node:
                named = {
                    one.removeprefix("__").removesuffix("__")
                    for one in re.findall(r"self\.(\w+)\b(?!\()", rule)
                }
                assert named <= node["properties"].keys(), path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
def test_every_definition_is_one(kind: Kind[Any]) -> None:
    document = crds.crd(kind)
    definition = registry.find("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert definition is not None
    _, found = decode(definition, document)
    assert found == ()
    spec = document["spec"]
    assert document["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert [one["name"] for one in spec["versions"]] == list(kind.versions)
    assert [one["name"] for one in spec["versions"] if one["storage"]] == [kind.storage_version]
    assert all(("subresources" in one) is kind.has_status for one in spec["versions"])
    for column in spec["versions"][0].get("additionalPrinterColumns", ()):
        assert column["type"] in {"string", "integer", "number", "boolean", "date"}
        assert column["jsonPath"].startswith(".")
    words = (spec["names"]["plural"], spec["names"]["singular"], *spec["names"].get("shortNames", ()))
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", word) for word in words)
    approved = document["metadata"].get("annotations", {}).get("api-approved.kubernetes.io", "")
    assert approved.startswith("https://") is kind.group.endswith(".k8s.io")


def test_definitions_are_of_all_kinds_but_kubernetes_own() -> None:
    told = {kind.resource for kind in KINDS}
    assert {"virtualservices.networking.istio.io", "httproutes.gateway.networking.k8s.io"} <= told
    assert not {"pods", "deployments.apps", "customresourcedefinitions.apiextensions.k8s.io"} & told
    assert {kind.resource for kind in registry.KINDS if not openapi.is_native(kind)} == told


def test_a_definition_may_be_changed_and_the_next_is_as_it_was() -> None:
    kind = registry.find("gateway.networking.k8s.io", "v1", "HTTPRoute")
    assert kind is not None
    first = crds.crd(kind)
    before = json.dumps(first)
    first["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].clear()
    first["metadata"]["annotations"].clear()
    assert json.dumps(crds.crd(kind)) == before


def test_the_checker_finds_what_is_wrong() -> None:
    wrong = {
        "type": "object",
        "deprecated": True,
        "required": ["gone"],
        "properties": {
            "untyped": {},
            "list": {
                "type": "array",
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
            "filled": {"type": "integer", "default": "no"},
        },
        "oneOf": [{"required": ["nothing"], "type": "object"}],
    }
    assert len(list(faults(wrong))) == 7
