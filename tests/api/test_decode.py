from __future__ import annotations

import copy
import dataclasses
import enum
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meltemi.api import registry
from meltemi.api.compiled import fields_of, is_int_or_string, unwrapped
from meltemi.api.core.pod import PodStatus
from meltemi.api.core.service import ServiceStatus
from meltemi.api.declare import RULES, Rule
from meltemi.api.decode import decode, decode_lenient, decode_status, decode_value, encode
from meltemi.api.diagnostics import Level
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind, Object
from meltemi.api.networking.destination_rule import SimpleLB
from meltemi.api.networking.virtual_service import HTTPRetry, StringMatch, VirtualService
from meltemi.api.registry import KINDS
from meltemi.api.values import Json, Map

Document = dict[str, Any]


def kind_of(name: str) -> Kind[Any]:
    return next(kind for kind in KINDS if kind.name == name)


def virtual_service(spec: Any, version: str = "v1", **metadata: Any) -> Document:
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "shop", **metadata},
        "spec": spec,
    }


def route(**more: Any) -> Document:
    return {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}], **more}]}


def problems(document: Document, kind: str = "VirtualService") -> list[tuple[str, str, str]]:
    _, found = decode(kind_of(kind), document)
    return [(one.code.id, one.path, one.message) for one in found]


def paths(document: Document, kind: str = "VirtualService") -> list[str]:
    return [path for _, path, _ in problems(document, kind)]


def test_a_virtual_service_becomes_a_typed_object() -> None:
    document = virtual_service(
        {
            "hosts": ["reviews"],
            "http": [
                {
                    "match": [{"headers": {"end-user": {"exact": "jason"}}, "uri": {"prefix": "/a"}}],
                    "route": [{"destination": {"host": "reviews", "port": {"number": 80}}, "weight": 90}],
                    "timeout": "1.5s",
                }
            ],
        },
        labels={"app": "reviews"},
        uid="u-1",
        generation=3,
        creationTimestamp="1970-01-01T00:01:00Z",
        resourceVersion="77",
    )
    made, found = decode(kind_of("VirtualService"), document)
    assert found == ()
    assert made is not None
    assert made.ref.name == "reviews"
    assert (made.namespace, made.uid, made.generation, made.created) == ("shop", "u-1", 3, 60.0)
    assert made.labels == Map({"app": "reviews"})
    spec = made.spec
    assert isinstance(spec, VirtualService)
    assert spec.http[0].timeout == Duration(1_500_000_000)
    assert spec.http[0].match[0].headers["end-user"] == StringMatch(exact="jason")
    assert spec.http[0].route[0].weight == 90


