"""Read a container's log: its last lines, and what comes after."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

POLL_SECONDS = 0.1
_CHUNK = 64 * 1024


def last_lines(path: str, count: int | None) -> tuple[bytes, int]:
    """The last `count` lines of a log (all for None), and the position behind them. A missing file is empty."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if count is None:
                file.seek(0)
                return file.read(), size
            data, position = b"", size
            while position > 0 and data.count(b"\n") <= count:
                step = min(_CHUNK, position)
                position -= step
                file.seek(position)
                data = file.read(step) + data
    except FileNotFoundError:
        return b"", 0
    lines = data.splitlines(keepends=True)
    return b"".join(lines[max(0, len(lines) - count) :]), size


async def follow(path: str, position: int) -> AsyncIterator[bytes]:
    """What is written from `position` on, for ever; a file that was emptied is read from its beginning."""
    while True:
        data, position = await asyncio.to_thread(_more, path, position)
        if data:
            yield data
        else:
            await asyncio.sleep(POLL_SECONDS)


def _more(path: str, position: int) -> tuple[bytes, int]:
    try:
        with Path(path).open("rb") as file:
            if file.seek(0, os.SEEK_END) < position:
                position = 0
            file.seek(position)
            data = file.read(_CHUNK)
    except FileNotFoundError:
        return b"", 0
    return data, position + len(data)
