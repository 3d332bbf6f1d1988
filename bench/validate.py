"""Reading and checking configuration: what it costs beyond reading YAML at all."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median

import yaml
from yaml import CSafeLoader

from bench.table import Table
from meltemi import checks
from meltemi.galley.core.ingest import ingest

QUESTION = "What does it cost to parse and validate 10,000 documents, against PyYAML's C loader alone?"
DOCUMENTS = 10_000
A_FILE = 100
ROUNDS = 3
RATIO = 1.7
ONE_FILE_SECONDS = 0.4


def samples() -> list[str]:
    """Every document of the shipped networking files."""
    folder = files("meltemi.samples").joinpath("yaml")
    texts = [
        file.read_text(encoding="utf-8")
        for room in sorted(folder.iterdir(), key=lambda entry: entry.name)
        for file in sorted(room.iterdir(), key=lambda entry: entry.name)
        if file.name.endswith(".yaml")
    ]
    return [part.strip("\n") for text in texts for part in text.split("\n---") if "kind:" in part]


def renamed(text: str, number: int) -> str:
    """Give a document a name of its own: the first `name:` is the metadata's."""
    head, mark, rest = text.partition("  name: ")
    name, newline, more = rest.partition("\n")
    return f"{head}{mark}{name}-{number}{newline}{more}"


def texts() -> list[bytes]:
    """Give 10,000 documents in files of a hundred."""
    numbers = count()
    made = [renamed(one, next(numbers)) for one in islice(cycle(samples()), DOCUMENTS)]
    return ["\n---\n".join(made[at : at + A_FILE]).encode() for at in range(0, DOCUMENTS, A_FILE)]


def timed_yaml(given: list[bytes]) -> float:
    """Read them all with PyYAML's C loader; seconds of processor time."""
    began = time.process_time()
    seen = sum(1 for text in given for _ in yaml.load_all(text, CSafeLoader))
    assert seen == DOCUMENTS, seen
    return time.process_time() - began


def timed_ours(given: list[bytes]) -> float:
    """Read, decode and check them all by every rule; seconds of processor time."""
    began = time.process_time()
    seen = 0
    for text in given:
        found = ingest(text, "bench.yaml", namespace="default", check=checks.check)
        assert found.good, found.diagnostics[0]
        seen += len(found.items)
    assert seen == DOCUMENTS, seen
    return time.process_time() - began


def one_file() -> float:
    """Time the whole process of `meltemi validate` on one file: the median, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "one.yaml")
        file.write_text(samples()[0])
        argv = [sys.executable, "-c", "from meltemi.ctl.main import main; main()", "validate", str(file)]
        took = []
        for _ in range(9):
            began = time.perf_counter()
            subprocess.run(argv, check=True, capture_output=True, timeout=60)
            took.append(time.perf_counter() - began)
    return median(took)


def run() -> Table:
    """Interleave both, and time one file."""
    given = texts()
    rounds = [(timed_yaml(given), timed_ours(given)) for _ in range(ROUNDS)]
    loader, ours = (median(side) for side in zip(*rounds, strict=True))
    ratio = median(one[1] / one[0] for one in rounds)
    alone = one_file()
    rows = (
        ("PyYAML's C loader", f"{loader:.2f} s", f"{loader / DOCUMENTS * 1e6:.0f} us", "1.00"),
        ("parse and validate", f"{ours:.2f} s", f"{ours / DOCUMENTS * 1e6:.0f} us", f"{ratio:.2f}"),
        ("meltemi validate, one file", f"{alone:.2f} s", "", ""),
    )
    size = sum(map(len, given)) / DOCUMENTS
    notes = (
        f"{DOCUMENTS} documents of {size:.0f} bytes in files of {A_FILE}; {ROUNDS} interleaved rounds, processor time.",
    )
    missed = []
    if ratio > RATIO:
        missed.append(f"ratio at most {RATIO}")
    if alone > ONE_FILE_SECONDS:
        missed.append(f"one file under {ONE_FILE_SECONDS} s")
    return Table(("what", "all", "a document", "ratio"), rows, notes, tuple(missed))
