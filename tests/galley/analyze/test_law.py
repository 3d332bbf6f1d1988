"""Analysis after any changes tells what analysis of the same objects tells from scratch."""

from __future__ import annotations

import random

import pytest

from meltemi import checks
from meltemi.galley.analyze.world import Analysis
from meltemi.galley.core.ingest import Item, ingest
from meltemi.query import FactKind

from .case_files import CASES, text_of

ITEMS = tuple(
    item
    for case in CASES
    for item in ingest(text_of(case), case, namespace="default", check=checks.check).items
)
Key = tuple[str, str, str]


def fresh(there: dict[Key, Item]) -> Analysis:
    made = Analysis()
    for item in there.values():
        made.document(item.kind, item.document, item.object)
    return made


@pytest.mark.parametrize("seed", range(6))
def test_a_history_does_not_matter(seed: int) -> None:
    dice = random.Random(seed)
    # The mesh's settings are read with a memory of the last good ones, on purpose.
    items = [item for item in ITEMS if item.kind.resource != "configmaps"]
    there: dict[Key, Item] = {}
    kept = Analysis()
    for _ in range(8):
        for _ in range(40):
            item = dice.choice(items)
            if item.key in there and dice.random() < 0.4:
                del there[item.key]
                kept.fact(FactKind(item.kind.resource), item.key[1], item.key[2], None)
                kept.fact(FactKind("analyze/conditions"), item.kind.resource, "/".join(item.key[1:]), None)
            else:
                there[item.key] = item
                kept.document(item.kind, item.document, item.object)
        assert kept.findings() == fresh(there).findings()
