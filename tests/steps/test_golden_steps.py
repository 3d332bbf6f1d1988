"""Step files (see `playing.py`). `GOLDEN_UPDATE=1` writes the goldens anew and removes those without a case."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.steps.playing import play, read

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.steps"))
UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_steps(path: Path) -> None:
    golden = HERE / "golden" / f"{path.stem}.txt"
    got = play(read(path))
    if UPDATE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(got, encoding="utf-8")
    assert golden.is_file(), "no golden yet: run `make golden` and read what it wrote"
    assert got == golden.read_text(encoding="utf-8")


def test_every_golden_has_a_case() -> None:
    orphans = [
        path
        for path in (HERE / "golden").glob("*.txt")
        if not (HERE / "cases" / f"{path.stem}.steps").exists()
    ]
    if UPDATE:
        for path in orphans:
            path.unlink()
        orphans = []
    assert not orphans
    assert CASES
