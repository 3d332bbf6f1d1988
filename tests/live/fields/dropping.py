"""How a field is taken out of a document: by the test before it applies one, and in translation by `hook`."""

from __future__ import annotations

from typing import Any

DROP = "ledger.test/drop"
"""The annotation that names what translation shall not see of an object."""


def without(document: Any, path: str) -> None:
    """Take a field such as `spec.http[].timeout` out of a document, wherever it stands."""
    _without(document, path.replace("[]", ".[]").replace("{}", ".{}").split("."))


def _without(value: Any, steps: list[str]) -> None:
    step, *rest = steps
    if step in ("[]", "{}"):
        for one in value if step == "[]" else value.values():
            _without(one, rest)
    elif isinstance(value, dict) and step in value:
        if rest:
            _without(value[step], rest)
        else:
            del value[step]
