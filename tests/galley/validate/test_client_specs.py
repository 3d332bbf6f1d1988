from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, told

VERSION = "config.istio.io/v1alpha2"
SERVICES = [{"name": "a"}]


def refused(kind: str, spec: Any) -> list[str]:
    return errors(kind, spec, version=VERSION)


def quotas(**more: Any) -> dict[str, Any]:
    return {"rules": [{"quotas": [{"quota": "rc", "charge": 1}], **more}]}


def clause(**match: Any) -> dict[str, Any]:
    return quotas(match=[{"clause": {"api.operation": match}}])


AT = 'spec.rules[0].match[0].clause["api.operation"]'


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (quotas(), []),
        (quotas(quotas=[{"quota": "rc", "charge": "9223372036854775807"}]), []),
        (clause(exact="a"), []),
        (clause(regex="^a.*$"), []),
        ({}, ["spec.rules"]),
        ({"rules": [{}]}, ["spec.rules[0].quotas"]),
        (quotas(quotas=[{}]), ["spec.rules[0].quotas[0].charge", "spec.rules[0].quotas[0].quota"]),
        (quotas(quotas=[{"quota": "rc", "charge": "-1"}]), ["spec.rules[0].quotas[0].charge"]),
        (quotas(quotas=[{"quota": "rc", "charge": "1.5"}]), ["spec.rules[0].quotas[0].charge"]),
        (
            quotas(quotas=[{"quota": "rc", "charge": "9223372036854775808"}]),
            ["spec.rules[0].quotas[0].charge"],
        ),
        (clause(), [AT]),
        (clause(exact=""), [f"{AT}.exact"]),
        (clause(prefix=""), [f"{AT}.prefix"]),
        (clause(regex="(a"), [f"{AT}.regex"]),
        (clause(exact="a", prefix="b"), [f"{AT}.prefix"]),
    ],
)
def test_quota_specs(spec: Any, paths: list[str]) -> None:
    assert refused("QuotaSpec", spec) == paths


@pytest.mark.parametrize(
    ("kind", "field"), [("QuotaSpecBinding", "quotaSpecs"), ("HTTPAPISpecBinding", "apiSpecs")]
)
@pytest.mark.parametrize(
    ("services", "specs", "paths"),
    [
        (SERVICES, [{"name": "a", "namespace": "b"}], []),
        ([{"service": "*"}, {"service": "a.example.com"}, {"service": "10.0.0.0/8"}], [{"name": "a"}], []),
        ([{"name": "a", "namespace": "b", "domain": "svc.cluster.local", "labels": {"v": "1"}}], [{"name": "a"}], []),
        ([], [], ["spec.services", "spec.{}"]),
        ([{}], [{"name": ""}], ["spec.services[0]", "spec.{}[0].name"]),
        ([{"name": "a", "service": "b"}], [{"name": "a", "namespace": "b.c"}],
         ["spec.services[0].service", "spec.{}[0].namespace"]),
        ([{"name": "a.b", "namespace": "c.d", "domain": "-"}], [{"name": "a"}],
         ["spec.services[0].domain", "spec.services[0].name", "spec.services[0].namespace"]),
        ([{"service": "a.b", "namespace": "c", "domain": "d"}], [{"name": "a"}],
         ["spec.services[0].domain", "spec.services[0].namespace"]),
        ([{"service": "a..b"}, {"service": "10.0.0.0/33"}], [{"name": "a"}],
         ["spec.services[0].service", "spec.services[1].service"]),
    ],
)  # fmt: skip
def test_bindings(kind: str, field: str, services: Any, specs: Any, paths: list[str]) -> None:
    wanted = sorted(path.format(field) for path in paths)
    assert refused(kind, {"services": services, field: specs}) == wanted


def test_bindings_need_both() -> None:
    assert refused("QuotaSpecBinding", {}) == ["spec.quotaSpecs", "spec.services"]
    assert refused("QuotaSpecBinding", None) == ["spec"]


PATTERN = {"httpMethod": "GET", "uriTemplate": "/pets/{id}"}


def with_value(**value: Any) -> dict[str, Any]:
    return {"patterns": [PATTERN], "attributes": {"attributes": {"a.b": value}}}


VALUE = 'spec.attributes.attributes["a.b"]'


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"patterns": [PATTERN, {"httpMethod": "POST", "regex": "^/a"}], "apiKeys": [{"query": "key"}]}, []),
        (with_value(stringValue="x"), []),
        (with_value(int64Value="5"), []),
        (with_value(boolValue=False), []),
        (with_value(timestampValue="2018-07-31T00:00:00Z"), []),
        (with_value(durationValue="1s"), []),
        (with_value(stringMapValue={"entries": {"a": "b"}}), []),
        ({}, ["spec.patterns"]),
        ({"patterns": [{}]}, ["spec.patterns[0].httpMethod"]),
        ({"patterns": [{"httpMethod": "GET", "uriTemplate": ""}]}, ["spec.patterns[0].uriTemplate"]),
        ({"patterns": [{"httpMethod": "GET", "uriTemplate": "/{a"}]}, ["spec.patterns[0].uriTemplate"]),
        ({"patterns": [{"httpMethod": "GET", "regex": ""}]}, ["spec.patterns[0].regex"]),
        ({"patterns": [{**PATTERN, "regex": "a"}]}, ["spec.patterns[0].regex"]),
        ({"patterns": [{**PATTERN, "attributes": {}}]}, ["spec.patterns[0].attributes.attributes"]),
        (
            {"patterns": [PATTERN], "apiKeys": [{}, {"header": ""}]},
            ["spec.apiKeys[0]", "spec.apiKeys[1].header"],
        ),
        (with_value(), [VALUE]),
        (with_value(stringValue=""), [f"{VALUE}.stringValue"]),
        (with_value(bytesValue=""), [f"{VALUE}.bytesValue"]),
        (with_value(timestampValue="2018-07-31"), [f"{VALUE}.timestampValue"]),
        (with_value(durationValue="1us"), [f"{VALUE}.durationValue"]),
        (with_value(stringMapValue={}), [f"{VALUE}.stringMapValue.entries"]),
    ],
)
def test_api_specs(spec: Any, paths: list[str]) -> None:
    assert refused("HTTPAPISpec", spec) == paths


def test_a_pattern_without_a_path_is_told() -> None:
    found = told("HTTPAPISpec", {"patterns": [{"httpMethod": "GET"}]}, version=VERSION)
    assert ("IST0133", "spec.patterns[0]") in found
