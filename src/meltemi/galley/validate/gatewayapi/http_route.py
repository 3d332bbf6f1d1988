"""Rules of HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterable

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.gatewayapi.http_filter import HTTPFilterType, HTTPRouteFilter
from meltemi.api.gatewayapi.http_route import (
    HTTPHeaderMatch,
    HTTPQueryParamMatch,
    HTTPRoute,
    HTTPRouteMatch,
    MatchType,
    PathMatchType,
)
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import At, Findings
from meltemi.galley.validate.gatewayapi import parts

_ANSWERS = frozenset({HTTPFilterType.RequestRedirect, HTTPFilterType.ExtensionRef})


def validate(obj: Object[HTTPRoute]) -> tuple[Diagnostic, ...]:
    """Check an HTTPRoute."""
    found = Findings(obj)
    parts.hostnames(found, ("spec", "hostnames"), obj.spec.hostnames)
    for index, rule in enumerate(obj.spec.rules):
        at: At = ("spec", "rules", index)
        for number, match in enumerate(rule.matches):
            _match(found, (*at, "matches", number), match)
        _filters(found, (*at, "filters"), rule.filters)
        for number, backend in enumerate(rule.backend_refs):
            _filters(found, (*at, "backendRefs", number, "filters"), backend.filters)
        answered = any(one.type in _ANSWERS for one in rule.filters)
        parts.backends(found, at, rule.backend_refs, answered=answered)
        parts.session(found, (*at, "sessionPersistence"), rule.session_persistence, rule.backend_refs)
    return found.all()


def _match(found: Findings, at: At, match: HTTPRouteMatch) -> None:
    if match.path.type is PathMatchType.RegularExpression:
        parts.expression(found, (*at, "path", "value"), match.path.value)
    compared: tuple[tuple[str, tuple[HTTPHeaderMatch | HTTPQueryParamMatch, ...]], ...] = (
        ("headers", match.headers),
        ("queryParams", match.query_params),
    )
    for field, items in compared:
        for index, one in enumerate(items):
            if one.type is MatchType.RegularExpression:
                parts.expression(found, (*at, field, index, "value"), one.value)
    parts.matched_once(found, (*at, "headers"), [one.name for one in match.headers])


def _filters(found: Findings, at: At, filters: Iterable[HTTPRouteFilter]) -> None:
    for index, one in enumerate(filters):
        for field, changes in (
            ("requestHeaderModifier", one.request_header_modifier),
            ("responseHeaderModifier", one.response_header_modifier),
        ):
            if changes is not None:
                parts.header_changes(found, (*at, index, field), changes)
        for field, changed in (("requestRedirect", one.request_redirect), ("urlRewrite", one.url_rewrite)):
            if changed is not None:
                parts.hostname(found, (*at, index, field, "hostname"), changed.hostname)
