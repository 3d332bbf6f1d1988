"""Two laws: incremental equals from scratch, and pushed deltas replayed onto a client equal the full state."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from tests.laws import mesh
from tests.laws.playing import Again, Come, Go, Step, play, plays

from meltemi.query import Change


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(plays)
def test_both_laws(steps: list[Step]) -> None:
    play(steps)


def test_a_scope_that_moves_takes_nothing_away_that_stays_visible() -> None:
    """Segments paired by position once removed clusters that were still seen."""
    put = [Change(mesh.SERVICES, ns, "shop", mesh.Service((80,))) for ns in ("blue", "green", "red")]
    assert play(
        [
            Come(0),
            list(put),
            [Change(mesh.SCOPES, "", "blue", ("red", "green"))],
            [Change(mesh.SCOPES, "", "blue", ("green", "blue"))],
            [Change(mesh.SCOPES, "", "blue", ())],
            [Change(mesh.SCOPES, "", "blue", None)],
        ]
    )


def test_what_comes_goes_and_comes_back() -> None:
    shop = Change(mesh.SERVICES, "blue", "shop", mesh.Service((80, 81)))
    gone = Change(mesh.SERVICES, "blue", "shop", None)
    some = Change(mesh.ENDPOINTS, "blue", "shop", (("10.0.0.1", "z1"),))
    assert play([Come(0), [shop], [some], [gone], Again(0), [shop], Go(0), [gone], Come(0), [shop, some]])
