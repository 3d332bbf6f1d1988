from __future__ import annotations

from typing import Any

from meltemi.api.diagnostics import Level
from meltemi.api.registry import of_document
from meltemi.checks import check


def errors(api_version: str, kind: str, spec: dict[str, Any], annotations: dict[str, str]) -> list[str]:
    metadata = {"name": "a", "namespace": "shop", "annotations": annotations}
    document = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    declared = of_document(document)
    assert declared is not None
    _, found = check(declared, document)
    return [one.path for one in found if one.level is Level.ERROR]


def test_no_other_kind_can_be_run_dry() -> None:
    dry = {"istio.io/dry-run": "true"}
    path = 'metadata.annotations["istio.io/dry-run"]'
    assert errors("security.istio.io/v1", "PeerAuthentication", {}, dry) == [path]
    spec = {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]}
    assert errors("networking.istio.io/v1", "VirtualService", spec, dry) == [path]


def test_annotations_of_the_control_plane_itself_are_refused() -> None:
    internal = {"internal.istio.io/route-semantics": "gateway", "example.com/note": "fine"}
    path = 'metadata.annotations["internal.istio.io/route-semantics"]'
    assert errors("telemetry.istio.io/v1", "Telemetry", {}, internal) == [path]


def test_objects_of_others_may_bear_them() -> None:
    annotations = {"internal.istio.io/a": "b", "istio.io/dry-run": "true"}
    assert errors("v1", "Service", {"ports": [{"port": 80}]}, annotations) == []
