"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"

# How long an example takes is the machine's matter: no test here is about time.
settings.register_profile("meltemi", deadline=None)
settings.load_profile("meltemi")


@pytest.fixture
def corpus() -> Path:
    """The files of Istio's own repositories; the test is skipped where they are not."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of Istio's files is not here (../shared/corpus)")
    return CORPUS
