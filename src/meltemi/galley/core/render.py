"""Diagnostics for people and programs: text as a compiler writes it, with or without colour, and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from meltemi.api.diagnostics import Diagnostic, Level

_COLOURS: Final = {Level.ERROR: "\x1b[1;31m", Level.WARNING: "\x1b[1;33m", Level.INFO: "\x1b[1;34m"}
_BOLD: Final = "\x1b[1m"
_DIM: Final = "\x1b[2m"
_OFF: Final = "\x1b[0m"


def page(diagnostic: Diagnostic) -> str:
    """Give the page that explains a diagnostic's code."""
    return f"docs/diagnostics/{diagnostic.code.id}.md"


def text(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """Write diagnostics, an empty line between them; empty where there are none."""
    return "\n".join(one(diagnostic, colour=colour) for diagnostic in diagnostics)


def one(diagnostic: Diagnostic, *, colour: bool = False) -> str:
    """Write one diagnostic: what, where, why, and what helps.

    error  MEL0113  unknown-retry-condition
      --> virtualservice shop/cart   spec.http[0].retries.retryOn      cart.yaml:14:17
      "5xxx" is not a condition Envoy knows.
      hint: did you mean "5xx"?     docs/diagnostics/MEL0113.md
    """
    level = diagnostic.level.value
    head = f"{level:<7}{diagnostic.code.id}  {diagnostic.code.name}"
    where = [_clean(str(diagnostic.ref))] if diagnostic.ref is not None and diagnostic.ref.kind else []
    if diagnostic.path:
        where.append(_clean(diagnostic.path))
    if diagnostic.position is not None:
        where.append(_clean(str(diagnostic.position)))
    arrow = "   ".join(where)
    help_ = f"hint: {_clean(diagnostic.hint)}     " if diagnostic.hint else ""
    message = _clean(diagnostic.message)
    if colour:
        head = f"{_COLOURS[diagnostic.level]}{level:<7}{_OFF}{_BOLD}{diagnostic.code.id}{_OFF}  {diagnostic.code.name}"
    last = f"{_DIM}{page(diagnostic)}{_OFF}" if colour else page(diagnostic)
    lines = [head, f"  --> {arrow}" if arrow else "", f"  {message}", f"  {help_}{last}"]
    return "\n".join(line for line in lines if line) + "\n"


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """Count diagnostics by level: `2 errors, 1 warning`; `no findings` where there are none."""
    counts: dict[Level, int] = {}
    for diagnostic in diagnostics:
        counts[diagnostic.level] = counts.get(diagnostic.level, 0) + 1
    words = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}
    parts = [
        f"{counts[level]} {word}{'' if counts[level] == 1 else 's'}"
        for level, word in words.items()
        if level in counts
    ]
    return ", ".join(parts) or "no findings"


def json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Give a diagnostic as JSON; what it does not say is left out."""
    made: dict[str, Any] = {
        "code": diagnostic.code.id,
        "name": diagnostic.code.name,
        "level": diagnostic.level.value,
        "message": diagnostic.message,
        "documentation": page(diagnostic),
    }
    if diagnostic.ref is not None:
        ref = diagnostic.ref
        made["object"] = {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
    if diagnostic.path:
        made["path"] = diagnostic.path
    if diagnostic.hint:
        made["hint"] = diagnostic.hint
    if diagnostic.position is not None:
        place = diagnostic.position
        made["position"] = {"file": place.file, "line": place.line, "column": place.column}
    return made


def _clean(words: str) -> str:
    """Make text safe for a terminal: a name in a file must not move the cursor."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in words)
