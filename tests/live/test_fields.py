"""The field ledger's live half: each applied field changes what is seen, and is not seen when translation drops it.

`make test` shows the most telling fields at work; `make test-all` shows all, and drops each one in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.live.fields.case import Case, Seen
from tests.live.fields.table import CASES
from tests.live.fields.world import Found, World, world

pytestmark = pytest.mark.live

QUICK = tuple(case for case in CASES if case.quick)


@pytest.fixture(scope="module")
def mesh() -> Iterator[World]:
    """The ledger's mesh."""
    with world() as made:
        yield made


@pytest.fixture(scope="module")
def few(mesh: World) -> Found:
    """The telling cases, with all their fields."""
    return mesh.see(QUICK, drop=False)


@pytest.fixture(scope="module")
def every(mesh: World) -> Found:
    """All cases, with all their fields and without each."""
    return mesh.see(CASES, drop=True)


def holds(case: Case, seen: Seen) -> bool:
    """Say whether what was seen is as the fields ask; what is not there at all is not."""
    try:
        return case.expect(seen)
    except (LookupError, TypeError, AttributeError):
        return False


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.id)
def test_a_field_is_seen_at_work(few: Found, case: Case) -> None:
    seen = few[case.id, ""]
    assert not seen.refused
    assert holds(case, seen), seen.answers


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_field_is_seen_at_work(every: Found, case: Case) -> None:
    seen = every[case.id, ""]
    assert not seen.refused
    assert holds(case, seen), seen.answers


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("case", "path"),
    [pytest.param(case, path, id=f"{case.id}-{path}") for case in CASES for path in case.shows],
)
def test_a_field_that_translation_drops_is_missed(every: Found, case: Case, path: str) -> None:
    seen = every[case.id, path]
    # Without a field that the API itself asks for, the object must come from translation's hands.
    assert not seen.refused
    assert not holds(case, seen), f"{case.id} does not see that {path} is gone: {seen.answers}"
