"""Immutable containers for frozen API values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

V = TypeVar("V")

SMALL: Final = 8
"""Pairs up to which a map is searched from its first key on: a mesh has a map per Pod, and a table is dear."""


class Map(Mapping[str, V], Generic[V]):
    """An immutable, hashable mapping from strings, kept sorted by key so that equal maps print alike."""

    __slots__ = ("_hash", "_keys", "_table", "_values")

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        table = dict(items)
        self._keys: tuple[str, ...] = tuple(sorted(table))
        self._values: tuple[V, ...] = tuple([table[key] for key in self._keys])
        self._table: dict[str, V] | None = (
            dict(zip(self._keys, self._values, strict=True)) if len(table) > SMALL else None
        )
        self._hash: int | None = None

    def __getitem__(self, key: str) -> V:
        if self._table is not None:
            return self._table[key]
        if key in self._keys:
            return self._values[self._keys.index(key)]
        raise KeyError(key)

    if not TYPE_CHECKING:  # As Mapping types it; Mapping's own raises and catches.

        def get(self, key: str, default: Any = None) -> Any:
            """Return the value of a key, or `default`."""
            if self._table is not None:
                return self._table.get(key, default)
            return self._values[self._keys.index(key)] if key in self._keys else default

    def __contains__(self, key: object) -> bool:
        return key in (self._keys if self._table is None else self._table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self._keys, self._values))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Map):
            return self._keys == other._keys and self._values == other._values
        return NotImplemented

    def __repr__(self) -> str:
        return f"Map({dict(self.items())!r})"

    def contains_all(self, wanted: Mapping[str, V]) -> bool:
        """Say whether every pair of `wanted` is here: how Kubernetes matches equality selectors."""
        return all(key in self and self[key] == value for key, value in wanted.items())


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value that the API does not look into, such as a `google.protobuf.Struct`: kept as canonical text."""

    text: str = "null"

    @classmethod
    def of(cls, value: Any) -> Json:
        """Freeze a JSON value; raises ValueError or TypeError for what JSON cannot hold."""
        return cls(
            json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        )

    @property
    def value(self) -> Any:
        """The value, made anew each time it is asked for."""
        return json.loads(self.text)


EMPTY: Map[str] = Map()
