"""What its owner does not want to be told: by rules of the caller, and by an annotation on the object."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from meltemi.api.diagnostics import Diagnostic

ANNOTATION: Final = "galley.istio.io/analyze-suppress"
"""Codes separated by commas, or `*`, that are not told of the object that bears it."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """A rule `CODE=KIND NAME[.NAMESPACE]`, each part a pattern with `*`, as `istioctl analyze -S` takes it."""

    code: str
    kind: str
    name: str

    def covers(self, found: Diagnostic) -> bool:
        """Say whether a finding is not to be told."""
        ref = found.ref
        if ref is None or not fnmatchcase(found.code.id, self.code) or not fnmatchcase(ref.kind, self.kind):
            return False
        names = (
            (f"{ref.name}.{ref.namespace}", f"{ref.namespace}/{ref.name}") if ref.namespace else (ref.name,)
        )
        return any(fnmatchcase(name, self.name) for name in names)


def suppression(text: str) -> Suppression | None:
    """Read a rule; None where it is none."""
    code, equals, of = text.partition("=")
    kind, _, name = of.strip().partition(" ")
    if not equals or not code.strip() or not kind or not name.strip():
        return None
    return Suppression(code.strip(), kind, name.strip())


def annotated(text: str, found: Diagnostic) -> bool:
    """Say whether the annotation of the finding's object suppresses it."""
    codes = [part.strip() for part in text.split(",")]
    return "*" in codes or found.code.id in codes
