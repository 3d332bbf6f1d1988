"""A directory of YAML: links that are swapped, files half written, folders that vanish, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from meltemi.api.core.config import CONFIG_MAP
from meltemi.galley.core import catalogue
from meltemi.galley.shell.directory import DirectorySource
from meltemi.galley.shell.source import DELETED, SourceEvent, every


def text(name: str, **data: str) -> str:
    meta = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


class Followed:
    """A directory that is followed, and what it holds by what it told."""

    def __init__(self, folder: Path, memory: Path | None = None) -> None:
        self.source = DirectorySource(folder, every([CONFIG_MAP]), memory=memory, period=0.01, quiet=0.02)
        self.batches: list[tuple[SourceEvent, ...]] = []

    @property
    def held(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for event in (event for batch in self.batches for event in batch):
            if event.type == DELETED:
                del found[event.key[2]]
            else:
                found[event.key[2]] = event.document["data"]
        return found

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(one.code.id, str(one.position)) for one in self.source.findings]


@contextlib.asynccontextmanager
async def following(folder: Path, memory: Path | None = None) -> AsyncIterator[Followed]:
    made = Followed(folder, memory)
    task = asyncio.get_running_loop().create_task(made.source.run(made.batches.append))
    try:
        await until(lambda: made.batches)
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def a_while() -> None:
    await asyncio.sleep(0.25)


async def test_files_of_all_folders_are_read_and_hidden_and_other_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep" / "er" / "a.yml").write_text(text("a"))
    (tmp_path / "b.json").write_text(text("b"))
    (tmp_path / ".hidden.yaml").write_text(text("h"))
    (tmp_path / ".git" / "g.yaml").write_text(text("g"))
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.yaml")
    async with following(tmp_path) as found:
        assert sorted(found.held) == ["a", "b"]
        assert found.told == []


async def test_a_config_map_volume_is_swapped_as_one(tmp_path: Path) -> None:
    def version(number: int, *names: str) -> str:
        folder = tmp_path / f"..2026_{number}"
        folder.mkdir()
        for name in names:
            (folder / f"{name}.yaml").write_text(text(name, v=str(number)))
        return folder.name

    (tmp_path / "..data").symlink_to(version(1, "a", "b"))
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    async with following(tmp_path) as found:
        assert found.held == {"a": {"v": "1"}, "b": {"v": "1"}}
        (tmp_path / "..next").symlink_to(version(2, "a", "b"))
        (tmp_path / "..next").rename(tmp_path / "..data")
        await until(lambda: found.held == {"a": {"v": "2"}, "b": {"v": "2"}})
        assert len(found.batches) == 2


async def test_a_link_that_leads_nowhere_keeps_what_it_gave(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.yaml").write_text(text("a"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.yaml").symlink_to(tmp_path / "there" / "a.yaml")
    async with following(tmp_path / "config") as found:
        (tmp_path / "there").rename(tmp_path / "away")
        await until(lambda: found.told)
        assert found.told == [("MEL0070", f"{tmp_path}/config/a.yaml:1:1")]
        assert sorted(found.held) == ["a"]
        (tmp_path / "away").rename(tmp_path / "there")
        await until(lambda: not found.told)
        (tmp_path / "config" / "a.yaml").unlink()
        await until(lambda: not found.held)


async def test_a_broken_file_keeps_its_objects_and_says_where(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("a", x="1"))
    (tmp_path / "b.yaml").write_text(text("b"))
    async with following(tmp_path) as found:
        file.write_text("kind: ConfigMap\nmetadata: {name: a\n")
        await until(lambda: found.told)
        assert found.told == [("MEL0010", f"{file}:3:1")]
        assert found.held == {"a": {"x": "1"}, "b": {}}
        (tmp_path / "b.yaml").write_text(text("b", y="1"))
        await until(lambda: found.held["b"] == {"y": "1"})
        file.write_text(text("a", x="2"))
        await until(lambda: found.held["a"] == {"x": "2"})
        assert found.told == []


async def test_a_file_written_bit_by_bit_is_read_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    documents = [text(name) for name in "abc"]
    file.write_text("\n---\n".join(documents))
    async with following(tmp_path) as found:
        with file.open("w") as out:
            for one in documents:
                out.write(f"\n---\n{one}")
                out.flush()
                await asyncio.sleep(0.01)
        await a_while()
        assert len(found.batches) == 1
        assert sorted(found.held) == ["a", "b", "c"]


async def test_a_file_that_has_become_empty_keeps_its_objects_until_it_is_deleted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    async with following(tmp_path) as found:
        file.write_text("")
        await until(lambda: found.told)
        assert found.told == [("MEL0071", f"{file}:1:1")]
        assert sorted(found.held) == ["a"]
        file.unlink()
        await until(lambda: not found.held)
        assert found.told == []


async def test_a_folder_that_may_not_be_read_keeps_what_it_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").write_text(text("b"))
    real = os.scandir

    def shut(path: str) -> Any:
        if path == str(folder):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    async with following(tmp_path) as found:
        monkeypatch.setattr(os, "scandir", shut)
        await until(lambda: found.told)
        assert found.told == [("MEL0070", f"{folder}:1:1")]
        (tmp_path / "b.yaml").unlink()
        await until(lambda: sorted(found.held) == ["a"])
        monkeypatch.setattr(os, "scandir", real)
        await until(lambda: not found.told)
        assert sorted(found.held) == ["a"]


async def test_a_read_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    real = Path.open

    def broken(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path == file:
            raise OSError(5, "Input/output error")
        return real(path, *args, **kwargs)

    async with following(tmp_path) as found:
        monkeypatch.setattr(Path, "open", broken)
        os.utime(file, (1, 1))
        await until(lambda: found.told)
        assert found.source.findings[0].message == "Input/output error"
        assert sorted(found.held) == ["a"]
        monkeypatch.setattr(Path, "open", real)
        await until(lambda: not found.told)


async def test_a_fault_of_ours_with_one_file_stays_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").write_text(text("b"))
    real = catalogue.page

    def broken(data: bytes, file: str, *args: Any) -> Any:
        if b"unlucky" in data:
            raise ZeroDivisionError("a bug")
        return real(data, file, *args)

    monkeypatch.setattr(catalogue, "page", broken)
    async with following(tmp_path) as found:
        (tmp_path / "a.yaml").write_text(text("a", x="unlucky"))
        (tmp_path / "b.yaml").write_text(text("b", x="1"))
        await until(lambda: found.held == {"a": {}, "b": {"x": "1"}})
        assert "Meltemi failed on it: ZeroDivisionError: a bug" in found.source.findings[0].message


async def test_folders_within_folders_have_no_end_that_matters(tmp_path: Path) -> None:
    # Made from within: the whole path is too long at once.
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    (tmp_path / "a.yaml").write_text(text("a"))
    try:
        async with following(tmp_path) as found:
            assert sorted(found.held) == ["a"]
    finally:
        # Python's own way to remove a tree goes down by recursion.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


async def test_a_folder_that_vanishes_or_is_emptied_by_a_lost_mount_keeps_all(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.yaml").write_text(text("a"))
    (folder / "sub" / "b.yaml").write_text(text("b"))
    async with following(folder) as found:
        folder.rename(tmp_path / "away")
        await until(lambda: found.source.errors)
        assert "No such file or directory; what it gave last stays in force" in found.source.errors[0]
        folder.mkdir()
        await until(lambda: "another folder is in its place" in "".join(found.source.errors))
        folder.rmdir()
        folder.write_text("a file")
        await until(lambda: "is no directory" in "".join(found.source.errors))
        folder.unlink()
        assert sorted(found.held) == ["a", "b"]
        (tmp_path / "away").rename(folder)
        await until(lambda: not found.source.errors)
        (folder / "sub" / "b.yaml").unlink()
        (folder / "sub").rmdir()
        await until(lambda: sorted(found.held) == ["a"])
        (folder / "a.yaml").unlink()
        await until(lambda: not found.held)


async def test_of_two_files_the_first_by_name_wins_and_the_other_takes_over(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(text("a", x="b"))
    async with following(tmp_path) as found:
        (tmp_path / "a.yaml").write_text(text("a", x="a"))
        await until(lambda: found.held == {"a": {"x": "a"}})
        assert found.told == [("MEL0073", f"{tmp_path}/b.yaml:1:1")]
        (tmp_path / "a.yaml").unlink()
        await until(lambda: found.held == {"a": {"x": "b"}})
        assert found.told == []


async def test_after_a_restart_what_cannot_be_read_gives_what_it_gave(tmp_path: Path) -> None:
    folder, memory = tmp_path / "config", tmp_path / "state" / "kept.json"
    folder.mkdir()
    (folder / "a.yaml").write_text(text("a", x="1"))
    (folder / "b.yaml").write_text(text("b"))
    async with following(folder, memory):
        await until(memory.exists)
    assert memory.stat().st_mode & 0o777 == 0o600
    (folder / "a.yaml").write_text("a: [")
    async with following(folder, memory) as found:
        assert found.held == {"a": {"x": "1"}, "b": {}}
    folder.rename(tmp_path / "away")
    async with following(folder, memory) as found:
        assert found.held == {"a": {"x": "1"}, "b": {}}
        assert found.source.errors
        (tmp_path / "away").rename(folder)
        (folder / "b.yaml").unlink()
        await until(lambda: sorted(found.held) == ["a"])
    # The mount is gone while nobody looks: what is at its place has nothing in it, and is another folder.
    folder.rename(tmp_path / "away")
    folder.mkdir()
    async with following(folder, memory) as found:
        assert sorted(found.held) == ["a"]
        assert "another folder is in its place" in "".join(found.source.errors)
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    # Whereas this one has been emptied.
    (folder / "a.yaml").unlink()
    async with following(folder, memory) as found:
        assert found.held == {}
        assert not found.source.errors
    memory.write_text("nonsense")
    async with following(folder, memory) as found:
        assert found.held == {}


async def test_a_disk_that_is_full_costs_only_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    (tmp_path / "a.yaml").write_text(text("a"))
    async with following(tmp_path, tmp_path / "kept" / "x.json") as found:
        await a_while()
        assert sorted(found.held) == ["a"]


async def test_a_state_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.yaml").write_text(text("a"))
    (tmp_path / "taken").write_text("a file where the folder is to be")
    async with following(tmp_path / "config", tmp_path / "taken" / "x.json") as found:
        (tmp_path / "config" / "b.yaml").write_text(text("b"))
        await until(lambda: sorted(found.held) == ["a", "b"])


async def test_a_comment_that_is_added_changes_no_object_but_its_place(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text("a"))
    async with following(tmp_path) as found:
        key = ("configmaps", "default", "a")
        assert str(found.source.position(key)) == f"{file}:1:1"
        file.write_text(f"# one\n# two\n{text('a')}")
        await until(lambda: str(found.source.position(key)) == f"{file}:3:1")
        assert len(found.batches) == 1


async def test_what_moves_from_one_file_to_another_is_remembered_there(tmp_path: Path) -> None:
    folder, memory = tmp_path / "config", tmp_path / "kept.json"
    folder.mkdir()
    (folder / "a.yaml").write_text(text("a"))
    async with following(folder, memory):
        await until(memory.exists)
        (folder / "b.yaml").write_text(text("a"))
        await until(lambda: "b.yaml" in memory.read_text())
