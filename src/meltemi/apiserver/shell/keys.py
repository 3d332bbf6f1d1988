"""Keys that sign and check ServiceAccount tokens (ES256), kept in one file of mode 0600."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import orjson
from joserfc.jwk import ECKey


class TokenKeys(Protocol):
    """Where the token keys come from."""

    def signing(self) -> ECKey:
        """Return the key that signs new tokens; its `kid` is set."""

    def verifying(self) -> Mapping[str, ECKey]:
        """Return every key whose tokens are still good, by `kid`; the signing key among them."""


class FileKeys:
    """Keys in a JWKS file: the first signs, all verify. Made when missing; refused when others may read it."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._keys = self._load() if self._path.exists() else self._make()

    def signing(self) -> ECKey:
        """Return the first key."""
        return next(iter(self._keys.values()))

    def verifying(self) -> Mapping[str, ECKey]:
        """Return all keys by `kid`."""
        return self._keys

    def _load(self) -> dict[str, ECKey]:
        if self._path.stat().st_mode & 0o077:
            raise PermissionError(f"{self._path} holds private keys and may be read by others; chmod 600 it")
        found = [ECKey.import_key(entry) for entry in orjson.loads(self._path.read_bytes())["keys"]]
        if not found:
            raise ValueError(f"{self._path} holds no key")
        return {str(key.kid): key for key in found}

    def _make(self) -> dict[str, ECKey]:
        key = ECKey.generate_key("P-256", auto_kid=True)
        body = orjson.dumps({"keys": [key.as_dict(private=True)]})
        fresh = self._path.with_name(self._path.name + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, body)
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(self._path)
        return {str(key.kid): key}
