"""Endpoints in groups, as their caller's place has them: which come first, and what share each locality gets.

Source: Istio's ApplyLocalityLoadBalancer (pilot/pkg/networking/core/loadbalancer/loadbalancer.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from meltemi.api.networking.destination_rule import Distribute, Failover
from meltemi.envoy.endpoints import MOST_WEIGHT
from meltemi.model.endpoints import Backend
from meltemi.model.localities import Caller, Spread
from meltemi.model.views import Locality
from meltemi.model.workloads import locality, trait

T = TypeVar("T")
ELSEWHERE = 3
"""The priority, before gaps are closed, of endpoints in another region; those that no failover names come after."""
_STEPS = 5


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """Endpoints of one locality and priority; `weight` is their share among the localities of their priority."""

    place: Locality
    members: tuple[T, ...]
    weight: int
    priority: int = 0


def grouped(
    listed: Iterable[T],
    backend: Callable[[T], Backend],
    how: Spread | None = None,
    caller: Caller | None = None,
) -> tuple[Group[T], ...]:
    """Group endpoints by locality, sorted; where it counts who calls, in an order or with weights of their own."""
    places: dict[Locality, list[T]] = {}
    for one in listed:
        places.setdefault(backend(one).place, []).append(one)
    groups = [_group(place, places[place], backend) for place in sorted(places)]
    if how is None or caller is None:
        return tuple(groups)
    if how.distribute:
        return tuple(_distributed(groups, how.distribute, caller.place))
    if how.ordered and how.labels:
        groups = _by_labels(groups, backend, how.labels, dict(caller.labels))
    if how.ordered and (how.failover or not how.labels):
        groups = _by_place(groups, how.failover, caller.place)
    return tuple(groups)


def _group(place: Locality, members: Sequence[T], backend: Callable[[T], Backend]) -> Group[T]:
    return Group(place, tuple(members), min(sum([backend(one).weight for one in members]), MOST_WEIGHT))


def covers(pattern: str, place: Locality) -> bool:
    """Say whether `region/zone/subzone`, of which parts may be `*` and trailing ones missing, means a locality."""
    wanted = locality(pattern)
    return (
        wanted.region in ("*", place.region)
        and wanted.zone in ("*", "", place.zone)
        and wanted.subzone in ("*", "", place.subzone)
    )


def _distributed(
    groups: list[Group[T]], distribute: tuple[Distribute, ...], caller: Locality
) -> list[Group[T]]:
    """Give localities the weights for the caller's; those that get none are left out."""
    chosen = next((one for one in distribute if covers(one.from_, caller)), None)
    if chosen is None:
        return groups
    found: dict[int, Group[T]] = {}
    for pattern, weight in chosen.to.items():
        meant = [
            index for index, one in enumerate(groups) if index not in found and covers(pattern, one.place)
        ]
        total = sum([groups[index].weight for index in meant])
        for index in meant:
            # Rounded up, so that none is lost.
            found[index] = replace(groups[index], weight=-(-groups[index].weight * weight // total))
    return [found[index] for index in sorted(found)]


def _by_labels(
    groups: list[Group[T]], backend: Callable[[T], Backend], wanted: tuple[str, ...], caller: dict[str, str]
) -> list[Group[T]]:
    """Order endpoints by how many labels, from the first on, are as the caller's (or as the value given)."""
    keys = [label.split("=")[0] for label in wanted]
    given = {
        key: label.split("=")[1] for key, label in zip(keys, wanted, strict=True) if label.count("=") == 1
    }
    values = [(key, given.get(key, caller.get(key, ""))) for key in keys]
    found: list[Group[T]] = []
    for group in groups:
        ranks: dict[int, list[T]] = {}
        for one in group.members:
            ranks.setdefault(_rank(backend(one), values), []).append(one)
        found.extend(
            replace(_group(group.place, ranks[rank], backend), priority=rank) for rank in sorted(ranks)
        )
    return _closed(found)


def _rank(one: Backend, values: list[tuple[str, str]]) -> int:
    for index, (key, value) in enumerate(values):
        if trait(key, one.labels, one.place, one.node, one.network) != value:
            return len(values) - index
    return 0


def _by_place(groups: list[Group[T]], failover: tuple[Failover, ...], caller: Locality) -> list[Group[T]]:
    """Order localities by how close they are; in other regions, those first to which the caller's fails over."""
    to = next((one.to for one in failover if one.from_ == caller.region), None)
    return _closed(
        [replace(one, priority=one.priority * _STEPS + _distance(one.place, caller, to)) for one in groups]
    )


def _distance(place: Locality, caller: Locality, to: str | None) -> int:
    if place.region != caller.region:
        return ELSEWHERE if to is None or place.region == to else ELSEWHERE + 1
    if place.zone != caller.zone:
        return 2
    return 0 if place.subzone == caller.subzone else 1


def _closed(groups: list[Group[T]]) -> list[Group[T]]:
    """Close the gaps between priorities: Envoy wants them from 0 on, without any left out."""
    order = {priority: index for index, priority in enumerate(sorted({one.priority for one in groups}))}
    return [replace(one, priority=order[one.priority]) for one in groups]
