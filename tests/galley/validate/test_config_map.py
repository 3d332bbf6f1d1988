from __future__ import annotations

from typing import Any

from tests.galley.rule_documents import told

from meltemi.api.diagnostics import Level
from meltemi.api.registry import of_document
from meltemi.checks import check
from meltemi.galley.core.ingest import ingest


def found(name: str, data: dict[str, str]) -> list[tuple[Level, str, str]]:
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "istio-system"},
        "data": data,
    }
    kind = of_document(document)
    assert kind is not None
    _, findings = check(kind, document)
    return [(one.level, one.path, one.message) for one in findings]


def test_the_meshs_settings_are_checked_at_the_door() -> None:
    text = "rootNamespace: mesh\nconnectTimeout: 10\n"
    path = "data.mesh.connectTimeout"
    message = 'must be a duration such as "1.5s", not 10 (line 2 of the text)'
    assert found("istio", {"mesh": text}) == [(Level.ERROR, path, message)]
    assert found("istio-canary", {"mesh": text}) == [(Level.ERROR, path, message)]
    assert found("istio", {"mesh": "rootNamespace: mesh\n", "meshNetworks": "networks: {}"}) == []


def test_other_config_maps_are_nobodys_business() -> None:
    assert found("istiod", {"mesh": "nonsense"}) == []
    assert found("shop", {"mesh": "nonsense"}) == []
    assert found("istio", {"other": "nonsense"}) == []


def test_in_a_file_the_place_is_that_of_the_text() -> None:
    file = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    rootNamespace: mesh
    trustDomain: a_b
"""
    (one,) = ingest(file, "a.yaml").diagnostics
    assert (str(one.position), one.path) == ("a.yaml:5:9", "data.mesh.trustDomain")
    assert one.message.endswith("(line 2 of the text)")


def annotated(text: str) -> list[tuple[str, str]]:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "shop", "annotations": {"proxy.istio.io/config": text}},
        "spec": {"containers": [{"name": "a"}]},
    }
    kind = of_document(document)
    assert kind is not None
    _, findings = check(kind, document)
    return [(one.code.id, one.message) for one in findings if "proxy.istio.io" in one.path]


def test_a_pods_own_proxy_config_is_read_as_the_mesh_would() -> None:
    assert annotated("concurrency: 2\ntracing: {sampling: 10}\n") == []
    assert annotated("concurrency: -1\nproxyAdminPort: 0\n") == [
        ("IST0133", "port must be between 1-65535, not 0 (line 2 of the text)"),
        ("IST0133", "concurrency must be greater than or equal to 0 (line 1 of the text)"),
    ]
    assert annotated("concurency: 2\n") == [("IST0133", 'unknown field "concurency" (line 1 of the text)')]
    assert told("Pod", {"containers": [{"name": "a"}]}) == []
