"""The store: durable before it is answered, read or watched; one revision; compaction; migrations."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from meltemi.apiserver.core.status import ApiError, already_exists
from meltemi.apiserver.core.storage import Key
from meltemi.apiserver.shell.sqlite import SCHEMA, StoreError
from meltemi.apiserver.shell.store import Store, Transaction


def key(name: str) -> Key:
    return Key("configmaps", "default", name)


def document(name: str, value: str = "") -> dict[str, object]:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": {"v": value}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def put(name: str, value: str = "") -> Callable[[Transaction], int]:
    return lambda transaction: transaction.put(key(name), document(name, value)).revision


def create(name: str) -> Callable[[Transaction], int]:
    def decide(transaction: Transaction) -> int:
        if transaction.get(key(name)) is not None:
            raise already_exists("configmaps", name)
        return transaction.put(key(name), document(name)).revision

    return decide


def drop(name: str) -> Callable[[Transaction], int]:
    def decide(transaction: Transaction) -> int:
        entry = transaction.get(key(name))
        assert entry is not None
        return transaction.delete(entry.key, entry.document()).revision

    return decide


class Gate:
    """Holds every commit back until opened; `error` lets the next one fail."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(30)
        if self.error is not None:
            error, self.error = self.error, None
            raise error


async def reached(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.reached.wait, 30)


async def test_a_write_whose_commit_is_held_is_not_answered_read_listed_or_watched(tmp_path: Path) -> None:
    gate = Gate()
    async with Store(tmp_path / "s.db", before_commit=gate) as store:
        signal_ = store.memory.signal("configmaps")
        task = asyncio.ensure_future(store.write(put("a"), "me"))
        await reached(gate)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        assert store.memory.get(key("a")) is None
        assert list(store.memory.entries("configmaps")) == []
        assert store.memory.since("configmaps", 0) == []
        assert store.revision == 0
        assert not signal_.is_set()
        gate.open.set()
        assert await task == 1
        assert store.memory.get(key("a")) is not None
        assert [event.revision for event in store.memory.since("configmaps", 0)] == [1]
        assert signal_.is_set()


