"""Rules of PeerAuthentication."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.security.peer_authentication import PeerAuthentication
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import Findings


def validate(obj: Object[PeerAuthentication]) -> tuple[Diagnostic, ...]:
    """Check a PeerAuthentication."""
    found = Findings(obj)
    spec = obj.spec
    at = ("spec", "portLevelMtls")
    if spec.port_level_mtls and (spec.selector is None or not spec.selector.match_labels):
        found.error(
            at, "portLevelMtls requires selector: ports belong to workloads", "add spec.selector.matchLabels"
        )
    for port in spec.port_level_mtls:
        if not port.isascii() or not port.isdecimal():
            found.error((*at, port), f'"{port}" is not a port number')
        elif fault := rules.port_fault(int(port[:9])):
            found.error((*at, port), fault)
    if spec.selector is not None:
        rules.selector(found, ("spec", "selector", "matchLabels"), spec.selector.match_labels)
        if not spec.selector.match_labels:
            found.warn(
                ("spec", "selector"), "a selector without labels is for every workload of the namespace"
            )
    return found.all()
