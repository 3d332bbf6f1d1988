"""Laws of the delta stream, for any order of changes, answers, refusals and reconnects.

1. What the client has in the end is what there is.
2. At no moment does a route of the client name a cluster that the client has not got.
3. It comes to rest: nothing is sent for ever, nobody waits for ever.
4. What is refused is sent again only when it changes; all the rest arrives.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pilot.wire.world import BrokenLawError, Draw, Play, lost, play

from meltemi.pilot.wire.ads import AdsStream
from meltemi.pilot.wire.subscription import Subscription
from meltemi.pilot.wire.types import CDS


def drawing(numbers: list[int]) -> Draw:
    left = iter(numbers)
    return lambda below: next(left, 0) % below


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 59), max_size=300))
def test_the_client_ends_with_what_there_is_and_no_route_is_without_its_cluster(numbers: list[int]) -> None:
    play(drawing(numbers), len(numbers) // 2)


def test_the_same_for_long_plays() -> None:
    for seed in range(150):
        play(random.Random(seed).randrange, 200)


def test_refused_resources_stop_nothing_else() -> None:
    refused = 0
    for seed in range(150):
        made = play(random.Random(seed).randrange, 120, bad=True, names_the_guilty=bool(seed % 2))
        refused += made.envoy.refusals
        assert not list(lost(made))
    assert refused > 100


def test_a_refused_version_is_not_offered_twice_on_a_stream() -> None:
    for seed in range(100):
        made = Play(random.Random(seed).randrange, bad=True)
        offered: dict[tuple[str, str, str], int] = {}
        stream: Any = made.machine
        for _ in range(120):
            made.step()
            if made.machine is not stream:
                stream, offered = made.machine, {}
                made.rejected.clear()
            for each in made.rejected:
                for name, version in each.versions.items():
                    key = (each.type, name, version)
                    offered[key] = offered.get(key, 0) + 1
            made.rejected.clear()
            # A client that asks for it anew is answered anew; clusters and listeners are not asked for by name.
            assert all(count == 1 for key, count in offered.items() if key[0] == CDS)


# --- the laws find what is wrong


def forget_the_endpoints(_self: Any, _names: Any) -> None:
    """The endpoints of a changed cluster are not sent again."""


def do_not_wait_for_clusters(_self: Any, _type: str) -> bool:
    """Routes go before their clusters are warm."""
    return True


def remove_at_once(_self: Any, _state: Any, _name: str) -> bool:
    """Clusters go before the routes that name them."""
    return True


def send_refused_again(self: Any, name: str, version: str) -> bool:
    """What was refused is sent again."""
    return bool(self.wants(name) and (self.has.get(name) != version or name in self._forced))


def begin_anew(self: Any, subscribe: Any, initial: Any, *, legacy_wildcard: bool) -> None:
    """What a client had before its reconnect is forgotten."""
    START(self, subscribe, {}, legacy_wildcard=legacy_wildcard)
    self.greeting = False


def drop_while_waiting(self: Any, world: Any, names: Any, revision: int) -> None:
    """What changes while an answer is awaited is lost."""
    CHANGED(self, world, () if self.pending is not None else names, revision)


def believe_a_nack(self: Any, done: Any, _reason: str) -> dict[str, str]:
    """A refused response is taken for accepted."""
    self.accepted(done)
    return {}


START, CHANGED = Subscription.start, Subscription.changed


@pytest.mark.parametrize(
    ("owner", "method", "bug", "bad"),
    [
        (Subscription, "force", forget_the_endpoints, False),
        (AdsStream, "_may_add", do_not_wait_for_clusters, False),
        (AdsStream, "_nobody_leans_on", remove_at_once, False),
        (Subscription, "_must_send", send_refused_again, True),
        (Subscription, "start", begin_anew, False),
        (Subscription, "changed", drop_while_waiting, False),
        (Subscription, "refused", believe_a_nack, True),
    ],
    ids=lambda each: each.__name__ if callable(each) and not isinstance(each, type) else "",
)
def test_a_seeded_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, bug: Callable[..., Any], bad: bool
) -> None:
    monkeypatch.setattr(owner, method, bug)
    with pytest.raises((BrokenLawError, AssertionError)):
        play_many(bad)


def play_many(bad: bool) -> None:
    for seed in range(150):
        assert not list(lost(play(random.Random(seed).randrange, 150, bad=bad)))
