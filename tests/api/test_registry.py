from __future__ import annotations

import dataclasses
from collections import Counter
from enum import Enum
from typing import Any

import pytest

from meltemi.api import registry
from meltemi.api.compiled import fields_of, unwrapped
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.registry import KINDS
from meltemi.api.values import Json

ISTIO = [kind for kind in KINDS if kind.group.endswith("istio.io")]


def test_every_kind_is_found_by_each_of_its_versions_and_by_its_plural() -> None:
    for kind in KINDS:
        assert registry.by_resource(kind.group, kind.plural) is kind
        for version in kind.versions:
            assert registry.find(kind.group, version, kind.name) is kind


def test_names_resources_and_short_names_are_unique() -> None:
    assert len({kind.resource for kind in KINDS}) == len(KINDS)
    words = Counter(word for kind in KINDS for word in {*kind.short, kind.plural, kind.singular})
    # A Gateway is Istio's, and the Gateway API's.
    assert {word for word, count in words.items() if count > 1} == {"gateway", "gateways"}


def test_what_is_no_kind_is_none() -> None:
    assert registry.find("networking.istio.io", "v2", "VirtualService") is None
    assert registry.of_document({"apiVersion": "v1", "kind": ["Pod"]}) is None
    assert registry.of_document(["v1"]) is None
    assert registry.of_document({"kind": "Pod"}) is None


def test_versions_and_columns_are_istios() -> None:
    found = {
        kind.name: (kind.versions, kind.storage_version, [c.name for c in kind.columns]) for kind in ISTIO
    }
    three = ("v1", "v1beta1", "v1alpha3")
    assert found == {
        "VirtualService": (three, "v1", ["Gateways", "Hosts", "Age"]),
        "DestinationRule": (three, "v1", ["Host", "Age"]),
        "Gateway": (three, "v1", []),
        "ServiceEntry": (three, "v1", ["Hosts", "Location", "Resolution", "Age"]),
        "Sidecar": (three, "v1", []),
        "WorkloadEntry": (three, "v1", ["Age", "Address"]),
        "WorkloadGroup": (three, "v1", ["Age"]),
        "EnvoyFilter": (("v1alpha3",), "v1alpha3", []),
        "ProxyConfig": (("v1beta1",), "v1beta1", []),
        "PeerAuthentication": (("v1", "v1beta1"), "v1", ["Mode", "Age"]),
        "RequestAuthentication": (("v1", "v1beta1"), "v1", []),
        "AuthorizationPolicy": (("v1", "v1beta1"), "v1", ["Action", "Age"]),
        "Telemetry": (("v1", "v1alpha1"), "v1alpha1", ["Age"]),
        "WasmPlugin": (("v1alpha1",), "v1alpha1", ["Age"]),
        "TrafficExtension": (("v1alpha1",), "v1alpha1", ["Age"]),
        # Istio 1.0's own generation, whose CRDs have no columns.
        "Policy": (("v1alpha1",), "v1alpha1", []),
        "MeshPolicy": (("v1alpha1",), "v1alpha1", []),
        "RbacConfig": (("v1alpha1",), "v1alpha1", []),
        "ServiceRole": (("v1alpha1",), "v1alpha1", []),
        "ServiceRoleBinding": (("v1alpha1",), "v1alpha1", []),
        **{kind.name: (("v1alpha2",), "v1alpha2", []) for kind in registry.in_group("config.istio.io")},
    }


def models(model: type[Any], seen: set[type[Any]]) -> set[type[Any]]:
    if model not in seen:
        seen.add(model)
        for field in fields_of(model):
            for part in (unwrapped(field.type), *getattr(unwrapped(field.type), "__args__", ())):
                if isinstance(part, type) and dataclasses.is_dataclass(part) and part not in (Duration, Json):
                    models(part, seen)
    return seen


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_declared_value_is_frozen_hashable_and_documented(kind: Kind[Any]) -> None:
    for model in models(kind.model, set()):
        empty = model()
        assert hash(empty) == hash(model())
        assert model.__dataclass_params__.frozen
        assert "__slots__" in vars(model)
        assert model.__doc__
        assert not model.__doc__.startswith(model.__name__ + "(")
        for field in fields_of(model):
            assert field.meta.doc.endswith("."), f"{model.__name__}.{field.name}"


@pytest.mark.parametrize("kind", ISTIO, ids=lambda kind: kind.name)
def test_every_field_of_istios_kinds_is_declared(kind: Kind[Any]) -> None:
    for model in models(kind.model, set()):
        assert [f.name for f in dataclasses.fields(model)] == [f.name for f in fields_of(model)]


def test_enums_of_istio_have_protos_numbers() -> None:
    for kind in ISTIO:
        for model in models(kind.model, set()):
            for field in fields_of(model):
                hint = unwrapped(field.type)
                if isinstance(hint, type) and issubclass(hint, Enum):
                    assert [member.value for member in hint] == list(range(len(hint)))
