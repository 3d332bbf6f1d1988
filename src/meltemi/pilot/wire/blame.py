"""Whom an Envoy's words accuse: which names of a rejected response its error message mentions."""

from __future__ import annotations

import re
from collections.abc import Iterable


def accused(names: Iterable[str], reason: str) -> tuple[str, ...]:
    """The names that `reason` mentions as whole words, sorted.

    Envoy lists what it refused as `name: why` and quotes names in other messages; a name that is part of a longer
    one (`outbound|80||a` in `outbound|80||a.b`) is not mentioned by it.
    """
    return tuple(name for name in sorted(names) if name and name in reason and _mentions(reason, name))


def _mentions(reason: str, name: str) -> bool:
    return re.search(rf"(?<![\w|.:\-/]){re.escape(name)}(?![\w|\-/]|[.:]\w)", reason) is not None
