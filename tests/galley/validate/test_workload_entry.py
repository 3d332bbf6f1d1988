from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, findings, told


def at(address: str, **more: Any) -> dict[str, Any]:
    return {"address": address, **more}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (None, "spec"),
        ({}, "spec.address"),
        (at(""), "spec.address"),
        (at("a b"), "spec.address"),
        (at("*.a.com"), "spec.address"),
        (at("unix://a"), "spec.address"),
        (at("unix:///run/"), "spec.address"),
        (at("unix://@"), "spec.address"),
        (at("unix:///run/a", ports={"http": 80}), "spec.ports"),
        (at("1.1.1.1", ports={"http": 0}), "spec.ports.http"),
        (at("1.1.1.1", ports={"http": 65536}), "spec.ports.http"),
        (at("1.1.1.1", ports={"a_b": 80}), "spec.ports"),
        (at("1.1.1.1", ports={"a" * 63: 80}), "spec.ports"),
        (at("1.1.1.1", labels={"a": "b c"}), "spec.labels.a"),
        (at("1.1.1.1", labels={"a b": "c"}), 'spec.labels["a b"]'),
        (at("1.1.1.1", weight=-1), "spec.weight"),
        (at("a" * 257), "spec.address"),
        (at("1.1.1.1", locality="a" * 2049), "spec.locality"),
        (at("1.1.1.1", serviceAccount="a" * 254), "spec.serviceAccount"),
    ],
)
def test_what_istio_refuses_is_refused_where_it_stands(spec: Any, path: str) -> None:
    assert errors("WorkloadEntry", spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        at(
            "1.2.3.4",
            ports={"http": 8080},
            labels={"app": "a"},
            locality="r/z/s",
            weight=2,
            serviceAccount="sa",
        ),
        at("2001:db8::1"),
        at("vm1.example.com"),
        at("unix:///run/a.sock"),
        at("unix://@a"),
        at("1.1.1.1", ports={"a" * 62: 65535}),
    ],
)
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert findings("WorkloadEntry", spec, version="networking.istio.io/v1alpha3") == findings(
        "WorkloadEntry", spec
    )
    assert errors("WorkloadEntry", spec) == []
    assert told("WorkloadEntry", spec) == []


def test_one_without_address_is_for_a_network() -> None:
    assert errors("WorkloadEntry", {"network": "n"}) == []
    assert told("WorkloadEntry", {"network": "n"}) == [("IST0133", "spec.address")]
    assert told("WorkloadEntry", {"network": "n", "address": ""}) == [("IST0133", "spec.address")]
