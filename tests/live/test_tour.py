"""The tour, as a user takes it: every step as expected, and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.harness.mesh import NOBODY, ROOT, environment, python
from tests.live import meshes

from meltemi.ctl.tour import cli

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    ("tour", "count"), [pytest.param("helloworld", 11, marks=pytest.mark.long), ("bookinfo", 16)]
)
def test_every_step_is_as_expected(tmp_path: Path, tour: str, count: int) -> None:
    file = tmp_path / "steps.json"
    folder = tmp_path / "r"
    folder.mkdir(mode=0o700)
    env = {**os.environ, "XDG_STATE_HOME": f"{tmp_path}/s", "XDG_RUNTIME_DIR": str(folder)}
    argv = [*cli("tour", "demo"), "--once", "--tour", tour, "--json", str(file)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=200, check=False)
    steps = json.loads(file.read_text())
    assert len(steps) == count
    assert [step for step in steps if not step["ok"]] == []
    assert done.returncode == 0, done.stdout + done.stderr
    assert meshes.processes_of(str(tmp_path)) == []
    assert not list((tmp_path / "s" / "meltemi").iterdir())


@pytest.mark.long
def test_the_same_as_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("this is an unprivileged user already")
    home = Path("/tmp") / f"ml-nobody-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, *NOBODY)
    code = "from meltemi.ctl.main import main; main()"
    try:
        done = subprocess.run(
            [python(), "-c", code, "demo", "--once"],
            cwd=ROOT,
            env=environment() | {"HOME": str(home)},
            user=NOBODY[0],
            group=NOBODY[1],
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=220,
            check=False,
        )
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)
    assert "16 of 16 steps as expected" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_the_step_that_is_wrong_is_told(tmp_path: Path) -> None:
    """A step's verdict comes from what was seen: a step that raises, or sees something else, is wrong."""
    from meltemi.ctl.invocation import CtlError
    from meltemi.ctl.tour import Observed, Step, take

    def refuse() -> Observed:
        raise CtlError("no route")

    assert take(Step("a", "b", refuse)).ok is False
    assert take(Step("a", "b", refuse)).observed == "no route"
    assert take(Step("a", "200", lambda: Observed("503", ok=False))).ok is False
