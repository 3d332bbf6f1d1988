"""What every handler needs: the store, the kinds and their schemas, the hooks, the clock and the dice."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meltemi.api.kind import Kind
from meltemi.apiserver.core.hooks import Document, Hooks
from meltemi.apiserver.core.schema import Node, Schemas
from meltemi.apiserver.core.scheme import Scheme
from meltemi.apiserver.core.storage import Key
from meltemi.apiserver.shell.authn import Authenticator
from meltemi.apiserver.shell.memory import Memory
from meltemi.apiserver.shell.store import Store, Transaction

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def random_suffix() -> str:
    """Return five random letters for generated names, without vowels."""
    # One draw: where the kernel's dice are slow, they are the dearest part of a write.
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in secrets.token_bytes(5))


def random_uid() -> str:
    """Return a new uid."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Context:
    """One server's parts."""

    store: Store
    scheme: Scheme
    schemas: Schemas
    name_of: Callable[[Kind[Any], str], str]
    hooks: Hooks
    authn: Authenticator
    clock: Callable[[], float] = time.time
    suffix: Callable[[], str] = random_suffix
    uid: Callable[[], str] = random_uid
    fraction: Callable[[], float] = field(default=lambda: secrets.randbelow(1000) / 1000)

    def node_of(self, kind: Kind[Any], version: str) -> Node | None:
        """Return the schema of a kind in a version."""
        return self.schemas.resolve(self.schemas.definitions.get(self.name_of(kind, version)))


class MemoryReader:
    """The synced state as hooks and the authorizer read it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def get(self, resource: str, namespace: str, name: str) -> Document | None:
        """Return one object."""
        entry = self._memory.get(Key(resource, namespace, name))
        return entry.document() if entry is not None else None

    def list(self, resource: str, namespace: str | None = None) -> Iterable[Mapping[str, Any]]:
        """Return all objects, of one namespace where given."""
        return (entry.document() for entry in self._memory.entries(resource, namespace))


class TransactionReader:
    """The accepted state as admission hooks read it."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, resource: str, namespace: str, name: str) -> Document | None:
        """Return one object."""
        entry = self._transaction.get(Key(resource, namespace, name))
        return entry.document() if entry is not None else None

    def list(self, resource: str, namespace: str | None = None) -> Iterable[Mapping[str, Any]]:
        """Return all objects, of one namespace where given."""
        return (entry.document() for entry in self._transaction.entries(resource, namespace))
