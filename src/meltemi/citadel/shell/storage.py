"""Where a CA's keys are kept. On one machine: files in a folder, 0600."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """Named secrets that are written together or not at all."""

    def load(self) -> Mapping[str, bytes]:
        """Everything kept, by name; empty where nothing is."""
        ...

    def save(self, files: Mapping[str, bytes]) -> None:
        """Keep these, in place of those of the same names."""
        ...


class FolderStorage:
    """Files of one folder (0700, files 0600). Raises PermissionError where others could read a key."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def load(self) -> Mapping[str, bytes]:
        """Read all `.pem` files."""
        if not self._folder.is_dir():
            return {}
        return {path.name: self._read(path) for path in sorted(self._folder.glob("*.pem"))}

    def _read(self, path: Path) -> bytes:
        mode = path.stat().st_mode
        if path.name.endswith("key.pem") and mode & 0o077:
            raise PermissionError(f"{path} may be read by others (mode {mode & 0o777:o}): it should be 600")
        return path.read_bytes()

    def save(self, files: Mapping[str, bytes]) -> None:
        """Write and sync all files beside their places, then rename them: together, as far as a folder can."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        written = [
            (self._write_beside(name, content), self._folder / name)
            for name, content in sorted(files.items())
        ]
        for beside, path in written:
            beside.rename(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write_beside(self, name: str, content: bytes) -> Path:
        beside = self._folder / f".{name}.new"
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return beside


class MemoryStorage:
    """Kept for as long as the process lives: for tests and dry runs."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def load(self) -> Mapping[str, bytes]:
        """Everything kept."""
        return dict(self._files)

    def save(self, files: Mapping[str, bytes]) -> None:
        """Keep these."""
        self._files.update(files)
