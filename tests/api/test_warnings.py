from __future__ import annotations

from typing import Any

import pytest

from meltemi.api import registry, warnings
from meltemi.api.diagnostics import Level
from meltemi.api.unapplied import GAPS, Gap
from meltemi.api.warnings import unapplied
from meltemi.checks import check

NETWORKING = "networking.istio.io/v1"
LINES = {
    "destinationrules.networking.istio.io": (
        Gap("*loadBalancer.warmup"),
        Gap("*outlierDetection.consecutiveErrors"),
        Gap("*tls.caCrl"),
        Gap("*trafficPolicy.proxyProtocol"),
    ),
    "serviceentries.networking.istio.io": (
        Gap("spec.resolution", only=("DYNAMIC_DNS",)),
        Gap("spec.endpoints[].address", only=("unix://",)),
    ),
    "gateways.networking.istio.io": (Gap("spec.servers[].tls.mode", only=("AUTO_PASSTHROUGH",)),),
    "gateways.gateway.networking.k8s.io": (Gap(""),),
    "virtualservices.networking.istio.io": (
        Gap("spec.http[].match[].headers", only=("@request.auth.claims",)),
    ),
}
"""What the tests say of lines is true of any; the release's own come and go."""


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines than the release has."""
    for resource, gaps in LINES.items():
        monkeypatch.setitem(GAPS, resource, gaps)
    monkeypatch.setattr(warnings, "_TREES", {}, raising=False)


def told(kind: str, spec: Any, api_version: str = NETWORKING) -> list[tuple[str, str]]:
    """The codes and paths of what has no effect in a document."""
    document = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "a", "namespace": "b"},
        "spec": spec,
    }
    found = registry.of_document(document)
    assert found is not None
    assert all(one.level is Level.WARNING for one in unapplied(found, document))
    return [(one.code.id, one.path) for one in unapplied(found, document)]


def rule(**policy: Any) -> dict[str, Any]:
    return {"host": "a", "trafficPolicy": policy}


@pytest.mark.usefixtures("lines")
def test_a_document_that_sets_nothing_of_the_kind_is_told_nothing() -> None:
    assert told("DestinationRule", rule(loadBalancer={"simple": "RANDOM"})) == []


@pytest.mark.usefixtures("lines")
def test_every_place_of_a_field_is_told_with_its_path() -> None:
    warm = {"loadBalancer": {"warmup": {"duration": "1s"}}}
    spec = {
        "host": "a",
        "trafficPolicy": warm,
        "subsets": [{"name": "x"}, {"name": "y", "trafficPolicy": {"portLevelSettings": [warm]}}],
    }
    assert told("DestinationRule", spec) == [
        ("MEL0501", "spec.trafficPolicy.loadBalancer.warmup"),
        ("MEL0501", "spec.subsets[1].trafficPolicy.portLevelSettings[0].loadBalancer.warmup"),
    ]


@pytest.mark.usefixtures("lines")
def test_what_is_given_as_it_is_by_default_is_not_told_and_an_empty_object_is() -> None:
    assert told("DestinationRule", rule(outlierDetection={"consecutiveErrors": 0}, tls={"caCrl": ""})) == []
    assert told("DestinationRule", rule(proxyProtocol={})) == [
        ("MEL0501", "spec.trafficPolicy.proxyProtocol")
    ]


@pytest.mark.usefixtures("lines")
def test_original_names_are_read_as_proto_json_reads_them() -> None:
    spec = {"host": "a", "traffic_policy": {"outlier_detection": {"consecutive_errors": 3}}}
    assert told("DestinationRule", spec) == [
        ("MEL0501", "spec.traffic_policy.outlier_detection.consecutive_errors")
    ]


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("ServiceEntry", {"resolution": "DYNAMIC_DNS"}, ["spec.resolution"]),
        ("ServiceEntry", {"resolution": 4}, ["spec.resolution"]),
        ("ServiceEntry", {"resolution": "DNS", "endpoints": [{"address": "1.1.1.1"}]}, []),
        ("ServiceEntry", {"endpoints": [{"address": "unix:///a"}]}, ["spec.endpoints[0].address"]),
        ("Gateway", {"servers": [{"tls": {"mode": "PASSTHROUGH"}}]}, []),
        ("Gateway", {"servers": [{"tls": {"mode": "AUTO_PASSTHROUGH"}}]}, ["spec.servers[0].tls.mode"]),
        (
            "VirtualService",
            {"http": [{"match": [{"headers": {"@request.auth.claims.sub": {"exact": "a"}, "x": {}}}]}]},
            ['spec.http[0].match[0].headers["@request.auth.claims.sub"]'],
        ),
    ],
)
def test_a_field_may_have_no_effect_for_some_values_only(kind: str, spec: Any, paths: list[str]) -> None:
    assert [path for _, path in told(kind, spec)] == paths


def test_a_policy_that_is_not_enforced_is_loud_whatever_it_says() -> None:
    document = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "nobody", "namespace": "b"},
        "spec": {},
    }
    kind = registry.of_document(document)
    assert kind is not None
    (found,) = unapplied(kind, document)
    assert found.code.id == "MEL0508"
    assert "NOT enforced" in found.message
    assert str(found.ref) == "authorizationpolicy b/nobody"


@pytest.mark.usefixtures("lines")
def test_a_kind_of_one_name_in_two_groups_is_told_apart() -> None:
    assert told("Gateway", {"servers": []}) == []
    assert told("Gateway", {"gatewayClassName": "a"}, "gateway.networking.k8s.io/v1") == [("MEL0501", "")]


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize("spec", [None, 3, [], {"servers": 3}, {"servers": [None, 3, {"tls": [1]}]}])
def test_whatever_is_no_document_is_left_to_others(spec: Any) -> None:
    assert told("Gateway", spec) == []


@pytest.mark.usefixtures("lines")
def test_checks_tell_it_of_good_documents_and_nothing_of_bad_ones() -> None:
    spec = {"host": "a", "trafficPolicy": {"proxyProtocol": {}}}
    document = {"apiVersion": NETWORKING, "kind": "DestinationRule", "metadata": {"name": "a"}, "spec": spec}
    kind = registry.of_document(document)
    assert kind is not None
    made, found = check(kind, document)
    assert made is not None
    assert [one.code.id for one in found] == ["MEL0501"]
    _, found = check(kind, {**document, "spec": {**spec, "nothing": 1}})
    assert "MEL0501" not in [one.code.id for one in found]


@pytest.mark.parametrize("resource", sorted(GAPS))
def test_every_line_can_be_told(resource: str) -> None:
    """The walk finds each field that a line names, given alone."""
    kind = registry.of_resource(resource)
    assert kind is not None
    for gap in GAPS[resource]:
        if gap.path and not gap.path.startswith("*"):
            suffix = "" if "mode" in gap.path else "x"
            value: Any = f"{gap.only[0]}{suffix}" if gap.only else "SIMPLE"
            if gap.path.endswith("eaders"):
                value = {gap.only[0]: {}}
            if gap.path == "spec.resolution":
                value = "DYNAMIC_DNS"
            document: Any = {"kind": kind.name, "metadata": {"name": "a"}}
            at = document
            *steps, last = gap.path.split(".")
            for step in steps:
                made: Any = {}
                at[step.removesuffix("[]")] = [made] if step.endswith("[]") else made
                at = made
            at[last] = value
            assert [one.code for one in unapplied(kind, document)] == [gap.code], gap.path