def test_what_the_server_writes_does_not_change_the_object() -> None:
    one = virtual_service(route(), resourceVersion="1")
    other = virtual_service(
        route(), resourceVersion="2", managedFields=[{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    )
    other["status"] = {"conditions": [{"type": "Reconciled", "status": "True"}]}
    kind = kind_of("VirtualService")
    assert decode(kind, one) == decode(kind, other)


def test_all_errors_are_told_at_once_with_their_paths() -> None:
    document = virtual_service(
        {
            "hosts": "reviews",
            "http": [
                {
                    "rout": [],
                    "match": [{"uri": {"prefix": "/a", "exact": "/b"}}],
                    "timeout": 5,
                    "retries": {"attempts": "3"},
                },
                {"route": [{"weight": 1.5}]},
            ],
        }
    )
    assert sorted(paths(document)) == [
        "spec.hosts",
        "spec.http[0].match[0].uri.prefix",
        "spec.http[0].retries.attempts",
        "spec.http[0].rout",
        "spec.http[0].timeout",
        "spec.http[1].route[0].destination",
        "spec.http[1].route[0].weight",
    ]


def test_an_unknown_field_names_the_nearest_known_one() -> None:
    _, found = decode(kind_of("VirtualService"), virtual_service(route(timout="5s")))
    assert [(one.code.name, one.hint) for one in found] == [("unknown-field", 'did you mean "timeout"?')]


def test_proto_names_are_read_and_both_at_once_refused() -> None:
    made, found = decode(
        kind_of("VirtualService"), virtual_service(route(cors_policy={"allow_methods": ["GET"]}))
    )
    assert found == ()
    assert made is not None
    assert made.spec.http[0].cors_policy.allow_methods == ("GET",)
    assert paths(virtual_service(route(cors_policy={}, corsPolicy={}))) == ["spec.http[0].corsPolicy"]


def test_null_is_absence_and_within_a_list_an_error() -> None:
    made, found = decode(kind_of("VirtualService"), virtual_service(route(timeout=None)))
    assert (found, made is not None and made.spec.http[0].timeout) == ((), None)
    assert paths(virtual_service({"hosts": ["a"], "http": [None]})) == ["spec.http[0]"]


def test_an_enum_is_a_name_or_protos_number() -> None:
    def rule(value: Any) -> Document:
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "a"},
            "spec": {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": value}}},
        }

    for value in ("RANDOM", 2):
        made, _ = decode(kind_of("DestinationRule"), rule(value))
        assert made is not None
        assert made.spec.traffic_policy.load_balancer.simple is SimpleLB.RANDOM
    ((code, path, message),) = problems(rule("RANDON"), "DestinationRule")
    assert (code, path) == ("IST0106", "spec.trafficPolicy.loadBalancer.simple")
    assert 'Unsupported value: "RANDON"' in message
    assert problems(rule(True), "DestinationRule") != []


@pytest.mark.parametrize("timeout", ["0s", "1us", "-1s"])
def test_a_timeout_is_at_least_a_millisecond(timeout: str) -> None:
    assert paths(virtual_service(route(timeout=timeout))) == ["spec.http[0].timeout"]


@pytest.mark.parametrize("number", [-1, 2**32, True, "80", 1.5, float("nan")])
def test_a_port_is_an_unsigned_integer(number: Any) -> None:
    document = virtual_service(route(match=[{"port": number}]))
    assert paths(document) == ["spec.http[0].match[0].port"]


def test_deprecated_fields_are_told_and_taken() -> None:
    made, found = decode(kind_of("VirtualService"), virtual_service(route(corsPolicy={"allowOrigin": ["a"]})))
    assert made is not None
    assert [(one.code.id, one.level, one.path) for one in found] == [
        ("IST0002", Level.WARNING, "spec.http[0].corsPolicy.allowOrigin")
    ]


def test_fields_of_istio_1_0_are_known_in_its_version_only() -> None:
    spec = route(websocketUpgrade=True)
    assert [code for code, _, _ in problems(virtual_service(spec, "v1alpha3"))] == ["IST0002"]
    assert [code for code, _, _ in problems(virtual_service(spec, "v1"))] == ["MEL0001"]


def test_what_istio_1_0_said_is_said_with_todays_fields() -> None:
    old = route(
        appendHeaders={"x": "1"},
        removeResponseHeaders=["y"],
        fault={"abort": {"httpStatus": 500, "percent": 50}},
    )
    new = route(
        headers={"request": {"add": {"x": "1"}}, "response": {"remove": ["y"]}},
        fault={"abort": {"httpStatus": 500, "percentage": {"value": 50}}},
    )
    kind = kind_of("VirtualService")
    made, _ = decode(kind, virtual_service(old, "v1alpha3"))
    assert made is not None
    assert made == decode(kind, virtual_service(new))[0]
    wrong = route(fault={"abort": {"httpStatus": 500, "percent": 101}})
    assert "spec.http[0].fault.abort.percent" in paths(virtual_service(wrong, "v1alpha3"))


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"name": "Bad"}, "metadata.name"),
        ({"name": ""}, "metadata.name"),
        ({"name": "a" * 254}, "metadata.name"),
        ({"namespace": "a.b"}, "metadata.namespace"),
        ({"labels": {"a b": "c"}}, 'metadata.labels["a b"]'),
        ({"labels": {"app": "-x"}}, "metadata.labels.app"),
        ({"labels": {"app": 1}}, "metadata.labels.app"),
        ({"labels": {"/x": "y"}}, 'metadata.labels["/x"]'),
        ({"annotations": {"a/b/c": "d"}}, 'metadata.annotations["a/b/c"]'),
        ({"annotations": {"a": "x" * 300_000}}, "metadata.annotations"),
        ({"lables": {}}, "metadata.lables"),
        ({"generation": "x"}, "metadata.generation"),
        ({"creationTimestamp": "yesterday"}, "metadata.creationTimestamp"),
    ],
)
def test_metadata_is_checked_by_kubernetes_rules(metadata: Document, path: str) -> None:
    assert paths(virtual_service(route(), **metadata)) == [path]


def test_generate_name_stands_for_a_name() -> None:
    assert problems(virtual_service(route(), name=None, generateName="a-")) == []


def test_a_service_is_named_by_stricter_rules() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "1a"}, "spec": {}}
    assert paths(service, "Service") == ["metadata.name"]


