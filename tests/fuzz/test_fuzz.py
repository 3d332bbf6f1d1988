"""Whatever is given to a parser, the outcome is a value or an error that it declares."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20


@st.composite
def inputs(draw: st.DrawFn, name: str) -> bytes:
    """Anything at all, or good input with a piece taken out, repeated or replaced."""
    good = seeds(name)
    if not good or draw(st.booleans()):
        return draw(st.binary(max_size=200))
    text = draw(st.sampled_from(good))
    begin = draw(st.integers(0, len(text)))
    end = draw(st.integers(begin, min(len(text), begin + 40)))
    piece = draw(st.one_of(st.binary(max_size=20), st.just(text[begin:end] * 3)))
    return text[:begin] + piece + text[end:]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_raised_that_is_not_declared(name: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(inputs(name))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_raise_nothing(name: str) -> None:
    """Hypothesis may never draw one whole."""
    for seed in seeds(name):
        TARGETS[name](seed)


def fuzzed(name: str, folder: Path) -> tuple[int, dict[str, bytes], str]:
    """Fuzz a target: the exit code, the inputs that were found, what was said last."""
    argv = [sys.executable, "-m", "tests.fuzz.run", name, str(SECONDS), str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS + 90)
    found = {file.name: file.read_bytes() for file in folder.glob("*-*") if file.is_file()}
    return done.returncode, found, done.stderr[-3000:]


needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python"
)


@needs_atheris
@pytest.mark.long
@pytest.mark.timeout(SECONDS + 100)
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_by_coverage(name: str, tmp_path: Path) -> None:
    code, found, said = fuzzed(name, tmp_path)
    assert (code, found) == (0, {}), said


@needs_atheris
@pytest.mark.long
@pytest.mark.timeout(SECONDS + 100)
def test_a_seeded_bug_is_found(tmp_path: Path) -> None:
    code, found, said = fuzzed("seeded", tmp_path)
    assert code != 0, said
    assert [name for name in found if name.startswith("crash-")], said
