"""Where a mesh keeps its files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meltemi.ctl.layout import RUN_LIMIT, LayoutError, find_layout, known_meshes, make_layout


@pytest.fixture
def env() -> Iterator[dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="mlt"))
    (folder / "run").mkdir(mode=0o700)
    yield {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
    }
    shutil.rmtree(folder)


def test_the_folders_are_where_xdg_says(env: dict[str, str]) -> None:
    found = find_layout("shop", env)
    assert found.state == f"{env['XDG_STATE_HOME']}/meltemi/shop"
    assert found.run == f"{env['XDG_RUNTIME_DIR']}/meltemi/shop"
    assert not Path(found.state).exists()


def test_without_xdg_they_are_in_home_and_tmp(env: dict[str, str]) -> None:
    found = find_layout("shop", {"HOME": env["HOME"]})
    assert found.state == f"{env['HOME']}/.local/state/meltemi/shop"
    assert found.run == f"/tmp/meltemi-{os.geteuid()}/shop"


def test_a_runtime_folder_too_long_for_sockets_is_not_used(env: dict[str, str]) -> None:
    long = Path(env["HOME"]) / ("x" * RUN_LIMIT)
    long.mkdir()
    found = find_layout("shop", {**env, "XDG_RUNTIME_DIR": str(long)})
    assert found.run == f"/tmp/meltemi-{os.geteuid()}/shop"


def test_made_folders_are_closed_to_others(env: dict[str, str]) -> None:
    made = make_layout("shop", env)
    for folder in (made.run, made.state):
        assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert known_meshes(env) == ("shop",)


def test_another_environment_finds_the_same_mesh(env: dict[str, str]) -> None:
    made = make_layout("shop", env)
    other = {key: value for key, value in env.items() if key != "XDG_RUNTIME_DIR"}
    assert find_layout("shop", other) == made
    assert make_layout("shop", other) == made


def test_a_folder_open_to_others_is_refused(env: dict[str, str]) -> None:
    made = make_layout("shop", env)
    Path(made.state).chmod(0o755)
    with pytest.raises(LayoutError, match="open to other users") as caught:
        find_layout("shop", env)
    assert caught.value.hint == f"chmod 700 {made.state}"


def test_a_link_in_place_of_a_folder_is_refused(env: dict[str, str]) -> None:
    made = make_layout("shop", env)
    shutil.rmtree(made.run)
    Path(made.run).symlink_to(env["HOME"])
    with pytest.raises(LayoutError, match="is not a folder"):
        find_layout("shop", env)


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a" * 31, "-a", "a-", "a\n"])
def test_a_bad_name_is_refused(name: str, env: dict[str, str]) -> None:
    with pytest.raises(LayoutError, match="no name for a mesh"):
        find_layout(name, env)
