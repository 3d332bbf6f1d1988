from __future__ import annotations

import stat
from pathlib import Path

import pytest

from meltemi.agent.shell import keep
from meltemi.agent.shell.accepted import Accepted
from meltemi.pilot.wire.messages import Entry, frame
from meltemi.pilot.wire.types import CDS, LDS


def entry(name: str) -> Entry:
    from envoy.service.discovery.v3 import discovery_pb2

    resource = discovery_pb2.Resource(name=name, version="7")
    resource.resource.type_url = CDS
    resource.resource.value = b"\x0a\x01a"
    return Entry(name, "7", frame(resource.SerializeToString()))


async def test_what_was_accepted_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = Accepted(str(tmp_path / "pod"))
    await kept.save(CDS, (entry("a"), entry("b")))
    await kept.save(LDS, ())
    assert kept.load() == {CDS: (entry("a"), entry("b")), LDS: ()}
    for path in (tmp_path / "pod").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pod").stat().st_mode) == 0o700


async def test_a_damaged_file_counts_as_not_there(tmp_path: Path) -> None:
    kept = Accepted(str(tmp_path))
    await kept.save(CDS, (entry("a"),))
    await kept.save(LDS, ())
    (tmp_path / "accepted.CDS").write_bytes(b"\xff\xff\xff")
    assert kept.load() == {LDS: ()}


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "file"
    keep.write(str(target), b"old")
    (tmp_path / ".file.new").mkdir()
    with pytest.raises(OSError, match=r"\.file\.new"):
        keep.write(str(target), b"new")
    assert keep.read(str(target)) == b"old"


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert keep.read(str(tmp_path / "none")) is None
    keep.forget(str(tmp_path / "none"))
