"""Istio's own files of networking.istio.io, of both generations: taken or refused as Istio does, for its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.registry import of_document
from meltemi.checks import check

GROUP = "networking.istio.io"
KINDS = ("destinationrule", "envoyfilter", "proxyconfig", "serviceentry", "workloadentry", "workloadgroup")
# What Istio's texts are in ours, where they differ.
OURS = {
    "port must be between 1-65535": "must be between 1 and 65535",
    "should be greater than or equal to 0": "must be between 0",
    "should match": "does not match",
    "Invalid value": "",
}
# No objects, or not of Kubernetes.
NOT_OBJECTS = ("swagger.yaml", "platform/consul/bookinfo.yaml")


def documents(file: Path) -> Iterator[dict[str, Any]]:
    # An address that ends in a colon is text, as Kubernetes' reader has it.
    for document in yaml.safe_load_all(
        re.sub(r"(?<![\w:])([\da-f]*:[\da-f:]*:)(?=\])", r'"\1"', file.read_text())
    ):
        if isinstance(document, dict) and str(document.get("apiVersion")).startswith(f"{GROUP}/"):
            yield document


def judged(document: dict[str, Any]) -> list[Diagnostic]:
    kind = of_document(document)
    assert kind is not None, document["kind"]
    obj, found = check(kind, document)
    errors = [one for one in found if one.level is Level.ERROR]
    assert (obj is None) == bool(errors)
    return errors


def expected(said: str) -> tuple[str, str]:
    """Split Istio's text into the path it names, if any, and what it says of it."""
    path, found, rest = said.partition(" in body ")
    if not found:
        path, found, rest = said.partition(": ")
    if not found or not path.startswith("spec"):
        path, rest = "", said
    reason = rest.rpartition(": ")[2]
    return path, OURS.get(reason, reason)


def test_texts_are_split() -> None:
    assert expected("spec.a: Invalid value") == ("spec.a", "")
    assert expected('spec.a: Invalid value: "object": only one') == ("spec.a", "only one")
    assert expected("spec.a in body should match") == ("spec.a", "does not match")
    assert expected("only one") == ("", "only one")


@pytest.mark.parametrize("name", KINDS)
def test_what_crds_refuse_is_refused_for_the_same_reason(corpus: Path, name: str) -> None:
    seen = 0
    for document in documents(corpus / f"istio-1.30/crd-validation/{name}-invalid.yaml"):
        path, reason = expected(document.pop("_err"))
        errors = judged(document)
        there = [one for one in errors if not path or one.path == path]
        assert any(reason in one.message for one in there), (document["metadata"]["name"], errors)
        seen += 1
    assert seen >= 2


@pytest.mark.parametrize("name", KINDS)
def test_what_crds_take_is_taken(corpus: Path, name: str) -> None:
    seen = 0
    for document in documents(corpus / f"istio-1.30/crd-validation/{name}-valid.yaml"):
        assert judged(document) == [], document["metadata"]["name"]
        seen += 1
    assert seen >= 2


@pytest.mark.parametrize("name", ["DestinationRule", "Gateway", "ServiceEntry", "VirtualService"])
def test_what_istio_1_0_took_and_refused(corpus: Path, name: str) -> None:
    for right in ("valid", "invalid"):
        (document,) = documents(
            corpus / f"istio-1.0/galley-valid-invalid/networking-v1alpha3-{name}-{right}.yaml"
        )
        # Today a VirtualService without hosts is one that others delegate to, in Istio too.
        refused = right == "invalid" and name != "VirtualService"
        assert bool(judged(document)) == refused


@pytest.mark.parametrize("generation", ["istio-1.0", "istio-1.30"])
def test_every_sample_is_taken(corpus: Path, generation: str) -> None:
    seen = 0
    for file in sorted((corpus / generation / "samples").rglob("*.yaml")):
        if str(file).endswith(NOT_OBJECTS):
            continue
        for document in documents(file):
            assert judged(document) == [], (file, document["metadata"]["name"])
            seen += 1
    assert seen > 30
