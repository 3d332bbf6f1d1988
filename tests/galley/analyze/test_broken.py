"""Objects that are wrong in any way end in findings about themselves, never in a fault of ours."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from meltemi import checks
from meltemi.galley.analyze.world import Analysis
from meltemi.galley.core.ingest import Item, ingest

from .case_files import CASES, text_of

WRONG: tuple[Any, ...] = (None, 7, "x", [], {}, True, ["a"], {"a": "b"}, -1, 1.5, "", [None], [[]], [{}])
ANALYZERS = checks.analyzers()


def objects(case: str) -> tuple[Item, ...]:
    return ingest(text_of(case), case, namespace="default", check=checks.check).items


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        found.append((value, key))
        places(value[key], found)
    return found


def broken(document: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    made = copy.deepcopy(document)
    body = made.get("spec", made)
    for _ in range(dice.randint(1, 3)):
        found = places(body, [])
        if found:
            where, key = dice.choice(found)
            where[key] = copy.deepcopy(dice.choice(WRONG))
    return made


@pytest.mark.parametrize("case", CASES)
def test_no_object_makes_an_analyzer_fail(case: str) -> None:
    dice = random.Random(case)
    items = objects(case)
    for _ in range(12):
        made = Analysis(ANALYZERS)
        for item in items:
            document = broken(item.document, dice) if dice.random() < 0.6 else item.document
            made.document(item.kind, document, checks.check(item.kind, document)[0])
        made.assume_gateways()
        assert [one.message for one in made.findings() if one.code.id == "IST0001"] == []