def test_kubernetes_kinds_are_checked_against_their_whole_schema() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {
            "containers": [
                {"name": "c", "resources": {"limits": {"cpu": "1x"}}, "imagePullPolice": "Always"}
            ],
            "volumes": [{"name": "v", "hostPath": {}}],
            "priority": 2**40,
        },
    }
    assert sorted(paths(pod, "Pod")) == [
        "spec.containers[0].imagePullPolice",
        "spec.containers[0].resources.limits.cpu",
        "spec.priority",
        "spec.volumes[0].hostPath.path",
    ]


def test_a_pod_keeps_what_the_mesh_reads() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "command": ["python", "-m", "http.server"],
                    "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 2},
                }
            ],
            "nodeName": "laptop",
        },
    }
    made, found = decode(kind_of("Pod"), pod)
    assert found == ()
    assert made is not None
    container = made.spec.containers[0]
    assert container.command == ("python", "-m", "http.server")
    assert container.env[0].value_from.field_ref.field_path == "status.podIP"
    assert container.readiness_probe.http_get.port == "http"
    assert (made.spec.node_name, made.spec.restart_policy) == ("laptop", "Always")


def test_data_of_a_secret_is_bytes() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"tls.crt": "aGk="}}
    made, _ = decode(kind_of("Secret"), secret)
    assert made is not None
    assert made.spec.data["tls.crt"] == b"hi"
    assert paths({**secret, "data": {"tls.crt": "!"}}, "Secret") == ['data["tls.crt"]']


def test_the_wrong_kind_or_version_is_told() -> None:
    document = virtual_service(route())
    assert paths({**document, "kind": "Gateway"}) == ["kind"]
    assert paths({**document, "apiVersion": "networking.istio.io/v9"}) == ["apiVersion"]
    _, found = decode(kind_of("VirtualService"), "text")
    assert len(found) == 1


def test_a_spec_is_needed_where_it_has_required_fields() -> None:
    document = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a"}}
    assert paths(document, "ServiceEntry") == ["spec"]
    gateway = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "a"}}
    assert problems(gateway, "PeerAuthentication") == []


def test_a_rule_names_each_part_that_breaks_it() -> None:
    ports = [{"name": name, "number": 80} for name in "abc"]
    spec = {
        "hosts": ["*", "a.com", "*"],
        "ports": ports,
        "addresses": ["10.0.0.0/8"],
        "resolution": "DNS",
        "workloadSelector": {"labels": {"a": "*", "b": "c", "d": "e*"}},
    }
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    assert sorted(paths(document, "ServiceEntry")) == [
        "spec.addresses[0]",
        "spec.hosts[0]",
        "spec.hosts[2]",
        "spec.ports[1].number",
        "spec.ports[2].number",
        "spec.workloadSelector.labels.a",
        "spec.workloadSelector.labels.d",
    ]


def test_statuses_are_read_leniently() -> None:
    pod = {
        "status": {
            "podIP": "198.18.0.2",
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}, 5],
        }
    }
    status = decode_status(kind_of("Pod"), pod)
    assert isinstance(status, PodStatus)
    assert (status.pod_ip, status.pod_ips, status.ready, status.phase) == (
        "198.18.0.2",
        ("198.18.0.2",),
        True,
        "Running",
    )
    assert decode_status(kind_of("Service"), {"status": {"loadBalancer": []}}) == ServiceStatus()
    assert decode_status(kind_of("Node"), {"status": 5}) is not None
    assert decode_status(kind_of("Gateway"), {"status": {}}) is None


def test_a_part_of_an_object_decodes_by_itself() -> None:
    made, found = decode_value(HTTPRetry, {"attempts": 2, "perTryTimeout": "2s"})
    assert found == ()
    assert made == HTTPRetry(attempts=2, per_try_timeout=Duration(2_000_000_000))


def test_decoding_changes_nothing_in_the_document() -> None:
    document = virtual_service(route(timeout="1s"))
    before = copy.deepcopy(document)
    decode(kind_of("VirtualService"), document)
    assert document == before


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
WORDS = """hosts http match route uri exact timeout port number host destination weight spec metadata name labels tls
mode servers ports selector matchLabels endpoints"""
FIELDS = st.sampled_from(WORDS.split())
LIKELY = st.recursive(
    st.one_of(st.text(max_size=4), st.integers(-1, 70000), st.none(), st.just("1s")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIELDS, inner, max_size=4)),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(KINDS), st.one_of(JSON, LIKELY), st.one_of(JSON, LIKELY))
