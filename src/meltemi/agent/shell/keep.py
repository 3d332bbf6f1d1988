"""Files of one pod, 0600 in a folder of 0700: replaced by rename, so that a reader sees the old or the new one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from meltemi.pilot.wire.messages import Entry, Malformed, Response, decode_response, encode_response
from meltemi.pilot.wire.types import short

ACCEPTED = "accepted."


def write(path: str, content: bytes) -> None:
    """Replace a file. The folder is made if it is not there. Raises OSError."""
    target = Path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
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


class Accepted:
    """What a pod's Envoy accepted last, one file per type: a DeltaDiscoveryResponse without a nonce."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def load(self) -> dict[str, tuple[Entry, ...]]:
        """Read everything, by type URL. A file that is damaged counts as not there: Envoy waits for upstream then."""
        found: dict[str, tuple[Entry, ...]] = {}
        for path in sorted(self._folder.glob(f"{ACCEPTED}*")):
            try:
                response = decode_response(path.read_bytes())
            except (OSError, Malformed):
                continue
            if response.type:
                found[response.type] = response.resources
        return found

    async def save(self, type_url: str, entries: Iterable[Entry]) -> None:
        """Write one type, off the event loop's thread. Raises OSError."""
        content = encode_response(Response(type_url, "", tuple(entries)))
        await asyncio.to_thread(write, str(self._folder / f"{ACCEPTED}{short(type_url)}"), content)
