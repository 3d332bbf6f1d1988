"""Cases of a DestinationRule's `localityLbSetting`: who comes first for a caller in region r1, at every place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.live.fields.case import DESTINATION_RULE, Case, Document, Own, Seen, entry
from tests.live.fields.destination_rules import PLACES, SUBSET, Place

SETTING = "loadBalancer.localityLbSetting"
REGIONS = {"echo-v1": "r1", "echo-v2": "r2", "outsider": "r3"}
"""Where the endpoints are, by the pod whose address they have; the client is in r1 (`world.PLACES`)."""


@dataclass(frozen=True)
class Group:
    """A setting, the paths in it that it shows, and the priorities of regions that it brings about."""

    name: str
    shows: tuple[str, ...]
    setting: Document
    wanted: dict[str, int]


GROUPS = (
    Group(
        "failover",
        ("", ".failover", ".failover[].from", ".failover[].to"),
        {"failover": [{"from": "r1", "to": "r3"}]},
        {"r1": 0, "r3": 1, "r2": 2},
    ),
    Group(
        "failover-priority",
        (".failoverPriority",),
        {"failoverPriority": ["near=r3", "near"]},
        {"r3": 0, "r1": 1, "r2": 1},
    ),
    Group(
        "distribute",
        (".distribute", ".distribute[].from", ".distribute[].to"),
        {"distribute": [{"from": "r1/*", "to": {"r2/*": 80, "r3/z1": 20}}]},
        {"r2": 0, "r3": 0},
    ),
    Group("off", (".enabled",), {"enabled": False}, {"r1": 0, "r2": 0, "r3": 0}),
)


def _documents(own: Own, place: Place, setting: Document) -> tuple[Document, ...]:
    policy = {
        "loadBalancer": {"localityLbSetting": setting},
        "outlierDetection": {"consecutive5xxErrors": 5},
    }
    endpoints = [
        {
            "address": own.pods[pod],
            "labels": {"version": "v2", "near": region},
            "locality": f"{region}/z1/s1",
        }
        for pod, region in REGIONS.items()
    ]
    route: Document = {"destination": {"host": own.host, **({"subset": SUBSET} if place.subset else {})}}
    return (
        own.document("DestinationRule", {"host": own.host, **place.around(policy, 80)}),
        entry(own, endpoints=endpoints),
        own.document("VirtualService", {"hosts": [own.host], "http": [{"route": [route]}]}),
    )


def priorities(seen: Seen, subset: str) -> dict[str, int]:
    """Return the priority of each region of the variant's endpoints."""
    return {one["locality"]["region"]: one.get("priority", 0) for one in seen.endpoints(subset=subset)}


def _cases() -> Iterator[Case]:
    for place in PLACES:
        for group in GROUPS:
            yield Case(
                f"dr-{place.name}-locality-{group.name}",
                DESTINATION_RULE,
                tuple(f"{place.path}.{SETTING}{path}" for path in group.shows),
                _make(place, group),
                _expect(place, group),
                quick=place.name == "top",
            )


def _make(place: Place, group: Group) -> Callable[[Own], tuple[Document, ...]]:
    return lambda own: _documents(own, place, group.setting)


def _expect(place: Place, group: Group) -> Callable[[Seen], bool]:
    return lambda seen: priorities(seen, place.subset) == group.wanted


CASES = tuple(_cases())
