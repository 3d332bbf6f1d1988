"""Cases: YAML whose comments say what analysis must tell, and where. What no comment tells must not be told.

    gateways: [nowhere]  # IST0101:14

means IST0101 at column 14 of this line; several are separated by blanks. A line `# whole` says that all objects of
every kind are there, as in a live mesh; `# analyzer NAME` runs that one besides those that always run.
"""

from __future__ import annotations

import re
from pathlib import Path

from meltemi import checks
from meltemi.api import registry
from meltemi.api.diagnostics import Diagnostic, Ref
from meltemi.galley.analyze.table import ANALYZERS
from meltemi.galley.analyze.world import Analysis
from meltemi.galley.core.ingest import Item, ingest
from meltemi.galley.core.meshconfig import NOT_APPLIED

FOLDER = Path(__file__).parent / "cases"
CASES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
Told = tuple[int, int, str]
"""Line, column, code."""

_MARK = re.compile(r"\b((?:IST|MEL)\d{4}):(\d+)")


def text_of(case: str) -> str:
    return (FOLDER / f"{case}.yaml").read_text()


def expected(text: str) -> list[Told]:
    """Read the comments."""
    return sorted(
        (number, int(column), code)
        for number, line in enumerate(text.splitlines(), 1)
        for code, column in _MARK.findall(line.partition("#")[2])
    )


def analysis(text: str) -> tuple[Analysis, tuple[Item, ...]]:
    """Put a text's objects together."""
    asked = re.findall(r"^# analyzer (\S+)", text, re.MULTILINE)
    made = Analysis([one for one in ANALYZERS if one.unasked or one.name in asked])
    found = ingest(text, "case.yaml", namespace="default", check=checks.check)
    assert found.good, [f"{one.position} {one.message}" for one in found.diagnostics]
    for item in found.items:
        made.document(item.kind, item.document, item.object)
    if re.search(r"^# whole", text, re.MULTILINE):
        for kind in registry.KINDS:
            made.whole(kind)
    else:
        made.assume_gateways()
    return made, found.items


def placed(found: tuple[Diagnostic, ...], items: tuple[Item, ...]) -> list[Told]:
    """Give findings by their places."""
    where = {Ref(item.kind.name, *item.key[1:]): item for item in items}
    told = []
    for one in found:
        if one.code is NOT_APPLIED:
            # What a release does not act on yet is no matter of how objects fit together.
            continue
        assert one.ref is not None, one
        assert one.ref in where, one
        place = where[one.ref].position(one.path)
        told.append((place.line, place.column, one.code.id))
    return sorted(told)
