"""Parts that several kinds of the Gateway API have: hosts, expressions, changes of headers, backends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meltemi.api.diagnostics import Level, code
from meltemi.api.gatewayapi.http_filter import HTTPHeaderFilter
from meltemi.api.gatewayapi.references import BackendRef
from meltemi.api.gatewayapi.session import CookieLifetime, SessionPersistence, SessionType
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


SESSION_NOT_KEPT = code(
    "MEL0219",
    "session-not-kept-as-asked",
    Level.WARNING,
    "A rule asks for more of its sessions than proxies can keep. With several backends a session stays with one "
    "endpoint of each, but the shares still choose the backend of every request; a session that a header bears has no "
    "end; a cookie that ends with absoluteTimeout is kept until then, and not only until the browser is closed.",
)


def session(found: Findings, at: At, wanted: SessionPersistence | None, refs: Sequence[BackendRef]) -> None:
    """Check what bears sessions, and tell what proxies cannot keep of what is asked of them."""
    if wanted is None:
        return
    # Envoy writes it into responses as it is, an end of line as well.
    if wanted.session_name and (fault := rules.operated_header_fault(wanted.session_name)):
        found.error((*at, "sessionName"), fault)
    if sum(one.weight > 0 for one in refs) > 1:
        found.add(SESSION_NOT_KEPT, at, "the shares of several backends choose anew for every request")
    if not wanted.absolute_timeout:
        return
    if wanted.type is SessionType.Header:
        found.add(SESSION_NOT_KEPT, (*at, "absoluteTimeout"), "a session that a header bears has no end")
    elif wanted.cookie_config is not None and wanted.cookie_config.lifetime_type is CookieLifetime.Session:
        found.add(
            SESSION_NOT_KEPT,
            (*at, "cookieConfig", "lifetimeType"),
            "with absoluteTimeout the cookie is kept until then",
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
