"""How commands print: tables that fit the terminal, JSON, YAML, ages."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

GAP = "   "
WIDTH = 80
"""Columns where the output is no terminal and something has to be laid out."""


def terminal_width() -> int:
    """Give the columns of the terminal, 0 where the output is none: what a program reads is never cut."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else 0


def render(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = 0) -> list[str]:
    """Lay a table out as lines. With a `width`, the widest columns are cut (`…`) until the lines fit."""
    table = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    if width:
        widths = _fitted(widths, [len(title) for title in header], width)
    lines = []
    for row in table:
        cells = [_cut(cell, widths[index]).ljust(widths[index]) for index, cell in enumerate(row)]
        lines.append(GAP.join(cells).rstrip())
    return lines


def _fitted(widths: list[int], least: list[int], width: int) -> list[int]:
    """Shrink the widest column by one until all fit, never below its title nor below 8."""
    widths = list(widths)
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        shrinkable = [index for index, size in enumerate(widths) if size > max(least[index], 8)]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda index: widths[index])
        widths[widest] -= 1
    return widths


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    for line in render(header, rows, terminal_width()):
        click.echo(line)


def show_json(document: Any) -> None:
    """Print JSON, indented."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def show_yaml(document: Any) -> None:
    """Print YAML, with texts of several lines as blocks."""
    click.echo(to_yaml(document), nl=False)


def to_yaml(document: Any) -> str:
    """Write YAML in the order of the document's fields."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Of our own, so that the representer below is nobody else's."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def show(document: Any, form: str) -> None:
    """Print JSON or YAML, by the name of the form."""
    if form == "json":
        show_json(document)
    else:
        show_yaml(document)


def age(seconds: float) -> str:
    """Write a span of time as kubectl does: `12s`, `5m`, `3h12m`, `2d`."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        return f"{hours}h{minutes}m" if minutes and hours < 8 else f"{hours}h"
    return f"{whole // 86400}d"


def colour(text: str, name: str) -> str:
    """Colour a text; click takes it away again where the output is no terminal."""
    return click.style(text, fg=name)


def since(timestamp: str, now: float) -> str:
    """Write the age of an RFC 3339 timestamp; empty where it is none."""
    from datetime import datetime

    try:
        return age(now - datetime.fromisoformat(timestamp).timestamp())
    except ValueError:
        return ""
