"""Paths of fields in a document, as diagnostics write them: `spec.http[0].match[1].headers["x-user"].exact`."""

from __future__ import annotations

import re

Part = str | int

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_STEP = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]', re.ASCII)


def text(parts: tuple[Part, ...] | list[Part]) -> str:
    """Write a path."""
    made: list[str] = []
    for part in parts:
        if isinstance(part, int):
            made.append(f"[{part}]")
        elif _PLAIN.fullmatch(part):
            made.append(f".{part}" if made else part)
        else:
            escaped = part.replace("\\", "\\\\").replace('"', '\\"')
            made.append(f'["{escaped}"]')
    return "".join(made)


def parts(path: str) -> tuple[Part, ...]:
    """Read a path that `text` wrote; what cannot be read ends it."""
    made: list[Part] = []
    at = 0
    while found := _STEP.match(path, at):
        name, index, key = found.groups()
        if name is not None:
            made.append(name)
        elif index is not None:
            made.append(int(index))
        else:
            made.append(re.sub(r"\\(.)", r"\1", key))
        at = found.end()
    return tuple(made)
