"""The same tests once more as a user who is nobody, where the caller is root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.harness.mesh import NOBODY, ROOT, environment, python


def again_as_nobody(*tests: Path, marks: str = "not long", timeout: float = 300) -> str:
    """Run test files as nobody; return what pytest said. Fails if they do, skips where we are not root."""
    if os.geteuid() != 0:
        pytest.skip("this is an unprivileged user already")
    command = [python(), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", marks, *map(str, tests)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment() | {"HOME": "/nonexistent"},
        user=NOBODY[0],
        group=NOBODY[1],
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
