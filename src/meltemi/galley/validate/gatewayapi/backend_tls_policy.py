"""Rules of BackendTLSPolicy."""

from __future__ import annotations

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.gatewayapi.backend_tls_policy import BackendTLSPolicy
from meltemi.api.kind import Object
from meltemi.galley.validate.findings import Findings
from meltemi.galley.validate.gatewayapi import parts

_AUTHORITIES = frozenset({("", "ConfigMap"), ("", "Secret")})


def validate(obj: Object[BackendTLSPolicy]) -> tuple[Diagnostic, ...]:
    """Check a BackendTLSPolicy."""
    found = Findings(obj)
    checked = obj.spec.validation
    parts.hostname(found, ("spec", "validation", "hostname"), checked.hostname)
    for index, name in enumerate(checked.subject_alt_names):
        parts.hostname(found, ("spec", "validation", "subjectAltNames", index, "hostname"), name.hostname)
    for index, reference in enumerate(checked.ca_certificate_refs):
        if (reference.group, reference.kind) not in _AUTHORITIES:
            found.warn(
                ("spec", "validation", "caCertificateRefs", index, "kind"),
                f'authorities are read of a ConfigMap or a Secret, not of a "{reference.kind}"',
            )
    return found.all()
