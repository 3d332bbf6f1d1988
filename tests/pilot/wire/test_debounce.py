"""When changes are applied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meltemi.pilot.wire.debounce import Debounce


def test_nothing_changed_nothing_due() -> None:
    assert Debounce().due() is None


def test_the_first_change_goes_at_once() -> None:
    debounce = Debounce()
    debounce.changed(5.0)
    assert debounce.due() == 5.0


def test_the_first_change_after_quiet_goes_at_once() -> None:
    debounce = Debounce()
    debounce.changed(5.0)
    debounce.fired(5.0)
    debounce.changed(5.2)
    assert debounce.due() == 5.2


def test_those_that_follow_are_merged() -> None:
    debounce = Debounce()
    debounce.changed(5.0)
    debounce.fired(5.0)
    for at in (5.05, 5.06, 5.07):
        debounce.changed(at)
    due = debounce.due()
    assert due is not None
    assert abs(due - 5.17) < 1e-9


@given(st.lists(st.floats(0.0, 0.09), min_size=1, max_size=300))
def test_a_change_waits_ten_seconds_at_most(gaps: list[float]) -> None:
    debounce = Debounce()
    now, waiting_since = 0.0, 0.0
    debounce.changed(now)
    debounce.fired(now)
    for gap in gaps:
        now += gap
        due = debounce.due()
        if due is not None and due <= now:
            debounce.fired(due)
            assert due - waiting_since <= 10.0 + 1e-9
        if debounce.due() is None:
            waiting_since = now
        debounce.changed(now)
    due = debounce.due()
    assert due is not None
    assert due - waiting_since <= 10.0 + 1e-9
