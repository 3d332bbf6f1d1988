"""Which rules of a VirtualService can never be used: repeated, or within those before them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from meltemi.api.networking.virtual_service import HTTPMatchRequest, HTTPRoute, VirtualService
from meltemi.galley.validate.findings import INEFFECTIVE, UNREACHABLE, At, Findings


def analyze(found: Findings, spec: VirtualService) -> None:
    """Tell of rules and matches that rules before them leave nothing for."""
    _repeats(found, ("spec", "http"), spec.http)
    _repeats(found, ("spec", "tls"), spec.tls)
    _repeats(found, ("spec", "tcp"), spec.tcp)
    _prefixes(found, spec.http)


def _repeats(found: Findings, at: At, routes: Iterable[Any]) -> None:
    seen: dict[Any, int] = {}
    everything: int | None = None
    for index, route in enumerate(routes):
        if everything is not None:
            found.add(
                UNREACHABLE, (*at, index), f"the rule is never used: rule {everything} matches everything"
            )
        if not route.match:
            everything = index if everything is None else everything
            continue
        repeated = 0
        for number, match in enumerate(route.match):
            key = replace(match, name="") if isinstance(match, HTTPMatchRequest) else match
            if key in seen:
                repeated += 1
                found.add(
                    INEFFECTIVE,
                    (*at, index, "match", number),
                    f"the match repeats one of rule {seen[key]} before it",
                )
            seen.setdefault(key, index)
        if repeated == len(route.match):
            found.add(
                UNREACHABLE, (*at, index), "the rule is never used: rules before it have all its matches"
            )


def _prefixes(found: Findings, routes: tuple[HTTPRoute, ...]) -> None:
    """Tell of path prefixes that lie within a shorter prefix before them, all else being alike."""
    earlier: list[tuple[int, HTTPMatchRequest]] = []
    for index, route in enumerate(routes):
        for number, match in enumerate(route.match):
            if match.uri is None or not match.uri.prefix:
                continue
            for before, other in earlier:
                if _covers(other, match):
                    found.add(
                        INEFFECTIVE,
                        ("spec", "http", index, "match", number),
                        f'the prefix "{match.uri.prefix}" lies within "{_prefix(other)}" of rule {before} before it',
                    )
                    break
        earlier += [(index, match) for match in route.match if match.uri is not None and match.uri.prefix]


def _prefix(match: HTTPMatchRequest) -> str:
    return (match.uri.prefix or "") if match.uri is not None else ""


def _covers(one: HTTPMatchRequest, other: HTTPMatchRequest) -> bool:
    """Say whether `one` takes every request that `other` would; being the same is told elsewhere."""
    short, long = _prefix(one), _prefix(other)
    if short == long or not long.startswith(short):
        return False
    if one.ignore_uri_case != other.ignore_uri_case:
        return False
    plain = replace(one, name="", stat_prefix="", uri=None)
    return plain == HTTPMatchRequest(ignore_uri_case=one.ignore_uri_case) or plain == replace(
        other, name="", stat_prefix="", uri=None
    )