async def test_a_refusal_that_rests_on_a_held_write_waits_for_it(tmp_path: Path) -> None:
    gate = Gate()
    async with Store(tmp_path / "s.db", before_commit=gate) as store:
        first = asyncio.ensure_future(store.write(create("a"), "me"))
        await reached(gate)
        second = asyncio.ensure_future(store.write(create("a"), "you"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not second.done()
        gate.open.set()
        assert await first == 1
        with pytest.raises(ApiError, match="already exists"):
            await second


async def test_when_a_commit_fails_what_was_decided_on_it_fails_or_is_decided_anew(tmp_path: Path) -> None:
    gate = Gate()
    gate.error = RuntimeError("seeded")
    async with Store(tmp_path / "s.db", before_commit=gate) as store:
        first = asyncio.ensure_future(store.write(create("a"), "me"))
        await reached(gate)
        refused = asyncio.ensure_future(store.write(create("a"), "you"))
        behind = asyncio.ensure_future(store.write(put("b"), "you"))
        await asyncio.sleep(0)
        gate.open.set()
        for task in (first, behind):
            with pytest.raises(ApiError) as error:
                await task
            assert error.value.code == 503
        # The refusal rested on a write that never was: decided anew, it succeeds, with the first free revision.
        assert await refused == 1
        assert store.memory.get(key("b")) is None
    async with Store(tmp_path / "s.db") as store:
        assert [entry.key.name for entry in store.memory.entries("configmaps")] == ["a"]


async def test_an_io_error_stops_writing_until_a_restart_and_reads_go_on(tmp_path: Path) -> None:
    gate = Gate()
    gate.open.set()
    async with Store(tmp_path / "s.db", before_commit=gate) as store:
        await store.write(put("a"), "me")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        gate.error = error
        for _ in range(2):
            with pytest.raises(ApiError) as refused:
                await store.write(put("b"), "me")
            assert refused.value.code == 503
        assert store.memory.get(key("a")) is not None


async def test_a_full_disk_refuses_writes_and_recovers(tmp_path: Path) -> None:
    gate = Gate()
    gate.open.set()
    async with Store(tmp_path / "s.db", before_commit=gate) as store:
        error = sqlite3.OperationalError("full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        gate.error = error
        with pytest.raises(ApiError, match="disk is full"):
            await store.write(put("a"), "me")
        assert await store.write(put("a"), "me") == 1


async def test_everything_is_there_again_after_reopening(tmp_path: Path) -> None:
    async with Store(tmp_path / "s.db") as store:
        for name in "abc":
            await store.write(put(name, "1"), "me")
        await store.write(put("b", "2"), "me")
        await store.write(drop("c"), "me")
        before = [entry.body for entry in store.memory.entries("configmaps")]
    async with Store(tmp_path / "s.db") as store:
        assert store.revision == 5
        assert [entry.body for entry in store.memory.entries("configmaps")] == before
        # Watchers resume across the restart.
        assert [(e.revision, e.type) for e in store.memory.since("configmaps", 3)] == [
            (4, "MODIFIED"),
            (5, "DELETED"),
        ]
        assert await store.write(put("d"), "me") == 6


async def test_rows_say_who_and_when(tmp_path: Path) -> None:
    async with Store(tmp_path / "s.db", clock=lambda: 1234.5) as store:
        await store.write(put("a"), "system:admin")
    with sqlite3.connect(tmp_path / "s.db") as db:
        rows = db.execute(
            "SELECT revision, operation, resource, namespace, name, who, at FROM log"
        ).fetchall()
    db.close()
    assert rows == [(1, 1, "configmaps", "default", "a", "system:admin", 1234.5)]


async def test_a_transaction_is_all_or_nothing_and_reads_what_it_staged(tmp_path: Path) -> None:
    def both(transaction: Transaction) -> int:
        transaction.put(key("a"), document("a"))
        assert transaction.get(key("a")) is not None
        assert [entry.key.name for entry in transaction.entries("configmaps")] == ["a"]
        return transaction.put(key("b"), document("b")).revision

    def broken(transaction: Transaction) -> int:
        transaction.put(key("c"), document("c"))
        raise already_exists("configmaps", "c")

    async with Store(tmp_path / "s.db") as store:
        assert await store.write(both, "me") == 2
        with pytest.raises(ApiError):
            await store.write(broken, "me")
        assert await store.write(put("d"), "me", dry_run=True) == 3
        assert store.memory.get(key("c")) is None
        assert store.memory.get(key("d")) is None
        assert store.revision == 2


async def test_a_transaction_may_be_large(tmp_path: Path) -> None:
    def many(transaction: Transaction) -> int:
        return [
            transaction.put(key(f"n{number}"), document(f"n{number}")).revision for number in range(5000)
        ][-1]

    async with Store(tmp_path / "s.db") as store:
        assert await store.write(many, "me") == 5000
    async with Store(tmp_path / "s.db") as store:
        assert store.memory.count("configmaps") == 5000


async def test_concurrent_writers_get_each_their_own_revision_and_one_order(tmp_path: Path) -> None:
    def increment(transaction: Transaction) -> int:
        entry = transaction.get(key("n"))
        value = int(entry.labels["v"]) if entry else 0
        transaction.put(key("n"), document("n", str(value + 1)))
        return value + 1

    async with Store(tmp_path / "s.db") as store:
        found = await asyncio.gather(*(store.write(increment, "me") for _ in range(300)))
        assert sorted(found) == list(range(1, 301))
        entry = store.memory.get(key("n"))
        assert entry is not None
        assert entry.labels == {"v": "300"}
        assert entry.revision == store.revision == 300


async def test_old_revisions_are_gone_with_410_and_the_log_shrinks(tmp_path: Path) -> None:
    async with Store(tmp_path / "s.db", window=50) as store:
        await store.write(put("kept"), "me")
        await store.write(put("gone"), "me")
        await store.write(drop("gone"), "me")
        for number in range(200):
            await store.write(put("n", str(number)), "me")
        assert store.memory.floor > 100
        with pytest.raises(ApiError) as error:
            store.memory.since("configmaps", 10)
        assert error.value.code == 410
        with pytest.raises(ApiError):
            store.memory.entries_at("configmaps", None, 10)
        revision = store.revision
    with sqlite3.connect(tmp_path / "s.db") as db:
        assert db.execute("SELECT count(*) FROM log").fetchone()[0] < 150
        assert db.execute("SELECT count(*) FROM log WHERE name = 'gone'").fetchone()[0] == 0
    db.close()
    async with Store(tmp_path / "s.db", window=50) as store:
        assert [entry.key.name for entry in store.memory.entries("configmaps")] == ["kept", "n"]
        assert store.revision == revision
        with pytest.raises(ApiError):
            store.memory.since("configmaps", 10)


async def test_the_state_at_an_earlier_revision(tmp_path: Path) -> None:
    async with Store(tmp_path / "s.db") as store:
        await store.write(put("a", "1"), "me")
        await store.write(put("b", "1"), "me")
        await store.write(put("a", "2"), "me")
        await store.write(drop("b"), "me")
        await store.write(put("c", "1"), "me")

        def at(revision: int) -> list[tuple[str, str]]:
            return [
                (e.key.name, e.labels["v"]) for e in store.memory.entries_at("configmaps", None, revision)
            ]

        assert at(2) == [("a", "1"), ("b", "1")]
        assert at(3) == [("a", "2"), ("b", "1")]
        assert at(4) == [("a", "2")]
        assert at(5) == [("a", "2"), ("c", "1")]


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.close()
    with pytest.raises(StoreError, match="newer release"):
        Store(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA + 1
    db.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match="not a store"):
        Store(path)


async def test_a_second_process_is_refused_and_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with Store(path) as store:
        await store.write(put("a"), "me")
        assert path.stat().st_mode & 0o777 == 0o600
        script = f"from meltemi.apiserver.shell.store import Store; Store({str(path)!r})"
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "in use by another process" in done.stderr


WRITER = """
import asyncio, sys
from meltemi.apiserver.core.storage import Key
from meltemi.apiserver.shell.store import Store

def put(name):
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
    return lambda transaction: transaction.put(Key("configmaps", "default", name), document).revision

async def main():
    async with Store(sys.argv[1]) as store:
        for number in range(int(sys.argv[2])):
            name = f"acknowledged-{number}"
            await store.write(put(name), "me")
            sys.stdout.write(name + "\\n")
            sys.stdout.flush()

asyncio.run(main())
"""


async def test_what_was_acknowledged_before_a_sigkill_is_there(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "s.db"), "100000"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [await asyncio.to_thread(process.stdout.readline) for _ in range(100)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait(30)
    process.stdout.close()
    names = {line.strip() for line in said if line.endswith("\n")}
    async with Store(tmp_path / "s.db") as store:
        there = {entry.key.name for entry in store.memory.entries("configmaps")}
    assert len(names) >= 100
    assert names <= there


def can_trace() -> bool:
    done = subprocess.run(
        ["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False, timeout=30
    )
    return done.returncode == 0


def test_the_kernel_is_told_to_sync_before_each_acknowledgement(tmp_path: Path) -> None:
    """By the kernel's own account: before each acknowledgement the log is written, then synced."""
    try:
        if not can_trace():
            pytest.skip("this machine does not let processes be traced")
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    subprocess.run(
        [
            *(
                "strace",
                "-f",
                "-y",
                "-qq",
                "-s",
                "64",
                "-e",
                "trace=write,pwrite64,fdatasync,fsync",
                "-o",
                str(trace),
            ),
            *(sys.executable, "-c", WRITER, str(tmp_path / "s.db"), "5"),
        ],
        capture_output=True,
        check=True,
        timeout=100,
    )
    steps: list[str] = []
    syncing: set[str] = set()
    for line in trace.read_text().splitlines():
        if "s.db-wal" in line and "pwrite64(" in line:
            steps.append("written")
        elif "s.db-wal" in line and "sync(" in line:
            if "<unfinished" in line:
                syncing.add(line.split()[0])
            else:
                steps.append("synced")
        elif "sync resumed>" in line and line.split()[0] in syncing:
            syncing.discard(line.split()[0])
            steps.append("synced")
        elif "acknowledged-" in line and " write(1" in line:
            steps.append("acknowledged")
    assert steps.count("acknowledged") == 5
    last = 0
    for place in [i for i, step in enumerate(steps) if step == "acknowledged"]:
        since = steps[last:place]
        assert "written" in since
        assert since[-1] == "synced"
        last = place + 1
