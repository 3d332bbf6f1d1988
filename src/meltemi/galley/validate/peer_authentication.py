"""Rules of PeerAuthentication that its declaration does not have."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.security.peer_authentication import PeerAuthentication
from meltemi.galley.validate import targets
from meltemi.galley.validate.findings import Findings


def validate(obj: Object[PeerAuthentication]) -> tuple[Diagnostic, ...]:
    """Check a PeerAuthentication."""
    found = Findings(obj)
    targets.check(found, obj.spec.selector, ())
    return found.all()
