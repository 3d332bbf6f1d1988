"""Older and second names of kinds: their documents become today's, and come back as they were."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.apiserver.objects import sample

from meltemi.api import openapi, registry
from meltemi.api.core import ingress_v1beta1 as old
from meltemi.api.decode import decode, decode_lenient, encode
from meltemi.api.kind import Alias, Kind

BACKEND = {"serviceName": "a", "servicePort": 80}
INGRESS: dict[str, Any] = {
    "metadata": {"name": "x"},
    "spec": {
        "backend": {"serviceName": "b", "servicePort": "http"},
        "tls": [{"hosts": ["a.io"], "secretName": "s"}],
        "rules": [
            {"host": "a.io", "http": {"paths": [{"path": "/a", "pathType": "Exact", "backend": BACKEND}]}},
            {
                "http": {
                    "paths": [{"pathType": "Prefix", "backend": {"resource": {"kind": "K", "name": "n"}}}]
                }
            },
            {"host": "no.io"},
        ],
    },
}


def alias(group: str, version: str, name: str) -> Alias[Any]:
    found = registry.find(group, version, name)
    assert isinstance(found, Alias)
    return found


def test_every_alias_is_found_and_kept_as_its_kind() -> None:
    assert len(registry.ALIASES) >= 10
    for one in registry.ALIASES:
        for version in one.versions:
            assert registry.find(one.group, version, one.name) is one
            assert registry.by_path(one.group, version, one.plural) is one
            schema = openapi.schema(one, version)
            assert {"group": one.group, "version": version, "kind": one.name} in schema[
                "x-kubernetes-group-version-kind"
            ]
        assert (one.resource, one.api_version) == (one.of.resource, one.of.api_version)
        assert registry.rank(one) == registry.rank(one.of)
        assert one not in registry.KINDS


def test_an_ingress_goes_ahead_and_back_without_loss() -> None:
    before = copy.deepcopy(INGRESS)
    ahead = old.ahead(INGRESS)
    assert ahead["spec"]["defaultBackend"] == {"service": {"name": "b", "port": {"name": "http"}}}
    first, second, third = ahead["spec"]["rules"]
    assert first["http"]["paths"][0]["backend"] == {"service": {"name": "a", "port": {"number": 80}}}
    assert second["http"]["paths"][0]["backend"] == {"resource": {"kind": "K", "name": "n"}}
    assert third == {"host": "no.io"}
    assert old.back(ahead) == before == INGRESS


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {"rules": 1},
        {"rules": [1, {"http": 1}, {"http": {"paths": [1, {"backend": 1}]}}]},
        {"backend": 1},
    ],
)
def test_what_has_not_the_form_is_left_for_the_check(spec: Any) -> None:
    document = {
        "apiVersion": "extensions/v1beta1",
        "kind": "Ingress",
        "metadata": {"name": "x"},
        "spec": spec,
    }
    assert old.back(old.ahead(document)).keys() == document.keys()
    made, found = decode(alias("extensions", "v1beta1", "Ingress"), document)
    assert (made is None) is any(one.level.name == "ERROR" for one in found)


def test_a_mistake_in_an_older_form_is_told_in_its_own_words() -> None:
    document = copy.deepcopy(INGRESS) | {"apiVersion": "extensions/v1beta1", "kind": "Ingress"}
    document["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"serviceNam": "a"}
    _, found = decode(alias("extensions", "v1beta1", "Ingress"), document)
    assert [(one.path, one.hint) for one in found] == [
        ("spec.rules[0].http.paths[0].backend.serviceNam", 'did you mean "serviceName"?')
    ]
    wrong = {**document, "apiVersion": "extensions/v1"}
    assert decode(alias("extensions", "v1beta1", "Ingress"), wrong)[0] is None


def test_a_selector_is_taken_from_the_template_unless_it_is_given() -> None:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c"}]}}
    document = {
        "apiVersion": "apps/v1beta1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {"template": template},
    }
    made, found = decode(alias("apps", "v1beta1", "Deployment"), document)
    assert (dict(made.spec.selector.match_labels), found) == ({"app": "a"}, ())  # type: ignore[union-attr]
    document["spec"] = {"template": template, "selector": {"matchLabels": {"app": "b"}}}
    made, _ = decode(alias("apps", "v1beta1", "Deployment"), document)
    assert dict(made.spec.selector.match_labels) == {"app": "b"}  # type: ignore[union-attr]


def test_what_was_checked_before_is_read_in_todays_form() -> None:
    document = copy.deepcopy(INGRESS) | {"apiVersion": "extensions/v1beta1", "kind": "Ingress"}
    read = decode_lenient(alias("extensions", "v1beta1", "Ingress"), document)
    assert read == decode(alias("extensions", "v1beta1", "Ingress"), document)[0]
    today = old.ahead(document) | {"apiVersion": "networking.k8s.io/v1"}
    assert decode_lenient(alias("extensions", "v1beta1", "Ingress"), today) == read


def test_an_event_of_events_is_one_of_the_core() -> None:
    document = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "x"},
        "regarding": {"kind": "Pod", "name": "p"},
        "note": "hello",
    }
    made, found = decode(alias("events.k8s.io", "v1", "Event"), document)
    assert found == ()
    assert (made.spec.message, made.spec.involved_object.name) == ("hello", "p")  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", registry.in_group("gateway.networking.k8s.io"), ids=lambda kind: kind.name)
def test_a_gateway_api_object_is_the_same_in_every_version(kind: Kind[Any]) -> None:
    document = sample(kind)
    first, found = decode(kind, document)
    assert first is not None, found
    for version in kind.versions:
        written = encode(kind, first, version)
        assert written["apiVersion"] == f"{kind.group}/{version}"
        assert decode(kind, written) == (first, ())
    assert decode(kind, {**document, "apiVersion": f"{kind.group}/v9"})[0] is None
