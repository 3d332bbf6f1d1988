from __future__ import annotations

from typing import Any

import pytest
from tests.mixer.documents import checked, document, findings

from meltemi.mixer.core.adapters import ADAPTERS
from meltemi.mixer.core.rules import unsupported
from meltemi.mixer.core.templates import TEMPLATES, Variety


def acting(handler: str, *instances: str) -> dict[str, Any]:
    return {"actions": [{"handler": handler, "instances": list(instances)}]}


@pytest.mark.parametrize(
    "spec",
    [
        acting("h.denier", "i.checknothing"),
        acting("h.denier.istio-system", "i.checknothing.istio-system"),
        acting("a.b.denier.istio-system", "c.d.checknothing"),
        acting("h", "i"),
        acting("h.handler.istio-system", "i.instance"),
        acting("h.stdio", "a.logentry", "b.metric"),
        {"match": "", **acting("h.denier", "i.checknothing")},
        {"match": 'context.protocol == "http"', **acting("h.denier", "i.checknothing")},
        {"match": "true", **acting("h.denier", "i.checknothing")},
    ],
)
def test_right_rules(spec: dict[str, Any]) -> None:
    assert findings("rule", spec) == []


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, [("IST0133", "spec.actions")]),
        ({"match": "source.name", **acting("h.denier", "i.quota")}, [("MEL0101", "spec.match")]),
        ({"match": "a ==", **acting("h.denier", "i.quota")}, [("MEL0100", "spec.match")]),
        ({"match": "a == 1", **acting("h.denier", "i.quota")}, [("MEL0102", "spec.match")]),
        (acting("h.denier"), [("IST0106", "spec.actions[0].instances")]),
        (acting("", "i.quota"), [("IST0106", "spec.actions[0].handler")]),
        (acting("h.denier", ""), [("IST0106", "spec.actions[0].instances[0]")]),
        (acting("h.denyer", "i.quota"), [("IST0106", "spec.actions[0].handler")]),
        (acting("h.denier", "i.quotas.shop"), [("IST0106", "spec.actions[0].instances[0]")]),
        (acting("h.denier", "i.quota", "i.metric"), [("MEL0104", "spec.actions[0].instances[1]")]),
        (acting("i.quota", "h.denier"),
         [("IST0106", "spec.actions[0].handler"), ("IST0106", "spec.actions[0].instances[0]")]),
        ({"actions": [{"handlers": "a"}]},
         [("MEL0001", "spec.actions[0].handlers")]),
    ],
)  # fmt: skip
def test_wrong_rules(spec: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    assert findings("rule", spec) == wanted


def test_hints_name_what_is_near() -> None:
    _, _, found = checked(document("rule", acting("h.denyer", "i.metric.shop")))
    assert found[0].hint == 'did you mean "denier"?'
    _, _, found = checked(document("rule", acting("h.memquota", "i.metric.shop")))
    assert found[0].message == "memquota takes quota, and not metric"


def test_every_adapter_takes_templates_that_are_there() -> None:
    for adapter in ADAPTERS.values():
        assert adapter.templates
        assert not any(unsupported(adapter.name, name) for name in adapter.templates)
    taken = {name for adapter in ADAPTERS.values() for name in adapter.templates}
    assert taken == set(TEMPLATES)
    generators = [one.name for one in TEMPLATES.values() if one.variety is Variety.ATTRIBUTE_GENERATOR]
    assert [one.name for one in ADAPTERS.values() if set(one.templates) & set(generators)] == [
        "kubernetesenv"
    ]
