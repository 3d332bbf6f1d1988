"""One object's fault must not take the others: where queries put objects together, each is read on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

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
    found = q.try_(function, *args)
    if isinstance(found, Failure):
        q.report(Diagnostic(TRANSLATION_FAILED, f"{found}", ref))
        return None
    return found
