"""The agent's own files, 0600 in folders of 0700: replaced by rename, so that a reader sees the old or the new one."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def write(path: str, content: bytes) -> None:
    """Replace a file, which belongs to whom its folder does. The folder is made if it is not there. Raises OSError."""
    target = Path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            owner = target.parent.stat()
            if owner.st_uid != os.geteuid():
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(content)
        beside.rename(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read(path: str) -> bytes | None:
    """Read a file; None where it is not there."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def forget(folder: str) -> None:
    """Remove a folder with all that is in it; one that is not there is fine."""
    shutil.rmtree(folder, ignore_errors=True)
