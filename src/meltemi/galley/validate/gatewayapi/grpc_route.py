"""Rules of GRPCRoute."""

from __future__ import annotations

from collections.abc import Iterable

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.gatewayapi.grpc_route import GRPCFilterType, GRPCRoute, GRPCRouteFilter, GRPCRouteMatch
from meltemi.api.gatewayapi.http_route import MatchType
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import At, Findings
from meltemi.galley.validate.gatewayapi import parts


def validate(obj: Object[GRPCRoute]) -> tuple[Diagnostic, ...]:
    """Check a GRPCRoute."""
    found = Findings(obj)
    parts.hostnames(found, ("spec", "hostnames"), obj.spec.hostnames)
    for index, rule in enumerate(obj.spec.rules):
        at: At = ("spec", "rules", index)
        for number, match in enumerate(rule.matches):
            _match(found, (*at, "matches", number), match)
        _filters(found, (*at, "filters"), rule.filters)
        for number, backend in enumerate(rule.backend_refs):
            _filters(found, (*at, "backendRefs", number, "filters"), backend.filters)
        answered = any(one.type is GRPCFilterType.ExtensionRef for one in rule.filters)
        parts.backends(found, at, rule.backend_refs, answered=answered)
        parts.session(found, (*at, "sessionPersistence"), rule.session_persistence, rule.backend_refs)
    return found.all()


def _match(found: Findings, at: At, match: GRPCRouteMatch) -> None:
    method = match.method
    if method is not None and method.type is MatchType.RegularExpression:
        for field, value in (("service", method.service), ("method", method.method)):
            if value:
                parts.expression(found, (*at, "method", field), value)
    for index, one in enumerate(match.headers):
        if one.type is MatchType.RegularExpression:
            parts.expression(found, (*at, "headers", index, "value"), one.value)
    parts.matched_once(found, (*at, "headers"), [one.name for one in match.headers])


def _filters(found: Findings, at: At, filters: Iterable[GRPCRouteFilter]) -> None:
    for index, one in enumerate(filters):
        for field, changes in (
            ("requestHeaderModifier", one.request_header_modifier),
            ("responseHeaderModifier", one.response_header_modifier),
        ):
            if changes is not None:
                parts.header_changes(found, (*at, index, field), changes)
