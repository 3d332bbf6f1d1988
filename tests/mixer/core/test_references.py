from __future__ import annotations

from typing import Any

import pytest
from tests.mixer.documents import document, together

from meltemi.api.decode import decode_lenient
from meltemi.api.registry import of_document
from meltemi.mixer.core.references import check_references

DENIER = document("denier", {}, name="h")
NOTHING = document("checknothing", None, name="i")


def rule(handler: str, *instances: str, namespace: str = "shop", match: str = "") -> dict[str, Any]:
    spec = {"match": match, "actions": [{"handler": handler, "instances": list(instances)}]}
    return document("rule", spec, name="r", namespace=namespace)


def found(*documents: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.code.id, one.path) for one in together(*documents)]


HANDLER_PATH, INSTANCE_PATH = "spec.actions[0].handler", "spec.actions[0].instances[0]"


@pytest.mark.parametrize(
    "made",
    [
        rule("h.denier", "i.checknothing"),
        rule("h.denier.shop", "i.checknothing.shop"),
        rule("h.denier.shop", "i.checknothing.shop", namespace="other"),
    ],
)
def test_what_is_there_is_found(made: dict[str, Any]) -> None:
    assert found(made, DENIER, NOTHING) == []


def test_what_is_not_there_is_told_with_where_it_is() -> None:
    made = rule("h.denier", "j.checknothing", namespace="other")
    assert found(made, DENIER, NOTHING) == [("IST0101", HANDLER_PATH), ("IST0101", INSTANCE_PATH)]
    (handler, instance) = together(made, DENIER, NOTHING)
    assert handler.hint == "h.denier.shop is there: write its namespace too"
    assert instance.message == "there is no instance j.checknothing"
    assert handler.ref is not None
    assert str(handler.ref) == "rule other/r"


@pytest.mark.parametrize(
    ("handler", "hint"),
    [
        ("h.denier", "h.denier.shop is there: write its namespace too"),
        ("h.denier.mall", 'did you mean "h.denier.shop"?'),
        # One of another kind is no help, whatever it is called.
        ("h.noop", ""),
        ("h", ""),
    ],
)
def test_hints_name_what_may_have_been_meant(handler: str, hint: str) -> None:
    (told,) = together(rule(handler, "i.checknothing.shop", namespace="other"), DENIER, NOTHING)
    assert (told.path, told.hint) == (HANDLER_PATH, hint)


def test_generic_handlers_and_instances_are_found_and_known_by_what_they_name() -> None:
    handler = document("handler", {"compiledAdapter": "memquota", "params": {"quotas": []}}, name="h")
    instance = document("instance", {"compiledTemplate": "quota"}, name="i")
    metric = document("instance", {"compiledTemplate": "metric", "params": {"value": "1"}}, name="m")
    assert found(rule("h", "i"), handler, instance) == [("MEL0105", INSTANCE_PATH)]
    assert found(rule("h", "m.instance"), handler, metric) == [("MEL0104", INSTANCE_PATH)]
    assert found(rule("h.handler", "i"), DENIER, instance) == [("IST0101", HANDLER_PATH)]


def test_what_is_not_known_of_a_handler_or_an_instance_is_not_judged() -> None:
    unreadable = document("handler", {"compiledAdapter": "memquota", "params": {"quotas": 5}}, name="h")
    quota = document("quota", {"dimensions": {}}, name="i")
    kinds = [(of_document(one), one) for one in (rule("h", "i.quota"), unreadable, quota)]
    assert check_references([(kind, decode_lenient(kind, one)) for kind, one in kinds if kind]) == ()
    foreign = document("instance", {"template": "other"}, name="i")
    assert found(rule("h.denier", "i"), DENIER, foreign) == [("IST0101", "spec.template")]


def test_quotas_that_a_handler_must_list() -> None:
    quota = document("quota", {"dimensions": {}}, name="i")
    right = document("memquota", {"quotas": [{"name": "i.quota.shop", "maxAmount": 1}]}, name="h")
    wrong = document("memquota", {"quotas": [{"name": "i.quota.other", "maxAmount": 1}]}, name="h")
    assert found(rule("h.memquota", "i.quota"), quota, right) == []
    assert found(rule("h.memquota", "i.quota"), quota, wrong) == [("MEL0105", INSTANCE_PATH)]
    assert found(rule("h.denier", "i.quota"), quota, DENIER) == []


