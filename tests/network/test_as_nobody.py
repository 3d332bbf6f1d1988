"""All live tests of the network once more without root."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness.nobody import again_as_nobody

HERE = Path(__file__).parent


@pytest.mark.live
@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", ["test_two_pods.py", "test_bypass.py", "test_kill_matrix.py"])
def test_without_root(name: str) -> None:
    assert "passed" in again_as_nobody(HERE / name)


@pytest.mark.live
@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_long_rows_without_root() -> None:
    assert "passed" in again_as_nobody(HERE / "test_kill_matrix.py", marks="long")
