"""How diagnostics print: for people by line, for programs as JSON or YAML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.galley.core.render import printable

MOST_SHOWN = 500
"""Findings that anybody would read; more of them mostly come of one mistake."""
_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}


def lines(found: Diagnostic, unplaced: str = "") -> list[str]:
    """Lay one diagnostic out: its place first, so that editors and terminals can jump there.

    `unplaced` is said of objects that stand in no file.
    """
    head = click.style(found.level.value, fg=_COLOURS[found.level], bold=True)
    place = f"{printable(str(found.position))}: " if found.position is not None else ""
    shown = [f"{place}{head} {found.code.id} {found.code.name}"]
    ref = f"{found.ref}" if found.ref else ""
    mark = unplaced if ref and found.position is None else ""
    where = "  ".join(part for part in (ref, found.path, mark) if part)
    said = [f"--> {where}"] if where else []
    said += found.message.split("\n")
    if found.hint:
        said.append(f"hint: {found.hint}")
    return shown + [f"  {printable(line)}" for line in said]


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


def github(found: Diagnostic) -> str:
    """Write one diagnostic as a workflow command that GitHub shows beside the line (`::error file=...::message`)."""
    words = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "notice"}
    place = found.position
    fields = [] if place is None else [("file", place.file), ("line", place.line), ("col", place.column)]
    fields.append(("title", f"{found.code.id} {found.code.name}"))
    properties = ",".join(f"{name}={_escaped(str(value), _IN_PROPERTIES)}" for name, value in fields)
    of = " ".join(part for part in (str(found.ref) if found.ref else "", found.path) if part)
    message = "\n".join(
        part for part in (of, found.message, f"hint: {found.hint}" if found.hint else "") if part
    )
    return f"::{words[found.level]} {properties}::{_escaped(message, _IN_DATA)}"


_IN_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES = {**_IN_DATA, ":": "%3A", ",": "%2C"}


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)


def emit(found: Iterable[Diagnostic], form: str | None, said: str, unplaced: str = "") -> None:
    """Print diagnostics as `json`, `yaml`, `github`, or else as text, which ends with what was looked at (`said`)."""
    listed = in_order(found)
    if form in ("json", "yaml"):
        from meltemi.ctl.output import show as show_document

        show_document([document(one) for one in listed], form)
    elif form == "github":
        for one in listed:
            click.echo(github(one))
    else:
        show(listed, err=False, unplaced=unplaced)
        counts = [
            plural(number, word)
            for level, word in ((Level.ERROR, "error"), (Level.WARNING, "warning"), (Level.INFO, "note"))
            if (number := count(listed, level)) or (listed and level is not Level.INFO)
        ]
        click.echo(f"{said}: {', '.join(counts) or 'good'}.")


def at_least(found: Iterable[Diagnostic], level: str) -> list[Diagnostic]:
    """Keep those of a level, such as `warning`, and the graver ones."""
    graver = list(Level)[: list(Level).index(Level(level.lower())) + 1]
    return [one for one in found if one.level in graver]


def show(found: Iterable[Diagnostic], err: bool = True, unplaced: str = "") -> None:
    """Print diagnostics in the order of their places; of very many the first, and how many more there are."""
    ordered = in_order(found)
    for one in ordered[:MOST_SHOWN]:
        for line in lines(one, unplaced):
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


def looked_at(number: int, others: int) -> str:
    """Say how many objects were looked at, and how many were not, for being of kinds that nothing is known of."""
    passed_over = f", {plural(others, 'object')} of other kinds passed over" if others else ""
    return f"{plural(number, 'object')}{passed_over}"
