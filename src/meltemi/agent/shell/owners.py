"""Who waits for an attached Pod: a lock that the kernel lets go of when its holder ends, whatever ended it.

`meltemi run` holds the lock of its Pod's attach id for as long as it lives. A process id would not do: the agent
sees none of the host's, and numbers are used again.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meltemi.init.core import Layout

_ID = re.compile(r"[0-9A-Za-z-]{1,64}\Z")


@contextmanager
def owning(layout: Layout, attach: str) -> Iterator[None]:
    """Be the owner of the Pod with this attach id. Raises OSError where the runtime folder cannot be written."""
    path = _path(layout, attach)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(held)


def is_owned(layout: Layout, attach: str) -> bool:
    """Say whether the owner of an attach id lives; what a dead one left is cleared away."""
    if not _ID.match(attach):
        return False
    path = _path(layout, attach)
    try:
        seen = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(seen, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(seen)


def _path(layout: Layout, attach: str) -> Path:
    return Path(layout.run, "owners", attach)
