"""Log files of processes: appended to by themselves, kept short by init, quoted when they end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from meltemi.init.wire import Stdio

QUOTE = 2000
"""Bytes of a log that an end is told with."""


def open_log(path: str) -> int:
    """Open for appending, 0600, with its folder."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def tail(path: str, offset: int, lines: int = 20) -> str:
    """The last lines written at or after an offset, at most QUOTE bytes of whole lines."""
    if not path:
        return ""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(offset if offset <= size else 0, size - QUOTE)
            file.seek(start)
            text = file.read(QUOTE).decode(errors="replace")
    except OSError:
        return ""
    if start > offset and "\n" in text:
        text = text.split("\n", 1)[1]
    return "\n".join(text.splitlines()[-lines:])


def shorten(stdios: Iterable[Stdio]) -> None:
    """Copy each log that grew past its limit aside and empty it: its writer appends, so it goes on at the start."""
    for stdio in stdios:
        if not stdio.log:
            continue
        try:
            if os.stat(stdio.log).st_size > stdio.limit:
                shutil.copyfile(stdio.log, f"{stdio.log}.1")
                os.chmod(f"{stdio.log}.1", 0o600)
                os.truncate(stdio.log, 0)
        except OSError:
            continue
