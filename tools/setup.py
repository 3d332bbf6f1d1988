"""Make the virtual environment: hashed requirements, this package, the Envoy type stubs.

Usage: python tools/setup.py VENV. Needs nothing but Python's own venv and the package registry.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*argv: str) -> None:
    """Run a step; on failure show the last of what it said and stop."""
    done = subprocess.run(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(f"setup: {' '.join(argv[:4])} ... failed:\n{done.stdout[-4000:]}\n")
        raise SystemExit(done.returncode)


def main(venv: str) -> None:
    """Create and fill the environment at VENV."""
    if not ((3, 11) <= sys.version_info[:2] <= (3, 14)):
        sys.exit(
            f"setup: Python 3.11 to 3.14 is needed, this is {sys.version.split()[0]}; try make PYTHON=python3.12"
        )
    python = ROOT / venv / "bin" / "python"
    print("setup: making .venv", flush=True)
    if not python.exists():
        run(sys.executable, "-m", "venv", venv)
    run(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv")
    uv = str(python.with_name("uv"))
    print("setup: installing packages (hash-checked)", flush=True)
    run(uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", "requirements/dev.txt")
    run(uv, "pip", "install", "-q", "--python", str(python), "--no-deps", "-e", ".")
    print("setup: generating Envoy type stubs", flush=True)
    run(str(python), "tools/gen_stubs.py", "stubs")


if __name__ == "__main__":
    main(sys.argv[1])
