"""What the tests of the language share."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml


@pytest.fixture
def corpus_manifests(corpus: Path) -> dict[str, str]:
    """Attributes and types of the manifests that Istio 1.0 ships; the test is skipped where they are not."""
    file = corpus / "istio-1.0" / "mixer-default.yaml"
    return {
        name: info["valueType"]
        for document in yaml.safe_load_all(file.read_text())
        if document is not None and document["kind"] == "attributemanifest"
        for name, info in document["spec"]["attributes"].items()
    }
