from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, findings, told

V1BETA1 = "networking.istio.io/v1beta1"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"concurrency": -1}, "spec.concurrency"),
        ({"concurrency": 2**31}, "spec.concurrency"),
        ({"selector": {"matchLabels": {"": "a"}}}, "spec.selector.matchLabels"),
        ({"selector": {"matchLabels": {"a": "*"}}}, "spec.selector.matchLabels.a"),
        ({"selector": {"matchLabels": {"a*": "b"}}}, 'spec.selector.matchLabels["a*"]'),
        ({"environmentVariables": {"a=b": "c"}}, 'spec.environmentVariables["a=b"]'),
        ({"environmentVariables": {"A": "b" * 2049}}, "spec.environmentVariables.A"),
        ({"environmentVariables": {"A": 1}}, "spec.environmentVariables.A"),
        ({"image": {"type": "debug"}}, "spec.image.type"),
    ],
)
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert errors("ProxyConfig", spec, version=V1BETA1) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {
            "selector": {"matchLabels": {"app": "a"}},
            "concurrency": 0,
            "image": {"imageType": "distroless"},
            "environmentVariables": {"ISTIO_META_A": "b"},
        },
    ],
)
def test_what_istio_takes_is_taken(spec: Any) -> None:
    assert errors("ProxyConfig", spec, version=V1BETA1) == []
    assert told("ProxyConfig", spec, version=V1BETA1) == []


def test_what_is_likely_wrong_is_told() -> None:
    assert told("ProxyConfig", {"selector": {}}, version=V1BETA1) == [("IST0133", "spec.selector")]
    image = {"image": {"imageType": "distroles"}}
    assert told("ProxyConfig", image, version=V1BETA1) == [("IST0133", "spec.image.imageType")]
    assert 'did you mean "distroless"?' in {
        one.hint for one in findings("ProxyConfig", image, version=V1BETA1)
    }