def test_whatever_is_given_decoding_ends_in_values(kind: Kind[Any], spec: Any, metadata: Any) -> None:
    document = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}
    made, found = decode(kind, document)
    assert (made is None) == any(one.level is Level.ERROR for one in found)
    decode(kind, spec)
    decode_status(kind, {"status": spec})


def test_every_object_of_the_corpus_survives_encoding(corpus: Any) -> None:
    import yaml

    seen = 0
    for file in sorted(corpus.glob("istio-1.30/samples/**/*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            kind = registry.of_document(document)
            if kind is None:
                continue
            made, found = decode(kind, document)
            assert made is not None, (file, found)
            again, found = decode(kind, encode(kind, made))
            assert [one for one in found if one.level is Level.ERROR] == [], file
            assert again is not None
            assert again.spec == made.spec, file
            assert decode_lenient(kind, document) == made
            seen += 1
    assert seen > 100


MAY_BE = (
    "Duplicate value",
    "should have at least ",
    "may have at most ",
    " does not match ",
    "must be between ",
    " characters long",
)


def rules_below(hint: Any, seen: frozenset[Any] = frozenset()) -> Iterator[Rule]:
    """Give the rules of a declared type and of everything within it."""
    hint = unwrapped(hint)
    for inner in typing.get_args(hint):
        yield from rules_below(inner, seen)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in seen:
        yield from getattr(hint, RULES, ())
        for field in fields_of(hint):
            yield from rules_below(field.type, seen | {hint})


def values_of(hint: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Give values of a declared type."""
    hint = unwrapped(hint)
    if is_int_or_string(hint):
        return st.one_of(st.integers(1, 65535), st.just("http"))
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(values_of(args[0], depth + 1), max_size=2 if depth < 6 else 0).map(tuple)
    if origin is Map:
        return st.dictionaries(
            st.text("ab", min_size=1, max_size=2), values_of(args[0], depth + 1), max_size=2
        ).map(Map)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in (Duration, Json):
        fields = [field for field in fields_of(hint) if not field.meta.oneof and not field.meta.versions]
        chosen = {
            field.name: values_of(field.type, depth + 1)
            if field.meta.required
            else st.one_of(st.just(field.default), values_of(field.type, depth + 1))
            for field in fields
            if depth < 6 or field.meta.required
        }
        return st.builds(hint, **chosen).map(lambda made: made.modern() if hasattr(made, "modern") else made)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text("ab", min_size=1, max_size=3),
        int: st.integers(1, 100),
        float: st.floats(1, 100),
        bool: st.booleans(),
        bytes: st.binary(max_size=4),
        Duration: st.integers(10**6, 10**12).map(Duration),
        Json: st.dictionaries(st.text("ab"), st.one_of(st.none(), st.integers(), st.text("ab"))).map(Json.of),
    }
    return simple[hint]


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    deadline=None,
    max_examples=10,
)
@pytest.mark.parametrize(
    "kind",
    [one for one in KINDS if one.group.endswith((".istio.io", "gateway.networking.k8s.io"))],
    ids=lambda one: one.resource,
)
@given(st.data())
def test_whatever_can_be_said_survives_encoding(kind: Kind[Any], data: st.DataObject) -> None:
    spec = data.draw(values_of(kind.model))
    namespace = "shop" if kind.namespaced else ""
    document = encode(kind, Object(kind.name, namespace, "a", spec, Map({"app": "a"}), created=60.0, uid="u"))
    made, found = decode(kind, document)
    if made is None:
        # Values are of the right types: bounds, patterns, keys that repeat, and rules are all that may be wrong.
        said = {rule.message for rule in rules_below(kind.model)}
        for one in found:
            expected = one.message in said or any(text in one.message for text in MAY_BE)
            assert one.level is not Level.ERROR or expected, one
        return
    assert made.spec == spec
    assert encode(kind, made) == document


def test_what_istio_1_0_said_and_nobody_minds_is_stored_in_todays_version_without_harm() -> None:
    """It has no form of today: refused there, what was stored could not be read again."""
    spec = {
        "hosts": ["a.example"],
        "tls": [
            {
                "match": [{"sniHosts": ["a.example"], "sourceSubnet": "10.0.0.0/8"}],
                "route": [{"destination": {"host": "a.example"}}],
            }
        ],
    }
    for version in ("v1alpha3", "v1"):
        assert [code for code, _, _ in problems(virtual_service(spec, version))] == ["IST0002"]
