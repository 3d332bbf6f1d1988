from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, told


def probed(**probe: Any) -> dict[str, Any]:
    return {"template": {"serviceAccount": "sa"}, "probe": probe}


def http(**more: Any) -> dict[str, Any]:
    return probed(httpGet={"port": 80, **more})


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (None, "spec"),
        ({}, "spec.template"),
        ({"template": {"ports": {"@": 1}}}, "spec.template.ports"),
        ({"template": {"ports": {"a": 0}}}, "spec.template.ports.a"),
        ({"template": {"address": "unix://a"}}, "spec.template.address"),
        ({"template": {"labels": {"a": "b c"}}}, "spec.template.labels.a"),
        ({"template": {}, "metadata": {"labels": {"a": "b c"}}}, "spec.metadata.labels.a"),
        (probed(), "spec.probe"),
        (probed(periodSeconds=5), "spec.probe"),
        (probed(tcpSocket={"port": 0}), "spec.probe.tcpSocket.port"),
        (probed(tcpSocket={"port": 65536}), "spec.probe.tcpSocket.port"),
        (probed(tcpSocket={}), "spec.probe.tcpSocket.port"),
        (probed(grpc={"port": 65536}), "spec.probe.grpc.port"),
        (probed(exec={}), "spec.probe.exec.command"),
        (probed(exec={"command": []}), "spec.probe.exec.command"),
        (probed(exec={"command": [""]}), "spec.probe.exec.command[0]"),
        (http(port=0), "spec.probe.httpGet.port"),
        (http(scheme="FTP"), "spec.probe.httpGet.scheme"),
        (http(httpHeaders=[{"name": "**"}]), "spec.probe.httpGet.httpHeaders[0].name"),
        (http(httpHeaders=[{"name": ""}]), "spec.probe.httpGet.httpHeaders[0].name"),
        (http(httpHeaders=[{"name": "x\n"}]), "spec.probe.httpGet.httpHeaders[0].name"),
        (probed(httpGet={"port": 80}, tcpSocket={"port": 80}), "spec.probe.tcpSocket"),
        *(
            (probed(tcpSocket={"port": 80}, **{name: -1}), f"spec.probe.{name}")
            for name in (
                "initialDelaySeconds",
                "timeoutSeconds",
                "periodSeconds",
                "successThreshold",
                "failureThreshold",
            )
        ),
    ],
)
def test_what_istio_refuses_is_refused_where_it_stands(spec: Any, path: str) -> None:
    assert errors("WorkloadGroup", spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        {"template": {}},
        {"template": {"ports": {"http": 80}}, "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}},
        http(path="/healthz", host="a", scheme="HTTPS", httpHeaders=[{"name": "x-a", "value": "b"}]),
        probed(tcpSocket={"port": 80, "host": "localhost"}, initialDelaySeconds=1, timeoutSeconds=0),
        probed(exec={"command": ["true"]}),
        probed(grpc={"port": 9090, "service": "a.B"}),
        probed(grpc={}),
    ],
)  # fmt: skip
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert errors("WorkloadGroup", spec) == []
    assert told("WorkloadGroup", spec) == []


def test_an_address_in_the_template_is_told() -> None:
    assert told("WorkloadGroup", {"template": {"address": "1.1.1.1"}}) == [
        ("IST0133", "spec.template.address")
    ]
