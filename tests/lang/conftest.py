"""What the tests of the language share."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


@pytest.fixture
def corpus_manifests() -> dict[str, str]:
    """Attributes and types of the manifests that Istio 1.0 ships; the test is skipped where they are not."""
    file = CORPUS / "istio-1.0" / "mixer-default.yaml"
    if not file.is_file():
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    return {
        name: info["valueType"]
        for document in yaml.safe_load_all(file.read_text())
        if document is not None and document["kind"] == "attributemanifest"
        for name, info in document["spec"]["attributes"].items()
    }
