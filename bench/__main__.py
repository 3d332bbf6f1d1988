"""Run the questions' files, each in a process of its own: `python -m bench [NAME...]`; all of them without names."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 1800
"""Seconds that one question may take."""


def questions() -> list[str]:
    """List the files that ask something."""
    asks = re.compile(r"^QUESTION\b", re.MULTILINE)
    return sorted(path.stem for path in HERE.glob("*.py") if asks.search(path.read_text()))


def answer(name: str) -> int:
    """Run one question here; 1 when a target was missed."""
    module = importlib.import_module(f"bench.{name}")
    print(f"\n{name}: {module.QUESTION}\n", flush=True)
    began = time.perf_counter()
    table = module.run()
    print(table.text())
    print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    return 1 if table.failed else 0


def main() -> int:
    """Run what is named; the exit code says how many questions failed or missed a target."""
    known = questions()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}")
    parser.add_argument("--here", action="store_true", help="run in this process (for profilers)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no such question: {', '.join(unknown)}; there are: {', '.join(known)}")
    names = options.names or known
    if options.here:
        return sum(answer(name) for name in names)
    wrong = 0
    for name in names:
        argv = [sys.executable, "-m", "bench", "--here", name]
        try:
            wrong += subprocess.run(argv, cwd=HERE.parent, check=False, timeout=LIMIT).returncode != 0
        except subprocess.TimeoutExpired:
            print(f"! {name} took over {LIMIT} s and was ended")
            wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
