"""Run the tests: `make test` the quick and live ones, `--all` the long ones and the other user besides.

Usage: python tools/test.py [--all] [pytest arguments]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pytest(*argv: str) -> int:
    """Run pytest in a process of its own; no test selected is a failure too."""
    return subprocess.run([sys.executable, "-m", "pytest", *argv], cwd=ROOT, check=False).returncode


def main(argv: list[str]) -> int:
    """Run the pure tests on both cores, then the live ones one by one: they share the machine's CPU."""
    everything = "--all" in argv
    rest = [a for a in argv if a != "--all"]
    pure = pytest("-q", "-n", "2", "-m", "not live and not long", *rest)
    live = pytest("-q", "-m", "live" if everything else "live and not long", *rest)
    return pure or live


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
