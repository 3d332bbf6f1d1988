"""Rules of TLSRoute and TCPRoute."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.gatewayapi.tcp_route import TCPRoute, TCPRouteRule
from meltemi.api.gatewayapi.tls_route import TLSRoute, TLSRouteRule
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import Findings
from meltemi.galley.validate.gatewayapi import parts


def validate(obj: Object[TLSRoute | TCPRoute]) -> tuple[Diagnostic, ...]:
    """Check a TLSRoute or TCPRoute."""
    found = Findings(obj)
    rules: tuple[TLSRouteRule | TCPRouteRule, ...] = obj.spec.rules
    for index, rule in enumerate(rules):
        parts.backends(found, ("spec", "rules", index), rule.backend_refs)
    return found.all()
