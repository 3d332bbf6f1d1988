from __future__ import annotations

from typing import Any

import pytest

from meltemi.api.registry import of_document
from meltemi.api.security.authorization_policy import (
    AuthorizationAction,
    AuthorizationPolicy,
    AuthorizationRule,
)
from meltemi.api.security.request_authentication import JWTRule, RequestAuthentication
from meltemi.api.selector import LabelSelector, PolicyTargetReference
from meltemi.api.values import Map
from meltemi.galley.core.closed import closed
from meltemi.galley.core.facts import Intake
from meltemi.galley.core.strictest import NO_KEYS
from meltemi.galley.validate import request_authentication

APP = {"matchLabels": {"app": "a"}}
SELECTOR = LabelSelector(Map({"app": "a"}))
SERVICE = {"kind": "Service", "name": "a"}


def document(kind: str, spec: Any, **annotations: str) -> dict[str, Any]:
    metadata = {"name": "a", "namespace": "shop", "uid": "1", "annotations": annotations}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def stand_in(kind: str, spec: Any, **annotations: str) -> Any:
    written = document(kind, spec, **annotations)
    declared = of_document(written)
    assert declared is not None
    made = closed(declared, written)
    return made.spec if made is not None else None


def denying(**target: Any) -> AuthorizationPolicy:
    return AuthorizationPolicy(action=AuthorizationAction.DENY, rules=(AuthorizationRule(),), **target)


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        ({"rules": [{"form": []}]}, denying()),
        ({"action": "CUSTOM", "rules": 5}, denying()),
        ({"selector": APP, "rules": 5}, denying(selector=SELECTOR)),
        (
            {"targetRefs": [SERVICE], "rules": 5},
            denying(target_refs=(PolicyTargetReference("", "Service", "a"),)),
        ),
        (
            {"targetRef": SERVICE, "rules": 5},
            denying(target_refs=(PolicyTargetReference("", "Service", "a"),)),
        ),
        ({"selector": {"matchLabels": {"app": "a*"}}}, denying()),
        ({"selector": 5}, denying()),
        ({"targetRefs": [SERVICE, {"kind": "Service"}]}, denying()),
        ({"targetRefs": 5}, denying()),
        ({"selector": APP, "targetRefs": [SERVICE]}, denying()),
        ("nonsense", denying()),
    ],
)
def test_an_authorization_policy_that_never_was_good_denies_everything(spec: Any, made: Any) -> None:
    assert stand_in("AuthorizationPolicy", spec) == made


def test_one_that_would_refuse_nothing_is_not_stood_in_for() -> None:
    assert stand_in("AuthorizationPolicy", {"action": "AUDIT", "rules": 5}) is None
    assert stand_in("AuthorizationPolicy", {"rules": 5}, **{"istio.io/dry-run": "true"}) is None
    assert stand_in("AuthorizationPolicy", {"rules": 5}, **{"istio.io/dry-run": "no"}) == denying()


def test_of_issuers_that_cannot_be_read_no_token_is_believed_and_the_others_stay() -> None:
    spec = {
        "selector": APP,
        "jwtRules": [
            {"issuer": "right", "jwksUri": "https://a/b"},
            {"issuer": "wrong", "jwksUri": "ftp://a/b", "fromHeaders": [{"name": "x"}]},
            {"issuer": "broken", "jwks": "not json"},
            {"jwks": "not json"},
            5,
        ],
    }
    assert stand_in("RequestAuthentication", spec) == RequestAuthentication(
        selector=SELECTOR,
        jwt_rules=(
            JWTRule(issuer="right", jwks_uri="https://a/b"),
            JWTRule(issuer="wrong", jwks=NO_KEYS),
            JWTRule(issuer="broken", jwks=NO_KEYS),
        ),
    )


def test_where_no_issuer_can_be_read_nothing_stands_in() -> None:
    specs: tuple[Any, ...] = ({"jwtRules": [5]}, {"jwtRules": 5}, {}, "nonsense")
    for spec in specs:
        assert stand_in("RequestAuthentication", spec) is None


def test_other_kinds_have_no_stand_in() -> None:
    written = document("Telemetry", {"tracing": 5}) | {"apiVersion": "telemetry.istio.io/v1"}
    declared = of_document(written)
    assert declared is not None
    assert closed(declared, written) is None


def test_the_stand_in_goes_when_the_policy_is_good() -> None:
    wrong, right = (
        document("AuthorizationPolicy", {"rules": 5}),
        document("AuthorizationPolicy", {"rules": [{}]}),
    )
    declared = of_document(wrong)
    assert declared is not None
    intake = Intake()
    (change,) = intake.put(declared, wrong)
    assert change.value is not None
    assert change.value.spec == denying()
    (change,) = intake.put(declared, right)
    assert change.value is not None
    assert change.value.spec == AuthorizationPolicy(rules=(AuthorizationRule(),))
    assert intake.put(declared, wrong) == ()


def test_a_check_that_raises_believes_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(request_authentication, "check", broken)
    spec = {"jwtRules": [{"issuer": "a", "jwksUri": "https://a/b"}]}
    made = stand_in("RequestAuthentication", spec)
    assert made == RequestAuthentication(jwt_rules=(JWTRule(issuer="a", jwks=NO_KEYS),))


def test_a_policy_of_which_nothing_can_be_read_without_a_fault_closes_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("meltemi.galley.core.strictest.decode_value", broken)
    assert stand_in("AuthorizationPolicy", {"selector": APP, "rules": 5}) == denying()
