"""One object's fault must not take the others: where queries put objects together, each is read on its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar, cast

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.query import Db, Failure

T = TypeVar("T")
TRANSLATION_FAILED = code(
    "MEL0507",
    "translation-failed",
    Level.WARNING,
    "Meltemi could not translate an object: a fault of ours. What is made of other objects is not touched by it.",
)


def isolated(q: Db, function: Callable[..., T], *args: object, ref: Ref | None = None) -> T | None:
    """Read a query, or report that it failed and go on without: one object's fault must not take the others."""
    return _or_none(q, q.try_(function, *args), ref)


def isolated_each(
    q: Db, function: Callable[..., T], calls: Iterable[tuple[Hashable, ...]]
) -> Sequence[T | None]:
    """Read a query with each of several tuples of arguments, as `isolated` does one by one."""
    found = q.try_each(function, calls)
    if Failure not in map(type, found):
        return cast("list[T | None]", found)
    return [_or_none(q, one, None) for one in found]


def _or_none(q: Db, found: T | Failure, ref: Ref | None) -> T | None:
    if isinstance(found, Failure):
        q.report(Diagnostic(TRANSLATION_FAILED, f"{found}", ref))
        return None
    return found
