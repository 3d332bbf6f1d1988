"""A pod's socket lets that pod's processes through, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meltemi.agent.shell.gate import Gate


@contextlib.asynccontextmanager
async def gate(path: Path, allowed: str | None) -> AsyncIterator[list[int]]:
    """A gate of pod `mine` before an echo server; processes are said to be in pod `allowed`."""
    inner = f"meltemi-test-{secrets.token_hex(8)}"
    asked: list[int] = []

    def peer_pod(pid: int) -> str | None:
        asked.append(pid)
        return allowed

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(echo, f"\0{inner}")
    async with server, asyncio.TaskGroup() as group:
        task = group.create_task(Gate("mine", str(path), inner, peer_pod).run())
        while not path.exists():
            await asyncio.sleep(0.005)
        yield asked
        task.cancel()


async def test_the_pods_own_process_passes_and_is_asked_for_by_pid(tmp_path: Path) -> None:
    async with asyncio.timeout(10), gate(tmp_path / "s", "mine") as asked:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        big = os.urandom(3_000_000)
        writer.write(big)
        assert await reader.readexactly(len(big)) == big
        assert asked == [os.getpid()]
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        writer.close()


@pytest.mark.parametrize("where", [None, "other"])
async def test_anybody_else_is_cut_off_without_a_byte(
    tmp_path: Path, where: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(10), gate(tmp_path / "s", where):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        with contextlib.suppress(ConnectionError):
            writer.write(b"hello")
            await writer.drain()
            assert await reader.read() == b""
        writer.close()
    assert f"refused process {os.getpid()}" in caplog.text


async def test_a_socket_left_behind_is_replaced_and_taken_away_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    async with asyncio.timeout(10):
        async with gate(tmp_path / "s", "mine"):
            # The first look may still have seen the file.
            for _ in range(200):
                with contextlib.suppress(ConnectionError):
                    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                    writer.close()
                    break
                await asyncio.sleep(0.01)
            else:
                pytest.fail("nobody listens")
        assert not (tmp_path / "s").exists()
