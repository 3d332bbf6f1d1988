"""Delta and state of the world, from the same edits of a mesh, through all that serves them: one final state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from tests.laws import mesh
from tests.laws.client import BrokenError, state_of
from tests.laws.playing import VIEWS, Again, Come, Go, Step, UnlawfulError, plays
from tests.laws.streams import Stream

from meltemi.pilot.core.push import Shared
from meltemi.pilot.shell.variants import DELTA, STATE_OF_THE_WORLD
from meltemi.pilot.shell.worlds import HeldView, Sendables
from meltemi.pilot.wire import sotw_messages
from meltemi.pilot.wire.ads import Respond
from meltemi.pilot.wire.sotw import SotwStream
from meltemi.query import Change, Engine


def play(steps: list[Step]) -> int:
    """Play with a client of each variant everywhere; raises UnlawfulError. Returns how many states were compared."""
    engine = Engine()
    sendables = Sendables()
    views: dict[mesh.View, HeldView] = {}
    streams: dict[mesh.View, list[Stream]] = {}
    compared = 0
    for step in steps:
        if isinstance(step, Come | Go | Again):
            view = VIEWS[step.view]
        if isinstance(step, Come):
            if view not in views:
                engine.hold(mesh.roots, view)
                views[view] = HeldView(view, sendables)  # type: ignore[arg-type]
            new = [Stream(views[view], variant) for variant in (DELTA, STATE_OF_THE_WORLD)]
            streams.setdefault(view, []).extend(new)
            for each in new:
                each.connect()
        elif isinstance(step, Go):
            if views.pop(view, None) is not None:
                engine.release(mesh.roots, view)
                del streams[view]
        elif isinstance(step, Again):
            for each in streams.get(view, ()):
                each.connect()
        else:
            engine.apply(step)
        shared = Shared()
        for change in engine.refresh():
            updates = views[change.args[0]].take(change.new, shared)
            for each in streams[change.args[0]]:
                each.tell(updates)
        for view, group in streams.items():
            wanted = state_of(engine.get(mesh.roots, view))
            for each in group:
                compared += 1
                if each.has != wanted:
                    raise UnlawfulError(f"{each.variant.method} does not hold the full state")
    return compared


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(plays)
def test_both_variants_end_with_the_full_state(steps: list[Step]) -> None:
    play(steps)


def test_what_comes_goes_and_comes_back() -> None:
    shop = Change(mesh.SERVICES, "blue", "shop", mesh.Service((80, 81)))
    gone = Change(mesh.SERVICES, "blue", "shop", None)
    some = Change(mesh.ENDPOINTS, "blue", "shop", (("10.0.0.1", "z1"),))
    assert (
        play(
            [
                Come(0),
                [shop],
                [some],
                [gone],
                Again(0),
                [shop],
                Go(0),
                [gone],
                Come(0),
                [shop, some],
                Again(0),
            ]
        )
        > 10
    )


# --- the law finds bugs


def a_law_breaks() -> str:
    """Search for a play that breaks the law; return its words. Fails when none is found."""
    words: list[str] = []

    def broken(steps: Any) -> bool:
        try:
            play(steps)
        except (UnlawfulError, BrokenError) as error:
            words.append(str(error))
            return True
        return False

    quick = settings(
        max_examples=1000,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    find(plays, broken, settings=quick)
    return words[0]


def only_what_differs(self: Any, differs: Respond[Any]) -> Respond[Any]:
    """Send clusters and listeners as delta does."""
    WHOLE(self, differs)
    return Respond(differs.type, differs.nonce, differs.resources)


def never_again(self: Any, differs: Respond[Any]) -> Respond[Any]:
    """Leave out what was changed in an earlier response."""
    made = WHOLE(self, differs)
    self._kept[differs.type] = {}
    return made


WHOLE = SotwStream._whole


@pytest.mark.parametrize("bug", [only_what_differs, never_again])
def test_a_response_that_is_not_whole(monkeypatch: pytest.MonkeyPatch, bug: Callable[..., Any]) -> None:
    monkeypatch.setattr(SotwStream, "_whole", bug)
    assert a_law_breaks() == "StreamAggregatedResources does not hold the full state"


def test_an_entry_that_is_cut_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    real = sotw_messages.any_of
    seen: dict[bytes, bytes] = {}

    def of_its_length(framed: bytes) -> bytes:
        return real(seen.setdefault(framed[:24], framed))

    monkeypatch.setattr(sotw_messages, "any_of", of_its_length)
    assert "StreamAggregatedResources" in a_law_breaks()


def test_names_that_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SotwStream, "_as_delta", forget_the_names)
    a_law_breaks()


def forget_the_names(self: Any, request: Any) -> Any:
    """Ask for nothing more than in the first request."""
    made = AS_DELTA(self, request)
    return replace(made, subscribe=()) if request.nonce else made


AS_DELTA = SotwStream._as_delta
