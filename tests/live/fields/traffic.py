"""Cases of DestinationRule that traffic itself shows: who answers, who is left out, what is too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from tests.live.fields.asking import Ask
from tests.live.fields.case import DESTINATION_RULE, Case, Own, Seen
from tests.live.fields.destination_rules import HASH, POOL, TOP, documents

MANY = 16
"""Requests after which chance would have shown: two pods look like one, or like taking turns, in one of 32,768 runs."""


def _case(
    name: str,
    shows: tuple[str, ...],
    policy: dict[str, Any],
    asks: Callable[[Own], tuple[Ask, ...]],
    expect: Callable[[Seen], bool],
) -> Case:
    return Case(
        f"dr-{name}",
        DESTINATION_RULE,
        tuple(f"{TOP}.{path}" for path in shows),
        lambda own: documents(own, {"trafficPolicy": policy}),
        expect,
        asks,
        quick=True,
    )


def _one_pod(seen: Seen) -> bool:
    return len(set(seen.pods)) == 1 and seen.pods[0] != ""


def _in_turn(seen: Seen) -> bool:
    return set(seen.pods) == {"echo-v1", "echo-v2"} and all(a != b for a, b in pairwise(seen.pods))


def balancing() -> Iterator[Case]:
    """Who answers."""
    yield _case(
        "turns",
        ("loadBalancer", "loadBalancer.simple"),
        {"loadBalancer": {"simple": "ROUND_ROBIN"}},
        lambda own: (own.mesh(times=MANY),),
        _in_turn,
    )
    for name, key, ask in (
        ("httpHeaderName", "x-user", {"headers": {"x-user": "a"}}),
        ("httpQueryParameterName", "user", {"path": "/?user=a"}),
        ("useSourceIp", True, {}),
        ("httpCookie", {"name": "user", "ttl": "0s"}, {"headers": {"cookie": "user=a"}}),
    ):
        yield _sticky(name, key, ask)


def _sticky(name: str, key: Any, ask: dict[str, Any]) -> Case:
    return _case(
        f"sticks-{name}",
        (HASH, f"{HASH}.{name}") if name == "httpHeaderName" else (f"{HASH}.{name}",),
        {"loadBalancer": {"consistentHash": {name: key}}},
        lambda own: (own.mesh(times=MANY, **ask),),
        _one_pod,
    )


def limits() -> Iterator[Case]:
    """What is too much is answered 503 at once."""

    def flood(own: Own) -> tuple[Ask, ...]:
        return (own.mesh(times=5, every=0.1, headers={"x-delay": "0.9"}),)

    def overflows(seen: Seen) -> bool:
        too_much = [one for one in seen.answers if one["headers"].get("x-envoy-overloaded") == "true"]
        return len(too_much) >= 1 and seen.statuses.count(200) >= 1

    yield _case(
        "floods-connections",
        (
            POOL,
            f"{POOL}.tcp",
            f"{POOL}.tcp.maxConnections",
            f"{POOL}.http",
            f"{POOL}.http.http1MaxPendingRequests",
        ),
        {"connectionPool": {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}},
        flood,
        overflows,
    )
    yield _case(
        "floods-requests",
        (f"{POOL}.http.http2MaxRequests",),
        {"connectionPool": {"http": {"http2MaxRequests": 2}}},
        flood,
        overflows,
    )


def ejection() -> Iterator[Case]:
    """Who keeps failing is left out."""
    detection = {
        "consecutive5xxErrors": 1,
        "interval": "0.1s",
        "baseEjectionTime": "60s",
        "maxEjectionPercent": 100,
    }
    yield _case(
        "ejects",
        ("outlierDetection", "outlierDetection.consecutive5xxErrors"),
        {"loadBalancer": {"simple": "ROUND_ROBIN"}, "outlierDetection": detection},
        lambda own: (own.mesh(times=MANY, headers={"x-status": "500", "x-only": "echo-v1"}),),
        lambda seen: 1 <= seen.statuses.count(500) <= 2,
    )


CASES = (*balancing(), *limits(), *ejection())
