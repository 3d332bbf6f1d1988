"""Istio's own objects of security, telemetry and extensions: all that Istio takes is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.galley.rule_documents import findings

from meltemi.api.diagnostics import Level
from meltemi.api.registry import of_document
from meltemi.checks import check

GROUPS = ("security.istio.io/", "telemetry.istio.io/", "extensions.istio.io/")


def objects(files: list[Path]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (file.name, document)
        for file in files
        for document in yaml.safe_load_all(file.read_text())
        if isinstance(document, dict) and str(document.get("apiVersion")).startswith(GROUPS)
    ]


def refused(document: dict[str, Any]) -> list[str]:
    kind = of_document(document)
    assert kind is not None
    _, found = check(kind, document)
    return [f"{one.path}: {one.message}" for one in found if one.level is Level.ERROR]


def test_what_istio_builds_filters_of_is_taken(corpus: Path) -> None:
    policies = objects(sorted(corpus.glob("istio-1.30/authz-builder/*/*-in.yaml")))
    assert len(policies) > 25
    for name, document in policies:
        assert refused(document) == [], name


def test_samples_are_taken(corpus: Path) -> None:
    samples = objects(sorted(corpus.glob("istio-1.30/samples/**/*.yaml")))
    assert samples
    for name, document in samples:
        assert refused(document) == [], name


def test_every_valid_and_invalid_object_of_these_groups_is_judged_right(corpus: Path) -> None:
    files = sorted(corpus.glob("istio-1.30/crd-validation/*.yaml"))
    judged = objects(files)
    assert len(judged) > 50
    for name, document in judged:
        wanted = document.pop("_err", None)
        assert bool(refused(document)) == (wanted is not None), (name, document["metadata"]["name"])


@pytest.mark.parametrize("token", ["demo.jwt", "groups-scope.jwt"])
def test_the_keys_that_a_policy_takes_verify_istios_tokens(corpus: Path, token: str) -> None:
    folder = corpus / "istio-1.30/jwt"
    keys = (folder / "jwks.json").read_text()
    spec = {"jwtRules": [{"issuer": "testing@secure.istio.io", "jwks": keys}]}
    assert not [
        one.message
        for one in findings("RequestAuthentication", spec, version="security.istio.io/v1")
        if one.level is Level.ERROR
    ]
    decoded = jwt.decode((folder / token).read_text().strip(), KeySet.import_key_set(yaml.safe_load(keys)))
    assert decoded.claims["iss"] == "testing@secure.istio.io"
