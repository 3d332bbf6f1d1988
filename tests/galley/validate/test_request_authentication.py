from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from tests.galley import rule_documents

errors = partial(rule_documents.errors, "RequestAuthentication", version="security.istio.io/v1")
told = partial(rule_documents.told, "RequestAuthentication", version="security.istio.io/v1")

PUBLIC = ECKey.generate_key("P-256").as_dict(private=False)


def rule(**fields: Any) -> dict[str, Any]:
    return {"jwtRules": [{"issuer": "a", **fields}]}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"jwtRules": [{}]}, "issuer"),
        (rule(issuer=""), "issuer"),
        ({"jwtRules": [{"jwks": json.dumps(PUBLIC)}]}, "issuer"),
        (rule(audiences=["a", ""]), "audiences[1]"),
        (rule(jwksUri="ftp://a/b"), "jwksUri"),
        (rule(jwksUri="a.example/keys"), "jwksUri"),
        (rule(jwksUri=""), "jwksUri"),
        (rule(jwksUri="https:///keys"), "jwksUri"),
        (rule(jwksUri="https://a:99999/keys"), "jwksUri"),
        (rule(jwksUri="https://[::1/keys"), "jwksUri"),
        (rule(jwksUri="https://a/" + "b" * 2048), "jwksUri"),
        (rule(jwksUri="https://a/b", jwks="{}"), "jwksUri"),
        (rule(fromHeaders=[{"prefix": "a"}]), "fromHeaders[0].name"),
        (rule(fromHeaders=[{"name": ""}]), "fromHeaders[0].name"),
        (rule(fromParams=[""]), "fromParams[0]"),
        (rule(fromCookies=[""]), "fromCookies[0]"),
        (rule(outputClaimToHeaders=[{"header": "a"}]), "outputClaimToHeaders[0].claim"),
        (rule(outputClaimToHeaders=[{"header": "a b", "claim": "c"}]), "outputClaimToHeaders[0].header"),
        (rule(spaceDelimitedClaims=["a"] * 65), "spaceDelimitedClaims"),
        (rule(spaceDelimitedClaims=[""]), "spaceDelimitedClaims[0]"),
        (rule(timeout="0.0001s"), "timeout"),
        (rule(timeout="1.0001s"), "timeout"),
        (rule(jwks="not json"), "jwks"),
        (rule(jwks="[]"), "jwks"),
        (rule(jwks='{"keys": {}}'), "jwks"),
        (rule(jwks='{"keys": [5]}'), "jwks"),
        (rule(jwks='{"keys": [{"kty": "nothing"}]}'), "jwks"),
        (rule(jwks='{"keys": [{"kty": "RSA"}]}'), "jwks"),
        (rule(jwks='{"keys": [{"kty": "EC", "crv": "P-256", "x": 5, "y": 6}]}'), "jwks"),
        (rule(jwks="{}"), "jwks"),
        (rule(jwks="[" * 100_000), "jwks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(spec: dict[str, Any], path: str) -> None:
    # What excludes each other is told once, at the one or the other.
    assert set(errors(spec)) <= {f"spec.jwtRules[0].{path}", "spec.jwtRules[0].jwks"}
    assert errors(spec)


def test_at_most_4096_issuers() -> None:
    assert errors({"jwtRules": [{"issuer": "a"}] * 4097}) == ["spec.jwtRules"]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        rule(),
        {"jwtRules": [{"jwksUri": "https://a.example/keys"}]},
        rule(jwksUri="HTTP://[::1]:8080/keys?a=b", timeout="1.5s"),
        rule(jwks=json.dumps({"keys": [PUBLIC]})),
        rule(jwks=json.dumps(PUBLIC)),
        rule(fromHeaders=[{"name": "x-token", "prefix": "Bearer "}], forwardOriginalToken=True),
    ],
)
def test_what_is_right(spec: dict[str, Any]) -> None:
    assert errors(spec) == []
    assert told(spec) == []


@pytest.mark.parametrize(
    "key",
    [ECKey.generate_key("P-256"), RSAKey.generate_key(2048), OctKey.generate_key(256)],
    ids=["EC", "RSA", "oct"],
)
def test_a_private_key_in_a_policy_is_told(key: Any) -> None:
    for text in (json.dumps(key.as_dict(private=True)), json.dumps({"keys": [key.as_dict(private=True)]})):
        assert errors(rule(jwks=text)) == []
        assert told(rule(jwks=text)) == [("IST0133", "spec.jwtRules[0].jwks")]


def test_the_message_names_the_key() -> None:
    private = ECKey.generate_key("P-256", {"kid": "mine"}).as_dict(private=True)
    found = rule_documents.findings(
        "RequestAuthentication",
        rule(jwks=json.dumps({"keys": [PUBLIC, private]})),
        version="security.istio.io/v1",
    )
    assert any('key 1 ("mine") is private' in one.message for one in found)


def test_a_short_key_is_told() -> None:
    short = '{"kty": "oct", "k": "AQAB"}'
    found = rule_documents.findings("RequestAuthentication", rule(jwks=short), version="security.istio.io/v1")
    assert [one.message for one in found if "112 bits" in one.message] == [
        "key 0: Key size should be >= 112 bits"
    ]


def test_keys_that_believe_nobody_and_names_that_are_none_are_told() -> None:
    assert told(rule(jwks='{"keys": []}')) == [("IST0133", "spec.jwtRules[0].jwks")]
    assert told(rule(fromHeaders=[{"name": "a b"}])) == [("IST0133", "spec.jwtRules[0].fromHeaders[0].name")]
    assert told(rule(outputPayloadToHeader=":path")) == [
        ("IST0133", "spec.jwtRules[0].outputPayloadToHeader")
    ]


def test_istios_own_keys_are_right(corpus: Any) -> None:
    text = (corpus / "istio-1.30/jwt/jwks.json").read_text()
    assert (errors(rule(jwks=text)), told(rule(jwks=text))) == ([], [])
