"""Immutable containers for frozen API values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Map(Mapping[str, V], Generic[V]):
    """An immutable, hashable mapping from strings, kept sorted by key so that equal maps print alike."""

    __slots__ = ("_hash", "_items", "_table")

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        table = dict(items)
        self._items: tuple[tuple[str, V], ...] = tuple(sorted(table.items(), key=lambda kv: kv[0]))
        self._table: dict[str, V] = dict(self._items)
        self._hash: int | None = None

    def __getitem__(self, key: str) -> V:
        return self._table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self._items)
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Map):
            return self._items == other._items
        return NotImplemented

    def __repr__(self) -> str:
        return f"Map({self._table!r})"

    def contains_all(self, wanted: Mapping[str, V]) -> bool:
        """Say whether every pair of `wanted` is here: how Kubernetes matches equality selectors."""
        return all(self._table.get(key) == value for key, value in wanted.items())


EMPTY: Map[str] = Map()
