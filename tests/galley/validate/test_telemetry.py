from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.galley import rule_documents

errors = partial(rule_documents.errors, "Telemetry", version="telemetry.istio.io/v1")
told = partial(rule_documents.told, "Telemetry", version="telemetry.istio.io/v1")


def tracing(**fields: Any) -> dict[str, Any]:
    return {"tracing": [fields]}


def tag(**fields: Any) -> dict[str, Any]:
    return {"metrics": [{"overrides": [{"tagOverrides": {"a": fields}}]}]}


TAG = "spec.metrics[0].overrides[0].tagOverrides.a"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (tracing(randomSamplingPercentage=100.1), "spec.tracing[0].randomSamplingPercentage"),
        (tracing(randomSamplingPercentage=-1), "spec.tracing[0].randomSamplingPercentage"),
        (tracing(providers=[{}]), "spec.tracing[0].providers[0].name"),
        (tracing(providers=[{"name": ""}]), "spec.tracing[0].providers[0].name"),
        (tracing(match={"mode": "UNDEFINED"}), "spec.tracing[0].match.mode"),
        (tracing(customTags={"": {"literal": {"value": "b"}}}), 'spec.tracing[0].customTags[""]'),
        (tracing(customTags={"a": {"literal": {"value": ""}}}), "spec.tracing[0].customTags.a.literal.value"),
        (tracing(customTags={"a": {"literal": {}}}), "spec.tracing[0].customTags.a.literal.value"),
        (tracing(customTags={"a": {"header": {}}}), "spec.tracing[0].customTags.a.header.name"),
        (tracing(customTags={"a": {"environment": {"name": ""}}}), "spec.tracing[0].customTags.a.environment.name"),
        (tracing(customTags={"a": {"formatter": {"value": ""}}}), "spec.tracing[0].customTags.a.formatter.value"),
        (tracing(customTags={"a": None}), "spec.tracing[0].customTags.a"),
        (
            tracing(customTags={"a": {"literal": {"value": "b"}, "formatter": {"value": "c"}}}),
            "spec.tracing[0].customTags.a.formatter",
        ),
        (tag(operation="UPSERT"), f"{TAG}.value"),
        (tag(value=""), f"{TAG}.value"),
        (tag(), f"{TAG}.value"),
        (tag(operation="REMOVE", value="a"), f"{TAG}.value"),
        (tag(operation="NOTHING", value="a"), f"{TAG}.operation"),
        ({"metrics": [{"reportingInterval": "0s"}]}, "spec.metrics[0].reportingInterval"),
        ({"metrics": [{"overrides": [{"match": {"customMetric": ""}}]}]},
         "spec.metrics[0].overrides[0].match.customMetric"),
        ({"metrics": [{"overrides": [{"match": {"metric": "ALL_METRICS", "customMetric": "a"}}]}]},
         "spec.metrics[0].overrides[0].match.customMetric"),
        ({"accessLogging": [{"filter": {"expression": "response.code >="}}]},
         "spec.accessLogging[0].filter.expression"),
        ({"accessLogging": [{"providers": [{"name": ""}]}]}, "spec.accessLogging[0].providers[0].name"),
        ({"selector": {"matchLabels": {"a": "*"}}}, "spec.selector.matchLabels.a"),
        ({"selector": {}, "targetRefs": [{"kind": "Service", "name": "a"}]}, "spec"),
        ({"targetRefs": [{"kind": "Deployment", "name": "a"}]}, "spec.targetRefs[0].kind"),
    ],
)  # fmt: skip
def test_what_is_refused(spec: dict[str, Any], path: str) -> None:
    assert errors(spec) == [path]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"tracing": [{}, {}]}, "spec.tracing[1]"),
        (tracing(providers=[{"name": "a"}, {"name": "b"}]), "spec.tracing[0].providers[1]"),
        (tracing(customTags={"a": {}}), "spec.tracing[0].customTags.a"),
        (tag(value="request.host +"), f"{TAG}.value"),
        ({"selector": {}}, "spec.selector"),
    ],
)
def test_what_is_told(spec: dict[str, Any], path: str) -> None:
    assert errors(spec) == []
    assert told(spec) == [("IST0133", path)]


def test_what_is_right() -> None:
    spec = {
        "selector": {"matchLabels": {"app": "a"}},
        "tracing": [{"providers": [{"name": "a"}], "randomSamplingPercentage": 0, "disableContextPropagation": True,
                     "customTags": {"a": {"formatter": {"value": "%REQ(:PATH)%"}}}}],
        "metrics": [{"overrides": [{"match": {"mode": "SERVER", "metric": "REQUEST_COUNT"}, "disabled": True,
                                    "tagOverrides": {"a": {"value": "request.host"}, "b": {"operation": "REMOVE"}}}]}],
        "accessLogging": [{"filter": {"expression": "response.code >= 400 || has(request.headers['x'])"}}],
    }  # fmt: skip
    assert (errors(spec), told(spec)) == ([], [])
    assert errors({}) == []
