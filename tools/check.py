"""The gate: format, lint, types, import contracts, docs in step. Every check runs; any failure fails.

Usage: python tools/check.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
HOST_PATTERN = "|".join(
    ("py" + "pi.org", "python" + "hosted.org", "registry." + "npmjs", "deb." + "debian.org")
)

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("format", (f"{BIN}/ruff", "format", "--check", "-q", ".")),
    ("lint", (f"{BIN}/ruff", "check", "-q", ".")),
    ("types", (f"{BIN}/mypy",)),
    ("imports", (f"{BIN}/lint-imports", "--no-logo")),
    ("docs in step", (sys.executable, "tools/docs.py", "--check")),
    ("field ledger", (sys.executable, "tools/fields.py", "--check")),
    ("no registry hosts", ("sh", "-c", f"! git grep -nIE '{HOST_PATTERN}' -- .")),
)


def main() -> int:
    """Run all checks; return the exit status."""
    failed = []
    for name, argv in CHECKS:
        start = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        good = done.returncode == 0
        print(f"{'ok  ' if good else 'FAIL'}  {name:<18} {time.monotonic() - start:5.1f} s", flush=True)
        if not good:
            failed.append(name)
            print(done.stdout[-6000:])
    print(f"check: {len(CHECKS) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
