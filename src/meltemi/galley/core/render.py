"""Diagnostics as JSON, and their words as a terminal may have them."""

from __future__ import annotations

from typing import Any

from meltemi.api.diagnostics import Diagnostic


def page(diagnostic: Diagnostic) -> str:
    """Give the page that explains a diagnostic's code."""
    return f"docs/diagnostics/{diagnostic.code.id}.md"


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


def printable(words: str) -> str:
    """Make text safe for a terminal: a name in a file must not move the cursor. Ends of lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in words)
