"""Laws of state of the world: after any sequence of edits, answers, refusals and reconnects it ends where delta does.

The laws of `test_ads_laws` hold for it as well; that no route names a cluster that is not there, on each stream alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pilot.wire.world import CHANGES, BrokenLawError, Draw, Mesh, Play, lost, play

from meltemi.pilot.wire.ads import Request, Respond
from meltemi.pilot.wire.sotw import WHOLE, SotwStream, StateRequest
from meltemi.pilot.wire.subscription import Subscription
from meltemi.pilot.wire.types import CDS


def drawing(numbers: list[int]) -> Draw:
    left = iter(numbers)
    return lambda below: next(left, 0) % below


def side_by_side(draw: Draw, steps: int) -> tuple[Play, Play]:
    """One mesh, and a client of each variant, at their own pace; raises BrokenLawError if they end apart."""
    mesh = Mesh(draw)
    both = Play(draw, mesh=mesh), Play(draw, mesh=mesh, sotw=True)
    for _ in range(steps):
        drawn = draw(10)
        if drawn < CHANGES:
            change = mesh.change()
            for each in both:
                each.feed(change)
        else:
            both[draw(2)].move(drawn)
    for each in both:
        each.settle()
        found = list(each.differences())
        if found:
            raise BrokenLawError("; ".join(found))
    if both[0].envoy.has != both[1].envoy.has:
        raise BrokenLawError("the two do not hold the same")
    return both


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 59), max_size=400))
def test_it_ends_where_delta_does_and_with_all_there_is(numbers: list[int]) -> None:
    side_by_side(drawing(numbers), len(numbers) // 2)


def test_the_same_for_long_plays() -> None:
    for seed in range(100):
        side_by_side(random.Random(seed).randrange, 300)


def test_no_route_is_without_its_cluster_while_the_stream_lasts() -> None:
    for seed in range(150):
        made = play(random.Random(seed).randrange, 200, sotw=True, reconnects=False)
        assert made.envoy.careful


def test_refused_resources_stop_nothing_else() -> None:
    refused = 0
    for seed in range(150):
        made = play(random.Random(seed).randrange, 120, bad=True, names_the_guilty=bool(seed % 2), sotw=True)
        refused += made.envoy.refusals
        assert not list(lost(made))
    assert refused > 100


def test_what_is_refused_lives_on_as_it_was() -> None:
    kept = 0
    for seed in range(150):
        made = Play(random.Random(seed).randrange, bad=True, sotw=True, reconnects=False)
        for _ in range(120):
            made.step()
        made.settle()
        state = made.machine.state(CDS)
        for name in state.rejected:
            if name in state.has:
                kept += 1
                assert made.envoy.has[CDS][name].version == state.has[name]
    assert kept > 20


# --- the laws find what is wrong

WHOLE_OF, AS_DELTA = SotwStream._whole, SotwStream._as_delta


def send_only_what_differs(_self: Any, differs: Respond[Any]) -> Respond[Any]:
    """Clusters and listeners are sent as delta sends them."""
    return Respond(differs.type, differs.nonce, differs.resources)


def send_the_world(self: Any, differs: Respond[Any]) -> Respond[Any]:
    """All that there is in the mesh, though routes still name what is gone."""
    world = self._types[differs.type].world
    made = WHOLE_OF(self, differs)
    return Respond(made.type, made.nonce, tuple(sorted(world.items())))


def forget_what_is_gone(self: Any, differs: Respond[Any]) -> Respond[Any]:
    """A removal that must wait is taken by the next response."""
    world = self._types[differs.type].world
    made = WHOLE_OF(self, differs)
    return Respond(made.type, made.nonce, tuple(each for each in made.resources if each[0] in world))


def keep_what_goes(self: Any, differs: Respond[Any]) -> Respond[Any]:
    """What is removed stays in the response."""
    return WHOLE_OF(self, Respond(differs.type, differs.nonce, differs.resources))


def never_ask_anew(self: Any, request: StateRequest) -> Request:
    """A name that was taken back is remembered as asked for."""
    before = self._asked.get(request.type, ())
    made = AS_DELTA(self, request)
    self._asked[request.type] = tuple(dict.fromkeys((*before, *self._asked.get(request.type, ()))))
    return made


def only_the_first_names(self: Any, request: StateRequest) -> Request:
    """Names that come later are not asked for."""
    first = request.type not in self._asked
    made = AS_DELTA(self, request)
    return made if first else Request(made.type, (), made.unsubscribe, nonce=made.nonce, error=made.error)


def believe_a_nack(self: Any, request: StateRequest) -> Request:
    """An error is not looked at."""
    made = AS_DELTA(self, request)
    return Request(made.type, made.subscribe, made.unsubscribe, nonce=made.nonce)


def wait_for_the_answer_to_a_removal(_self: Any, commands: Iterable[Any]) -> Iterable[Any]:
    """A removal that is not sent is not taken for accepted either."""
    for command in commands:
        if not (isinstance(command, Respond) and command.type not in WHOLE and not command.resources):
            yield command


def forget_the_endpoints(_self: Any, _names: Any) -> None:
    """The endpoints of a changed cluster are not sent again."""


@pytest.mark.parametrize(
    ("owner", "method", "bug"),
    [
        (SotwStream, "_whole", send_only_what_differs),
        (SotwStream, "_whole", send_the_world),
        (SotwStream, "_whole", forget_what_is_gone),
        (SotwStream, "_whole", keep_what_goes),
        (SotwStream, "_as_delta", never_ask_anew),
        (SotwStream, "_as_delta", only_the_first_names),
        (SotwStream, "_as_delta", believe_a_nack),
        (SotwStream, "_as_state", wait_for_the_answer_to_a_removal),
        (Subscription, "force", forget_the_endpoints),
    ],
    ids=lambda each: each.__name__ if callable(each) and not isinstance(each, type) else "",
)
def test_a_seeded_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, bug: Callable[..., Any]
) -> None:
    monkeypatch.setattr(owner, method, bug)
    with pytest.raises((BrokenLawError, AssertionError, KeyError)):
        play_all()


def play_all() -> None:
    for seed in range(150):
        side_by_side(random.Random(seed).randrange, 150)
        play(random.Random(seed).randrange, 150, sotw=True, reconnects=False)
        assert not list(lost(play(random.Random(seed).randrange, 150, bad=True, sotw=True)))
