from __future__ import annotations

from typing import Any

import pytest

from meltemi.api.decode import decode_value
from meltemi.api.kind import Object
from meltemi.api.mesh import MeshNetworks
from meltemi.galley.validate import mesh_networks
from meltemi.galley.validate.findings import Findings


def paths(value: dict[str, Any]) -> list[str]:
    spec, wrong = decode_value(MeshNetworks, value)
    findings = Findings(Object("ConfigMap", "istio-system", "istio", spec))
    mesh_networks.check(findings, (), spec)
    return [one.path for one in (*wrong, *findings.all())]


def network(endpoint: dict[str, Any], gateway: dict[str, Any]) -> dict[str, Any]:
    return {"networks": {"a": {"endpoints": [endpoint], "gateways": [gateway]}}}


@pytest.mark.parametrize(
    ("endpoint", "gateway", "path"),
    [
        ({}, {"address": "1.2.3.4", "port": 1}, "endpoints[0]"),
        ({"fromCidr": "1.2.3.4"}, {"address": "1.2.3.4", "port": 1}, "endpoints[0].fromCidr"),
        ({"fromCidr": "1.2.3/8"}, {"address": "1.2.3.4", "port": 1}, "endpoints[0].fromCidr"),
        ({"fromRegistry": "a_b"}, {"address": "1.2.3.4", "port": 1}, "endpoints[0].fromRegistry"),
        ({"fromRegistry": ""}, {"address": "1.2.3.4", "port": 1}, "endpoints[0].fromRegistry"),
        (
            {"fromRegistry": "a", "fromCidr": "1.0.0.0/8"},
            {"address": "a", "port": 1},
            "endpoints[0].fromRegistry",
        ),
        ({"fromRegistry": "a"}, {"port": 1}, "gateways[0]"),
        ({"fromRegistry": "a"}, {"address": "1.2.3.4"}, "gateways[0].port"),
        ({"fromRegistry": "a"}, {"address": "1.2.3.4", "port": 70000}, "gateways[0].port"),
        ({"fromRegistry": "a"}, {"address": "a_b", "port": 1}, "gateways[0].address"),
        ({"fromRegistry": "a"}, {"registryServiceName": "*", "port": 1}, "gateways[0].registryServiceName"),
    ],
)
def test_what_is_refused(endpoint: dict[str, Any], gateway: dict[str, Any], path: str) -> None:
    found = paths(network(endpoint, gateway))
    assert set(found) == {f"networks.a.{path}"}


def test_what_is_right() -> None:
    assert paths(network({"fromCidr": "2001:db8::/32"}, {"address": "gw.example.com", "port": 443})) == []
    assert (
        paths(network({"fromRegistry": "a"}, {"registryServiceName": "gw.a.svc.cluster.local", "port": 1}))
        == []
    )
    assert paths({"networks": {}}) == []
    assert paths({}) == ["networks"]
