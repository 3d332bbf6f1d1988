"""Small files of JSON that a restart needs: private, whole, and on the disk before they replace what was there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def replace(file: Path, value: Any) -> None:
    """Write a file (0600) in one step, synced; its folder is made (0700). Raises OSError, and the old one stays."""
    fresh = file.with_suffix(".new")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(value, out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
