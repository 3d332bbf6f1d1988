"""Rules of TLSRoute, TCPRoute and UDPRoute."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.gatewayapi.stream_route import StreamRoute, StreamRouteRule
from meltemi.api.gatewayapi.tls_route import TLSRoute
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import Findings
from meltemi.galley.validate.gatewayapi import parts


def validate(obj: Object[TLSRoute | StreamRoute]) -> tuple[Diagnostic, ...]:
    """Check a TLSRoute, TCPRoute or UDPRoute."""
    found = Findings(obj)
    rules: tuple[StreamRouteRule, ...] = obj.spec.rules
    for index, rule in enumerate(rules):
        parts.backends(found, ("spec", "rules", index), rule.backend_refs)
    return found.all()
