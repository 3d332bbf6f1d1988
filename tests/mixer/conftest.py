"""What the tests of Mixer share."""

from __future__ import annotations

from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


@pytest.fixture
def corpus() -> Path:
    """The files of Istio's own repositories; the test is skipped where they are not."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    return CORPUS / "istio-1.0"
