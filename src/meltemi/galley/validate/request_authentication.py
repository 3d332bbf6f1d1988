"""Rules of RequestAuthentication that its declaration does not have."""

from __future__ import annotations

from urllib.parse import urlsplit

from meltemi.api.diagnostics import Diagnostic
from meltemi.api.kind import Object
from meltemi.api.security.request_authentication import JWTRule, RequestAuthentication
from meltemi.galley.validate import rules, targets
from meltemi.galley.validate.findings import At, Findings


def validate(obj: Object[RequestAuthentication]) -> tuple[Diagnostic, ...]:
    """Check a RequestAuthentication."""
    found = Findings(obj)
    spec = obj.spec
    targets.check(found, spec.selector, spec.target_refs, spec.target_ref)
    for index, rule in enumerate(spec.jwt_rules):
        check(found, ("spec", "jwtRules", index), rule)
    return found.all()


def check(found: Findings, at: At, rule: JWTRule) -> None:
    """Check the rule of an issuer; `at` is its path."""
    if not rule.issuer and not rule.jwks_uri:
        found.error((*at, "issuer"), "Required value: issuer or jwksUri must be given")
    if rule.jwks_uri is not None and (fault := _uri_fault(rule.jwks_uri)):
        found.error((*at, "jwksUri"), fault)
    if rule.jwks:
        # Most policies say where keys are; to look into them takes a library of cryptography.
        from meltemi.galley.validate import jwks

        jwks.check(found, (*at, "jwks"), rule.jwks)
    rules.duration(found, (*at, "timeout"), rule.timeout)
    for index, header in enumerate(rule.from_headers):
        if fault := rules.header_fault(header.name):
            found.warn((*at, "fromHeaders", index, "name"), fault)
    if rule.output_payload_to_header and (fault := rules.header_fault(rule.output_payload_to_header)):
        found.warn((*at, "outputPayloadToHeader"), fault)


def _uri_fault(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        return f'"{uri}" is not a URL: {error}'
    if not parts.hostname:
        return f'"{uri}" is not a URL: the host is missing'
    return rules.port_fault(port) if port is not None else ""
