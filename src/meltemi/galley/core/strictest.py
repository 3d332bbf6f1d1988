"""The strictest policy of each kind of security, for what a document that never was good is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from meltemi.api.decode import decode_lenient, decode_value
from meltemi.api.diagnostics import Level
from meltemi.api.kind import Kind, Object
from meltemi.api.security.authorization_policy import (
    AuthorizationAction,
    AuthorizationPolicy,
    AuthorizationRule,
)
from meltemi.api.security.peer_authentication import MutualTLS, MutualTLSMode, PeerAuthentication
from meltemi.api.security.request_authentication import JWTRule, RequestAuthentication
from meltemi.api.selector import LabelSelector, PolicyTargetReference
from meltemi.galley.validate import request_authentication
from meltemi.galley.validate.annotations import DRY_RUN, TRUE
from meltemi.galley.validate.findings import Findings

Document = dict[str, Any]

NO_KEYS: Final = '{"keys":[]}'
"""Keys that no token is signed by."""


def strictest(kind: Kind[Any], document: Document) -> Object[Any] | None:
    """Give the strictest policy of a kind; None where nothing stands in."""
    make = {
        PeerAuthentication: _mutual_tls_only,
        AuthorizationPolicy: _nobody,
        RequestAuthentication: _no_token,
    }.get(kind.model)
    if make is None:
        return None
    blank: Object[Any] = decode_lenient(kind, {**document, "spec": {}})
    spec = document.get("spec")
    made = make(blank, spec if isinstance(spec, dict) else {})
    return replace(blank, spec=made) if made is not None else None


def _mutual_tls_only(_: Object[Any], spec: Document) -> PeerAuthentication:
    selector, _refs = _targets({"selector": spec.get("selector")})
    return PeerAuthentication(selector=selector, mtls=MutualTLS(MutualTLSMode.STRICT))


def _nobody(blank: Object[Any], spec: Document) -> AuthorizationPolicy | None:
    # Policies that would not have refused anything if they had been right.
    if spec.get("action") == AuthorizationAction.AUDIT.name or blank.annotations.get(DRY_RUN) in TRUE:
        return None
    selector, refs = _targets(spec)
    return AuthorizationPolicy(
        selector=selector, target_refs=refs, action=AuthorizationAction.DENY, rules=(AuthorizationRule(),)
    )


def _no_token(blank: Object[Any], spec: Document) -> RequestAuthentication | None:
    """Keep the rules that are right; of the others no token is believed, as if their keys could not be had."""
    given = spec.get("jwtRules")
    made = tuple(_token_rule(blank, one) for one in given) if isinstance(given, list) else ()
    rules = tuple(rule for rule in made if rule is not None)
    if not rules:
        return None
    selector, refs = _targets(spec)
    return RequestAuthentication(selector=selector, target_refs=refs, jwt_rules=rules)


def _token_rule(blank: Object[Any], value: Any) -> JWTRule | None:
    rule, wrong = decode_value(JWTRule, value)
    if all(one.level is not Level.ERROR for one in wrong) and _right(blank, rule):
        return rule
    return JWTRule(issuer=rule.issuer, jwks=NO_KEYS) if rule.issuer else None


def _right(blank: Object[Any], rule: JWTRule) -> bool:
    found = Findings(blank)
    try:
        request_authentication.check(found, (), rule)
    except Exception:  # noqa: BLE001 - a check that fails is why we are here: it has not found the rule right
        return False
    return all(one.level is not Level.ERROR for one in found.all())


def _targets(spec: Document) -> tuple[LabelSelector | None, tuple[PolicyTargetReference, ...]]:
    """Read what a policy is for: a selector, or references; neither if they cannot be read, or both are given."""
    selector, refs, one = (spec.get(name) for name in ("selector", "targetRefs", "targetRef"))
    if (selector is not None) + (refs is not None) + (one is not None) != 1:
        return None, ()
    if selector is not None:
        labels, found = decode_value(LabelSelector, selector)
        return (None if found else labels), ()
    if refs is None:
        refs = [one]
    made = [decode_value(PolicyTargetReference, ref) for ref in refs] if isinstance(refs, list) else []
    return None, (() if any(found for _, found in made) else tuple(ref for ref, _ in made))
