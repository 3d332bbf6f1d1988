"""Rules of HTTPAPISpecBinding (config.istio.io)."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.mixer.http_api_spec import HTTPAPISpecBinding
from meltemi.galley.validate import bound
from meltemi.galley.validate.findings import Findings


def validate(obj: Object[HTTPAPISpecBinding]) -> tuple[Diagnostic, ...]:
    """Check a HTTPAPISpecBinding."""
    found = Findings(obj)
    bound.services(found, obj.spec.services)
    bound.specs(found, "apiSpecs", obj.spec.api_specs)
    return found.all()
