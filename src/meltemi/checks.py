"""Every validator there is: decoding, the rules of a kind, and what has no effect yet, in one call.

Admission, `meltemi validate` and the sources use it; entries import their module on first use. What higher rooms know
of objects is listed in Galley's table, which is filled here: whatever asks Galley is told of it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltemi.api.diagnostics import Diagnostic, Level
from meltemi.api.kind import Kind, Object
from meltemi.api.warnings import unapplied
from meltemi.galley.core.ingest import checked
from meltemi.galley.validate import ROOMS

if TYPE_CHECKING:
    from meltemi.galley.analyze.table import Analyzer

ROOMS["config.istio.io"] = ("meltemi.mixer.core.check",)


def check(
    kind: Kind[Any], document: Any, version: str = ""
) -> tuple[Object[Any] | None, tuple[Diagnostic, ...]]:
    """Decode a document and check it by the rules of its kind; no object where there is any error.

    What has no effect yet is told of good documents only: of others the errors matter.
    """
    obj, found = checked(kind, document, version)
    if obj is None or any(one.level is Level.ERROR for one in found):
        return None, found
    return obj, found + unapplied(kind, document)


def analyzers() -> tuple[Analyzer, ...]:
    """Give every analyzer there is: Galley's, and those of the rooms above it."""
    from meltemi.galley.analyze.table import ANALYZERS, Analyzer

    mixer = Analyzer(
        "mixer.ReferenceAnalyzer",
        "meltemi.mixer.core.references:check_references",
        ("IST0101", "MEL0103", "MEL0104", "MEL0105", "MEL0106", "MEL0107", "MEL0108", "MEL0109"),
        "Rules, handlers, instances, quotas and attributes of Istio 1.0 fit together.",
        group="config.istio.io",
        settles=("MEL0102",),
    )
    return (*ANALYZERS, mixer)
