from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, told

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
TCP = {"number": 9000, "name": "tcp", "protocol": "TCP"}


def entry(**more: Any) -> dict[str, Any]:
    return {"hosts": ["api.example.com"], "ports": [HTTP], "resolution": "DNS", **more}


def static(address: str, **more: Any) -> dict[str, Any]:
    return entry(resolution="STATIC", endpoints=[{"address": address, **more}])


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (entry(hosts=["*"], resolution="NONE"), "spec.hosts[0]"),
        (entry(hosts=["a b"], resolution="NONE"), "spec.hosts[0]"),
        (entry(hosts=["*.a.com"]), "spec.hosts[0]"),
        (entry(addresses=["1.2.3.4/16"]), "spec.addresses[0]"),
        (entry(addresses=["1.2.3"]), "spec.addresses[0]"),
        (entry(resolution="STATIC", addresses=["10.0.0.0/255.0.0.0"]), "spec.addresses[0]"),
        (entry(resolution="STATIC", addresses=["10.0.0.0/08"]), "spec.addresses[0]"),
        (entry(resolution="STATIC", addresses=["10.0.0.0/33"]), "spec.addresses[0]"),
        (entry(resolution="STATIC", addresses=["10.0.0.0/"]), "spec.addresses[0]"),
        (entry(ports=[HTTP, HTTP | {"number": 81}]), "spec.ports[1]"),
        (entry(ports=[HTTP, HTTP | {"name": "b"}]), "spec.ports[1].number"),
        (entry(ports=[HTTP | {"number": 70000}]), "spec.ports[0].number"),
        (entry(ports=[HTTP | {"targetPort": 70000}]), "spec.ports[0].targetPort"),
        (entry(ports=[HTTP | {"name": "a_b"}]), "spec.ports[0].name"),
        (entry(ports=[HTTP | {"protocol": "FTP"}]), "spec.ports[0].protocol"),
        (entry(resolution="NONE", endpoints=[{"address": "1.1.1.1"}]), "spec.endpoints"),
        (entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.com"}, {"address": "b.com"}]), "spec.endpoints"),
        (entry(endpoints=[{"address": "a b"}]), "spec.endpoints[0].address"),
        (entry(endpoints=[{"address": "unix:///a"}]), "spec.endpoints[0].address"),
        (static("a.com"), "spec.endpoints[0].address"),
        (static(""), "spec.endpoints[0].address"),
        (static("1.1.1.1", ports={"https": 443}), "spec.endpoints[0].ports.https"),
        (static("1.1.1.1", ports={"http": 0}), "spec.endpoints[0].ports.http"),
        (static("unix:///a", ports={"http": 80}), "spec.endpoints[0].ports"),
        (static("unix://a"), "spec.endpoints[0].address"),
        (entry(resolution="STATIC", workloadSelector={"labels": {"a": "*"}}), "spec.workloadSelector.labels.a"),
        (entry(resolution="STATIC", workloadSelector={"labels": {"a": "b"}}, endpoints=[{"address": "1.1.1.1"}]),
         "spec.workloadSelector"),
        (entry(hosts=["a.com", "b.com"], ports=[TCP], addresses=["1.1.1.1"]), "spec.ports[0]"),
        (entry(resolution="DYNAMIC_DNS"), "spec.hosts[0]"),
        (entry(resolution="DYNAMIC_DNS", hosts=["*.a.com"], addresses=["1.1.1.1"]), "spec.addresses"),
        (entry(resolution="DYNAMIC_DNS", hosts=["*.a.com"], ports=[TCP]), "spec.ports[0].protocol"),
        (entry(exportTo=["~", "a"]), "spec.exportTo"),
    ],
)  # fmt: skip
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert errors("ServiceEntry", spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        entry(),
        entry(exportTo=["~"]),
        entry(resolution="NONE", hosts=["*.a.com"], addresses=["10.0.0.0/8"]),
        entry(endpoints=[{"address": "b.com", "ports": {"http": 8080}, "locality": "r/z"}]),
        static("1.1.1.1", labels={"version": "v1"}),
        static("unix:///run/a.sock"),
        static("2001:db8::1"),
        entry(hosts=["a.com", "b.com"]),
        entry(resolution="DYNAMIC_DNS", hosts=["*.a.com"], ports=[{"number": 443, "name": "t", "protocol": "TLS"}]),
        entry(resolution="STATIC", location="MESH_INTERNAL", workloadSelector={"labels": {"app": "a"}}),
    ],
)  # fmt: skip
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert errors("ServiceEntry", spec) == []


def test_what_is_likely_wrong_is_told() -> None:
    assert told("ServiceEntry", entry(resolution="NONE", ports=[TCP])) == [("IST0134", "spec.ports[0]")]
    assert told("ServiceEntry", entry(ports=[TCP])) == []
    assert told("ServiceEntry", entry(hosts=["*x"], resolution="NONE")) == [("IST0133", "spec.hosts[0]")]
    assert told("ServiceEntry", entry(workloadSelector={"labels": {"a": "b"}})) == [
        ("IST0133", "spec.workloadSelector")
    ]
