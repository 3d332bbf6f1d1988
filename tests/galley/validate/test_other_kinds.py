from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.galley.rule_documents import errors, told

from meltemi.api.diagnostics import Level
from meltemi.api.registry import of_document
from meltemi.checks import check


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"portLevelMtls": {"80": {"mode": "STRICT"}}}, "spec.portLevelMtls"),
        ({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {}}, "spec.portLevelMtls"),
        ({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"0": {}}}, 'spec.portLevelMtls["0"]'),
        ({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"x": {}}}, "spec.portLevelMtls.x"),
        ({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"9" * 5000: {}}},
         f'spec.portLevelMtls["{"9" * 5000}"]'),
        ({"selector": {"matchLabels": {"a": "b*"}}}, "spec.selector.matchLabels.a"),
        ({"mtls": {"mode": "BLAH"}}, "spec.mtls.mode"),
    ],
    ids=range(7),
)  # fmt: skip
def test_peer_authentication(spec: dict[str, Any], path: str) -> None:
    assert errors("PeerAuthentication", spec) == [path]


def test_a_right_peer_authentication() -> None:
    ports = {"80": {"mode": "DISABLE"}, "65535": {"mode": "UNSET"}}
    assert (
        errors("PeerAuthentication", {"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": ports}) == []
    )
    assert told("PeerAuthentication", {"selector": {}}) == [("IST0133", "spec.selector")]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.ports"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port"),
        ({"ports": [{"port": 80}, {"port": 81, "name": "a"}]}, "spec.ports[0].name"),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}, "spec.ports[1].name"),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}, "spec.ports[1].port"),
        ({"ports": [{"port": 80, "targetPort": "a b"}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "targetPort": 0}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "targetPort": "99999999999"}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "targetPort": "80-80"}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "targetPort": "a--b"}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "targetPort": "a123456789012345"}]}, "spec.ports[0].targetPort"),
        ({"ports": [{"port": 80, "nodePort": 30000}]}, "spec.ports[0].nodePort"),
        ({"ports": [{"port": 80}], "clusterIP": "x"}, "spec.clusterIP"),
        ({"ports": [{"port": 80}], "clusterIP": "None", "type": "NodePort"}, "spec.clusterIP"),
        ({"ports": [{"port": 80}], "externalIPs": ["a"]}, "spec.externalIPs[0]"),
        ({"type": "ExternalName"}, "spec.externalName"),
        ({"type": "Cluster", "ports": [{"port": 80}]}, "spec.type"),
        ({"ports": [{"port": 80}], "sessionAffinity": "Cookie"}, "spec.sessionAffinity"),
    ],
)
def test_service(spec: dict[str, Any], path: str) -> None:
    assert errors("Service", spec) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None"},
        {"ports": [{"port": 53, "name": "tcp"}, {"port": 53, "protocol": "UDP", "name": "udp"}]},
        {"type": "ExternalName", "externalName": "a.example.com"},
        {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http", "nodePort": 30080}]},
        {"ports": [{"port": 80, "targetPort": "1-a456789012345"}]},
    ],
)
def test_a_right_service(spec: dict[str, Any]) -> None:
    assert errors("Service", spec) == []


def test_istios_own_valid_and_invalid_objects(corpus: Any) -> None:
    # Those of Istio 1.0 are in tests/mixer/core/test_corpus.py.
    seen = 0
    for file in sorted(corpus.glob("istio-1.30/crd-validation/*.yaml")):
        # Read as these files are meant: an address that ends in a colon is text.
        text = file.read_text().replace("001:db8::]", "'001:db8::']")
        for document in yaml.safe_load_all(text):
            kind = of_document(document)
            if kind is None:
                continue
            wrong = document.pop("_err", None) is not None or file.name.endswith("-invalid.yaml")
            _, found = check(kind, document)
            refused = any(one.level is Level.ERROR for one in found)
            assert refused == wrong, (file.name, document["metadata"]["name"], found)
            seen += 1
    assert seen > 30


REASONS = {
    "wildcard is not supported in selector": "wildcard is not supported in selector",
    "only one of WorkloadSelector or Endpoints can be set": "only one of WorkloadSelector or Endpoints can be set",
    "hostname cannot be wildcard": "hostname cannot be wildcard",
    "CIDR addresses are allowed only for NONE/STATIC resolution types": "CIDR addresses are allowed only",
    "Duplicate value": "Duplicate value",
    "port number cannot be duplicated": "port number cannot be duplicated",
    "port must be between 1-65535": "must be between 1 and 65535",
    "Address is required": "Address is required",
    "UDS may not be a dir": "UDS may not be a dir",
    "UDS must be an absolute path or abstract socket": "UDS must be an absolute path or abstract socket",
    "UDS may not include ports": "UDS may not include ports",
    "key must not be empty": "key must not be empty",
    "NONE mode cannot set endpoints": "NONE mode cannot set endpoints",
    "DNS_ROUND_ROBIN mode cannot have multiple endpoints": "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
    "portLevelMtls requires selector": "portLevelMtls requires selector",
    'Unsupported value: "BLAH"': 'Unsupported value: "BLAH"',
    "spec.portLevelMtls in body should have at least 1 properties": "should have at least 1",
    "type conversion error from": "must be between 1 and 65535",
    "must be a valid duration greater than": "must be a duration",
    "wildcard not allowed in label value match": "wildcard is not supported in selector",
    "wildcard not allowed in label key match": "wildcard is not supported in selector",
}


def test_they_are_refused_for_istios_reason(corpus: Any) -> None:
    seen = 0
    for file in sorted(corpus.glob("istio-1.30/crd-validation/*-invalid.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            kind = of_document(document)
            if kind is None:
                continue
            seen += 1
            wanted = document.pop("_err")
            _, found = check(kind, document)
            said = [f"{one.path}: {one.message}" for one in found if one.level is Level.ERROR]
            path, colon, rest = wanted.partition(" in body " if " in body " in wanted else ": ")
            if colon and (path.startswith("spec") or " in body " in wanted):
                there = [one for one in said if one.partition(": ")[0].endswith(path)]
                reason = rest.rpartition(": ")[2] if rest.startswith("Invalid value: ") else ""
                assert any(REASONS.get(reason, reason) in one for one in there), (wanted, said)
            else:
                assert any(REASONS.get(wanted, wanted) in one for one in said), (wanted, said)
    assert seen > 30


@pytest.mark.parametrize("name", ["", "..", "../../x", "a/b", "A", "a.b", "-a", "a" * 64])
def test_a_containers_name_is_a_label_since_files_are_named_after_it(name: str) -> None:
    for field in ("containers", "initContainers"):
        spec = {"containers": [{"name": "ok"}], field: [{"name": name}]}
        assert errors("Pod", spec) == [f"spec.{field}[0].name"]


def test_containers_of_a_pod_have_different_names() -> None:
    spec = {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "a"}]}
    assert errors("Pod", spec) == ["spec.initContainers[0].name"]
    spec["initContainers"] = [{"name": "c"}]
    assert errors("Pod", spec) == []
