"""What the tests of Mixer share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def corpus(corpus: Path) -> Path:
    """The files of the release that had Mixer."""
    return corpus / "istio-1.0"
