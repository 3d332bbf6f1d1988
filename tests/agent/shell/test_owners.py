"""An owner's lock ends with the owner, whatever ended it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from meltemi.agent.shell.owners import is_owned, owning
from meltemi.init.core import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path), str(tmp_path))


def test_it_is_owned_as_long_as_the_block_lasts(layout: Layout) -> None:
    assert not is_owned(layout, "a1")
    with owning(layout, "a1"):
        assert is_owned(layout, "a1")
        assert not is_owned(layout, "a2")
    assert not is_owned(layout, "a1")
    assert list(Path(layout.run, "owners").iterdir()) == []


def test_a_killed_owner_is_no_owner_and_leaves_no_file(layout: Layout) -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        with owning(layout, "a1"):
            os.write(tell, b"x")
            signal.pause()
        os._exit(0)
    try:
        assert os.read(told, 1) == b"x"
        assert is_owned(layout, "a1")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)
        os.close(tell)
    assert not is_owned(layout, "a1")
    assert list(Path(layout.run, "owners").iterdir()) == []


@pytest.mark.parametrize("attach", ["", "../init.lock", "a/b", "x" * 65])
def test_what_is_no_id_names_no_file(layout: Layout, attach: str) -> None:
    assert not is_owned(layout, attach)
