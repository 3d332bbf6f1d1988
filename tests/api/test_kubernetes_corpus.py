"""Files of Istio's own repositories: what there is of the Gateway API and of Kubernetes' kinds is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from meltemi.api import registry
from meltemi.api.diagnostics import Level
from meltemi.api.encode import encode
from meltemi.checks import check

GENERATIONS = ("istio-1.0", "istio-1.30")


def documents(file: Path) -> list[Any]:
    """The documents of a file; a template of Helm's has none."""
    try:
        return [
            one for one in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if isinstance(one, dict)
        ]
    except yaml.YAMLError:
        return []


def known(document: dict[str, Any]) -> Any:
    kind = registry.of_document(document)
    return None if kind is None or kind.group.endswith("istio.io") else kind


@pytest.mark.parametrize("generation", GENERATIONS)
def test_samples_are_taken(corpus: Path, generation: str) -> None:
    refused, taken = [], 0
    for file in sorted((corpus / generation).rglob("*.yaml")):
        for document in documents(file):
            kind = known(document)
            if kind is None:
                continue
            obj, found = check(kind, document)
            taken += obj is not None
            refused += [
                f"{file.relative_to(corpus)}: {document['kind']}: {one.path}: {one.message}"
                for one in found
                if one.level is Level.ERROR
            ]
            if obj is not None and obj.spec is not None:
                of = registry.by_resource("", kind.plural) or kind
                assert encode(of, obj)["kind"] == document["kind"]
    assert refused == []
    assert taken > 20


def test_there_are_samples_of_many_kinds(corpus: Path) -> None:
    met = {
        f"{document['apiVersion']}/{document['kind']}"
        for generation in GENERATIONS
        for file in (corpus / generation).rglob("*.yaml")
        for document in documents(file)
        if known(document) is not None
    }
    assert {
        "extensions/v1beta1/Deployment",
        "apps/v1/Deployment",
        "gateway.networking.k8s.io/v1/HTTPRoute",
        "gateway.networking.k8s.io/v1/Gateway",
        "gateway.networking.k8s.io/v1alpha2/TCPRoute",
        "v1/Secret",
        "v1/ConfigMap",
        "v1/ServiceAccount",
    } <= met
