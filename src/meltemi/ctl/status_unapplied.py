"""What objects ask for and this release does not do, as `meltemi status` tells it: like ones on one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meltemi.api import registry
from meltemi.api.unapplied import NOT_ENFORCED
from meltemi.api.warnings import unapplied

Row = Mapping[str, Any]


def unapplied_objects(objects: Sequence[Row]) -> Iterator[tuple[tuple[Row, ...], str]]:
    """Group objects by what of them has no effect, and say it: first what is not enforced, then in the order given."""
    found: dict[tuple[bool, str, str], list[Row]] = {}
    for row in objects:
        kind = registry.of_document(row)
        told = unapplied(kind, row) if kind is not None else ()
        if not told:
            continue
        more = f", and {len(told) - 1} more" if len(told) > 1 else ""
        hint = f": {told[0].hint}" if told[0].hint and not more else ""
        words = f"{told[0].code.id} {told[0].message}{more}{hint}"
        loud = any(one.code is NOT_ENFORCED for one in told)
        found.setdefault((not loud, str(row["metadata"].get("namespace", "")), words), []).append(row)
    for (_, _, words), rows in sorted(found.items(), key=lambda entry: entry[0][0]):
        yield tuple(rows), words
