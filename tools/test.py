"""Run the tests: `make test` the quick and live ones, `--all` the long ones and the other user besides.

Usage: python tools/test.py [--all] [pytest arguments]
Pure tests and most live ones run side by side (live ones mostly wait: three files at once on two cores); what counts
failures while something dies runs alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTHING_SELECTED = 5

PHASES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("pure", "not live and not long", ("-n", "2")),
    ("live", "live and not long and not alone", ("-n", "3", "--dist", "loadfile")),
    ("alone", "live and not long and alone", ()),
)
LONG: tuple[tuple[str, str, tuple[str, ...]], ...] = (("long", "long", ()),)


def phase(marks: str, options: tuple[str, ...], rest: list[str]) -> int:
    """Run pytest in a process of its own and return its status."""
    argv = [sys.executable, "-m", "pytest", "-q", *options, "-m", marks, *rest]
    return subprocess.run(argv, cwd=ROOT, check=False).returncode


def main(argv: list[str]) -> int:
    """Run the phases; with arguments of one's own a phase without a test is fine, else it is a failure."""
    rest = [one for one in argv if one != "--all"]
    failed = []
    for name, marks, options in (*PHASES, *(LONG if "--all" in argv else ())):
        began = time.monotonic()
        status = phase(marks, options, rest)
        print(f"test: {name} took {time.monotonic() - began:.0f} s", flush=True)
        if status and not (status == NOTHING_SELECTED and rest):
            failed.append(name)
    if failed:
        print(f"test: failed in {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
