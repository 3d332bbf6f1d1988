"""Rules of QuotaSpecBinding (config.istio.io)."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.mixer.quota_spec import QuotaSpecBinding
from meltemi.galley.validate import bound
from meltemi.galley.validate.findings import Findings


def validate(obj: Object[QuotaSpecBinding]) -> tuple[Diagnostic, ...]:
    """Check a QuotaSpecBinding."""
    found = Findings(obj)
    bound.services(found, obj.spec.services)
    bound.specs(found, "quotaSpecs", obj.spec.quota_specs)
    return found.all()
