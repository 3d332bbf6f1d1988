"""How diagnostics print: for people by line, for programs as JSON or YAML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from meltemi.api.diagnostics import Diagnostic, Level

MOST_SHOWN = 500
"""Findings that anybody would read; more of them mostly come of one mistake."""
_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}


def lines(found: Diagnostic) -> list[str]:
    """Lay one diagnostic out: its place first, so that editors and terminals can jump there."""
    head = click.style(found.level.value, fg=_COLOURS[found.level], bold=True)
    place = f"{found.position}: " if found.position is not None else ""
    shown = [f"{place}{head} {found.code.id} {found.code.name}"]
    where = "  ".join(part for part in (str(found.ref) if found.ref else "", found.path) if part)
    if where:
        shown.append(f"  --> {where}")
    shown.extend(f"  {line}" for line in found.message.splitlines())
    if found.hint:
        shown.append(f"  hint: {found.hint}")
    return shown


def document(found: Diagnostic) -> dict[str, Any]:
    """Give one diagnostic as data."""
    made: dict[str, Any] = {
        "code": found.code.id,
        "name": found.code.name,
        "level": found.level.value,
        "message": found.message,
    }
    if found.ref:
        made["object"] = {"kind": found.ref.kind, "namespace": found.ref.namespace, "name": found.ref.name}
    if found.path:
        made["path"] = found.path
    if found.position is not None:
        made |= {"file": found.position.file, "line": found.position.line, "column": found.position.column}
    if found.hint:
        made["hint"] = found.hint
    return made


def show(found: Iterable[Diagnostic], err: bool = True) -> None:
    """Print diagnostics in the order of their places; of very many the first, and how many more there are."""
    ordered = in_order(found)
    for one in ordered[:MOST_SHOWN]:
        for line in lines(one):
            click.echo(line, err=err)
    if len(ordered) > MOST_SHOWN:
        click.echo(f"... and {len(ordered) - MOST_SHOWN} more findings; -o json has them all.", err=err)


def in_order(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort by file, line and column; those without a place come last."""

    def key(one: Diagnostic) -> tuple[bool, str, int, int]:
        place = one.position
        return (
            place is None,
            place.file if place else "",
            place.line if place else 0,
            place.column if place else 0,
        )

    return sorted(found, key=key)


def count(found: Iterable[Diagnostic], level: Level) -> int:
    """Count those of a level."""
    return sum(one.level is level for one in found)


def plural(number: int, word: str) -> str:
    """Write `1 error`, `2 errors`."""
    return f"{number} {word}{'' if number == 1 else 's'}"
