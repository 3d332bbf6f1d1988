"""The command line's start: what a user waits for before anything is done."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

from bench.table import Table

QUESTION = "How soon does the command line answer, against Python alone and Python with click?"
ROUNDS = 15
HELP_SECONDS = 0.150
START = "from meltemi.ctl.main import main; main()"
COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "python -c pass": (["-c", "pass"], {}),
    "import click": (["-c", "import click"], {}),
    "meltemi --help": (["-c", START, "--help"], {}),
    "meltemi version": (["-c", START, "version"], {}),
    "meltemi get --help": (["-c", START, "get", "--help"], {}),
    "meltemi get pods (no mesh)": (["-c", START, "--mesh", "bench-nowhere", "get", "pods"], {}),
    "Tab": (
        ["-c", START],
        {"_MELTEMI_COMPLETE": "bash_complete", "COMP_WORDS": "meltemi pro", "COMP_CWORD": "1"},
    ),
}


def once(argv: list[str], more: dict[str, str]) -> float:
    """Time one process, in seconds."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *argv], env={**os.environ, **more}, capture_output=True, check=False, timeout=60
    )
    return time.perf_counter() - began


def run() -> Table:
    """Time every command, interleaved, and give medians in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, (argv, more) in COMMANDS.items():
            times[name].append(once(argv, more))
    alone = median(times["python -c pass"])
    rows = tuple(
        (name, f"{median(took) * 1000:.0f}", f"{min(took) * 1000:.0f}", f"{median(took) / alone:.1f}")
        for name, took in times.items()
    )
    missed = (
        ()
        if min(times["meltemi --help"]) <= HELP_SECONDS
        else (f"--help under {HELP_SECONDS * 1000:.0f} ms",)
    )
    notes = (
        f"{ROUNDS} interleaved rounds; the target is held against the least, which other load disturbs the least.",
    )
    return Table(("command", "median ms", "least ms", "times python"), rows, notes, missed)
