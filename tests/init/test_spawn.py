"""What is done between fork and exec."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meltemi.init.shell import spawn
from meltemi.init.wire import Bind, Spec


def test_a_file_that_is_replaced_while_its_folder_is_handed_over_keeps_no_app_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".key.pem.new").touch()
    (tmp_path / "root-cert.pem").touch()
    given: list[str] = []

    def chown(path: str, uid: int, gid: int, *, follow_symlinks: bool) -> None:
        if path.endswith(".new"):
            Path(path).rename(tmp_path / "key.pem")
        Path(path).stat()
        assert (uid, gid, follow_symlinks) == (7, 8, False)
        given.append(path)

    monkeypatch.setattr(os, "chown", chown)
    house = spawn.House("/run/x", "/run/x/netns", 0, (7, 8), rootless=False, hidden=())
    spec = Spec("a", ("/bin/true",), binds=(Bind(str(tmp_path), source=str(tmp_path)),))
    spawn._hand_over(spec, house)
    assert given == [str(tmp_path), str(tmp_path / "root-cert.pem")]