def test_metrics_that_a_handler_lists() -> None:
    metric = document(
        "metric", {"value": "1", "dimensions": {"a": "source.name", "b": "source.uid"}}, name="i"
    )

    def prometheus(name: str, *labels: str) -> dict[str, Any]:
        info = {"instanceName": name, "kind": "COUNTER", "label_names": list(labels)}
        return document("prometheus", {"metrics": [info]}, name="h")

    acting = rule("h.prometheus", "i.metric")
    assert found(acting, metric, prometheus("i.metric.shop", "b", "a")) == []
    assert found(acting, metric, prometheus("j.metric.shop", "b", "a")) == [("MEL0106", INSTANCE_PATH)]
    (differing,) = together(acting, metric, prometheus("i.metric.shop", "a", "c"))
    assert differing.message == (
        "labels and dimensions differ: only the handler lists c and only the instance has b"
    )
    statsd = document("statsd", {}, name="h")
    assert found(rule("h.statsd", "i.metric"), metric, statsd) == [("MEL0106", INSTANCE_PATH)]
    listed = document("statsd", {"metrics": {"i.metric.shop": {"type": "GAUGE"}}}, name="h")
    assert found(rule("h.statsd", "i.metric"), metric, listed) == []


def test_attributes_of_the_meshs_manifests() -> None:
    manifest = document("attributemanifest", {"attributes": {"my.own": {"valueType": "INT64"}}}, name="m")
    made = rule("h.denier", "i.checknothing", match="my.own == 5")
    assert found(made, DENIER, NOTHING) == [("MEL0103", "spec.match")]
    assert found(made, DENIER, NOTHING, manifest) == []
    typed = rule("h.denier", "i.checknothing", match='my.own == "x"')
    assert found(typed, DENIER, NOTHING, manifest) == [("MEL0101", "spec.match")]
    instance = document("quota", {"dimensions": {"a": "my.own | source.port"}}, name="q")
    assert found(instance, manifest) == [("MEL0103", "spec.dimensions.a")]


def test_two_manifests_that_do_not_agree() -> None:
    manifests = [
        document("attributemanifest", {"attributes": {"my.own": {"valueType": kind}}}, name=kind.lower())
        for kind in ("INT64", "INT64", "BOOL")
    ]
    (one,) = together(*manifests)
    assert (one.code.id, one.path) == ("MEL0108", 'spec.attributes["my.own"].valueType')
    istios = document("attributemanifest", {"attributes": {"source.ip": {"valueType": "STRING"}}}, name="m")
    assert found(istios) == [("MEL0108", 'spec.attributes["source.ip"].valueType')]


def test_what_bindings_bind() -> None:
    spec = document("QuotaSpec", {"rules": [{"quotas": [{"quota": "rc", "charge": "1"}]}]}, name="s")
    quota = document("quota", {}, name="rc")
    services = [{"name": "a"}]

    def binding(**reference: str) -> dict[str, Any]:
        return document("QuotaSpecBinding", {"services": services, "quotaSpecs": [reference]}, name="b")

    assert found(spec, quota, binding(name="s")) == []
    assert found(spec, quota, binding(name="s", namespace="shop")) == []
    assert found(spec, quota, binding(name="s", namespace="other")) == [
        ("IST0101", "spec.quotaSpecs[0].name")
    ]
    assert found(spec) == [("MEL0109", "spec.rules[0].quotas[0].quota")]
    patterns = [{"httpMethod": "GET", "uriTemplate": "/"}]
    api = document("HTTPAPISpec", {"patterns": patterns}, name="s")
    bound = document("HTTPAPISpecBinding", {"services": services, "apiSpecs": [{"name": "s"}]}, name="b")
    assert found(api, bound) == []
    assert found(bound) == [("IST0101", "spec.apiSpecs[0].name")]


def test_adapters_and_templates_outside_of_mixer() -> None:
    handler = document("handler", {"adapter": "mine", "connection": {"address": "a:1"}}, name="h")
    instance = document("instance", {"template": "mine.template.shop"}, name="i")
    assert found(handler, instance) == [("IST0101", "spec.adapter"), ("IST0101", "spec.template")]
    adapter = document("adapter", {"templates": ["x"]}, name="mine")
    template = document("template", {"descriptor": "aGk="}, name="mine")
    assert found(handler, instance, adapter, template, rule("h", "i")) == []


def test_what_is_said_of_an_object_alone_is_not_said_again() -> None:
    wrong = document("quota", {"dimensions": {"a": "nobody.knows"}}, name="q")
    assert found(wrong) == [("MEL0103", "spec.dimensions.a")]
    assert together() == ()
