"""What decoding found wrong, while the path to it is still being unwound."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from meltemi.api import paths
from meltemi.api.diagnostics import Code, Diagnostic, Level, Ref, code

SCHEMA = code(
    "IST0106",
    "schema-validation-error",
    Level.ERROR,
    "The object breaks the schema of its kind: a value has the wrong type or form, a field that is needed is missing, "
    "fields that exclude each other are both given, or a rule of the kind does not hold.",
)
SCHEMA_WARNING = code(
    "IST0133",
    "schema-warning",
    Level.WARNING,
    "The object is accepted, but part of it is likely not to do what its author wants.",
)
DEPRECATED = code(
    "IST0002", "deprecated", Level.WARNING, "A field or feature that is used still works, and will go away."
)
UNKNOWN_FIELD = code(
    "MEL0001",
    "unknown-field",
    Level.ERROR,
    "The kind has no field of this name, so it would have no effect. Mostly a misspelling, or wrong indentation.",
)
UNKNOWN_KIND = code(
    "MEL0002",
    "unknown-kind",
    Level.ERROR,
    "No kind of this name and version is known, so the object would do nothing.",
)
METADATA = code(
    "MEL0003",
    "bad-metadata",
    Level.ERROR,
    "The object's name, namespace, labels or annotations break the rules that Kubernetes has for them.",
)


class Problem:
    """One finding; `path` grows from the leaf up and is therefore reversed."""

    __slots__ = ("code", "hint", "message", "path")

    def __init__(self, message: str, *path: paths.Part, code: Code = SCHEMA, hint: str = "") -> None:
        self.message = message
        self.path: list[paths.Part] = list(path)
        self.code = code
        self.hint = hint

    def diagnostic(self, ref: Ref | None) -> Diagnostic:
        """Give the finding as a value."""
        return Diagnostic(self.code, self.message, ref, paths.text(self.path[::-1]), self.hint)


Problems = list[Problem]


def below(problems: Problems, since: int, part: paths.Part) -> None:
    """Say that all problems found since then are below `part`."""
    for problem in problems[since:]:
        problem.path.append(part)


def nearest(word: str, known: Iterable[str]) -> str:
    """Give a hint that names the known word most alike, or nothing."""
    table = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), table, n=1, cutoff=0.7)
    return f'did you mean "{table[found[0]]}"?' if found else ""


def shown(value: object) -> str:
    """Write a value for a message, shortened."""
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    written = str(value)
    return written if len(written) <= 60 else written[:57] + "..."
