from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors

SERVICE = {"name": "a", "port": {"number": 80}}


def ingress(path: dict[str, Any] | None = None, host: str = "a.io", **more: Any) -> dict[str, Any]:
    made = {"path": "/", "pathType": "Prefix", "backend": {"service": SERVICE}, **(path or {})}
    return {"rules": [{"host": host, "http": {"paths": [made]}}], **more}


PATH = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (ingress(), None),
        (ingress(host=""), None),
        (ingress(host="*.a.io"), None),
        (ingress({"path": "", "pathType": "ImplementationSpecific"}), None),
        ({"defaultBackend": {"service": SERVICE}}, None),
        ({}, "spec"),
        (ingress(tls=[{"secretName": "a.b"}, {}]), None),
        (ingress(tls=[{"secretName": "kubernetes-gateway://other/s"}]), "spec.tls[0].secretName"),
        (ingress(host="A.io"), "spec.rules[0].host"),
        (ingress(host="1.2.3.4"), "spec.rules[0].host"),
        (ingress({"path": "a"}), f"{PATH}.path"),
        (ingress({"path": "/a//b"}), f"{PATH}.path"),
        (ingress({"path": "/a/.."}), f"{PATH}.path"),
        (ingress({"path": "a", "pathType": "ImplementationSpecific"}), f"{PATH}.path"),
        (ingress({"pathType": "prefix"}), f"{PATH}.pathType"),
        (ingress({"backend": {}}), f"{PATH}.backend"),
        (ingress({"backend": {"service": {"name": "a"}}}), f"{PATH}.backend.service.port"),
        (
            ingress({"backend": {"service": {"name": "a", "port": {"name": "x", "number": 1}}}}),
            f"{PATH}.backend.service.port",
        ),
        (
            ingress({"backend": {"service": {"name": "a", "port": {"number": 99999}}}}),
            f"{PATH}.backend.service.port.number",
        ),
        (
            ingress({"backend": {"service": {"name": "A", "port": {"number": 1}}}}),
            f"{PATH}.backend.service.name",
        ),
        (ingress(tls=[{"hosts": ["a b"]}]), "spec.tls[0].hosts[0]"),
        ({"rules": [{"http": {"paths": []}}]}, "spec.rules[0].http.paths"),
    ],
)
def test_rules_of_an_ingress(spec: dict[str, Any], path: str | None) -> None:
    assert errors("Ingress", spec, version="networking.k8s.io/v1") == ([path] if path else [])


def test_rules_hold_for_the_older_form() -> None:
    path = {"path": "a", "backend": {"serviceName": "a", "servicePort": 80}}
    spec = {"rules": [{"http": {"paths": [path]}}]}
    assert errors("Ingress", spec, version="extensions/v1beta1") == [f"{PATH}.path"]
