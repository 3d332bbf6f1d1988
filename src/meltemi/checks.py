"""Every validator there is: decoding and the rules of a kind in one call.

Admission, `meltemi validate` and the sources use it; entries import their module on first use.
"""

from __future__ import annotations

from typing import Any

from meltemi.api.decode import decode
from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.kind import Kind, Object
from meltemi.galley.validate import validate


def check(
    kind: Kind[Any], document: Any, version: str = ""
) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
    """Decode a document and check it by the rules of its kind; no object where there is any error."""
    obj, found = decode(kind, document, version)
    if obj is None:
        return None, found
    found += validate(kind, obj)
    if any(one.level is Level.ERROR for one in found):
        return None, found
    return obj, found
