"""Parts that several kinds of the Gateway API have: hosts, expressions, changes of headers, backends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meltemi.api.diagnostics import Level, code
from meltemi.api.gatewayapi.http_filter import HTTPHeaderFilter
from meltemi.api.gatewayapi.references import BackendRef
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

NO_BACKEND = code(
    "MEL0040",
    "route-without-backend",
    Level.WARNING,
    "A rule of a route has no backend that requests can go to: none is given, or all have the weight 0. What the rule "
    "matches is answered with an error.",
)
SHADOWED_MATCH = code(
    "MEL0041",
    "header-matched-twice",
    Level.WARNING,
    "A match of a route names one header twice, in different letters. The Gateway API takes the first one only.",
)


def hostnames(found: Findings, at: At, names: Iterable[str]) -> None:
    """Check that hosts are names: the pattern of a host takes an IPv4 address for one."""
    for index, name in enumerate(names):
        hostname(found, (*at, index), name)


def hostname(found: Findings, at: At, name: str) -> None:
    """Check that a host is a name."""
    if rules.is_address(name):
        found.error(at, f'"{name}" is an IP address: hosts of the Gateway API are names')


def expression(found: Findings, at: At, value: str) -> None:
    """Check a regular expression: Envoy takes RE2's."""
    if fault := rules.regex_fault(value):
        found.error(at, fault)


def matched_once(found: Findings, at: At, names: Sequence[str]) -> None:
    """Check that headers are matched once, however they are written."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name.lower() in seen:
            found.add(SHADOWED_MATCH, (*at, index, "name"), f'the header "{name}" is matched already')
        seen.add(name.lower())


def header_changes(found: Findings, at: At, changes: HTTPHeaderFilter) -> None:
    """Check that a header is changed once: the order of changes is nobody's promise."""
    seen: set[str] = set()
    parts = (
        ("set", [one.name for one in changes.set]),
        ("add", [one.name for one in changes.add]),
        ("remove", list(changes.remove)),
    )
    for field, names in parts:
        for index, name in enumerate(names):
            if name.lower() in seen:
                found.error(
                    (*at, field, index), f'the header "{name}" is changed already: one change for each'
                )
            seen.add(name.lower())


def backends(found: Findings, at: At, refs: Sequence[BackendRef], *, answered: bool = False) -> None:
    """Check that requests can go somewhere; `answered` says that a filter answers them."""
    if answered:
        return
    if not refs:
        found.add(NO_BACKEND, at, "the rule has no backend: what it matches is answered with an error")
    elif not any(one.weight for one in refs):
        found.add(
            NO_BACKEND, at, "every backend has the weight 0: what the rule matches is answered with an error"
        )
