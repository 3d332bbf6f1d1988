"""The guides, typed as they stand: every command, and every line that they show."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.console import typed, wrong
from tests.live import meshes

from meltemi.ctl.tour import cli

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(240)]

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"


@pytest.fixture
def shell() -> Iterator[dict[str, str]]:
    """An environment as a newcomer's, with folders of its own; no process of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="ml-") as root:
        Path(root, "r").mkdir(mode=0o700)
        Path(root, "work").mkdir()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {
            **os.environ,
            "PATH": path,
            "XDG_STATE_HOME": f"{root}/s",
            "XDG_RUNTIME_DIR": f"{root}/r",
            "PWD": f"{root}/work",
            "NO_COLOR": "1",
        }
        for name in ("KUBECONFIG", "MELTEMI_MESH"):
            env.pop(name, None)
        try:
            yield env
        finally:
            meshes.run(cli("default", "down"), env)
            left = meshes.processes_of(root)
        assert not left, f"processes are left: {left}"


@pytest.mark.parametrize(
    ("name", "least"),
    [
        pytest.param("first-hour.md", 50, id="first-hour"),
        pytest.param("ways-in-and-out.md", 20, id="ways-in-and-out"),
    ],
)
def test_every_command_shows_what_the_guide_shows(shell: dict[str, str], name: str, least: int) -> None:
    guide = GUIDES / name
    assert len(typed(guide.read_text(encoding="utf-8"))) > least
    found = wrong(guide, shell, shell["PWD"], 200)
    assert found == [], "\n\n".join(found)
