from __future__ import annotations

from typing import Any

import pytest
from tests.mixer.documents import findings


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("handler", {"compiledAdapter": "stdio", "params": {"outputAsJson": True}}),
        ("handler", {"compiledAdapter": "noop"}),
        ("handler", {"adapter": "mine", "connection": {"address": "mine:9070"}, "params": {"a": [1]}}),
        ("handler", {"adapter": "mine", "connection": {"address": "unix:///run/mine"}}),
        ("instance", {"compiledTemplate": "quota", "params": {"dimensions": {"a": "source.name"}}}),
        ("instance", {"compiledTemplate": "checknothing"}),
        ("instance", {"template": "mine", "params": {"a": "source.name"}}),
        ("adapter", {"templates": ["metric"], "config": "aGVsbG8="}),
        ("template", {"descriptor": "aGVsbG8="}),
        ("attributemanifest", {"attributes": {"my.own": {"valueType": "STRING", "description": "x"}}}),
    ],
)
def test_right_objects(kind: str, spec: Any) -> None:
    assert findings(kind, spec) == []


@pytest.mark.parametrize(
    ("kind", "spec", "wanted"),
    [
        ("handler", {}, [("IST0106", "spec")]),
        ("handler", {"compiledAdapter": "stdoi"}, [("IST0106", "spec.compiledAdapter")]),
        ("handler", {"compiledAdapter": "stdio", "adapter": "a"}, [("IST0106", "spec.adapter")]),
        ("handler", {"adapter": "a"}, [("IST0106", "spec.connection.address")]),
        ("handler", {"adapter": "a", "connection": {"address": "a"}}, [("IST0106", "spec.connection.address")]),
        ("handler", {"compiledAdapter": "stdio", "params": {"logStream": "FILE"}},
         [("IST0106", "spec.params.outputPath")]),
        ("handler", {"compiledAdapter": "stdio", "params": {"outputAsJsn": True, "logStream": "X"}},
         [("IST0106", "spec.params.logStream"), ("MEL0001", "spec.params.outputAsJsn")]),
        ("handler", {"compiledAdapter": "stdio", "params": []}, [("IST0106", "spec.params")]),
        ("instance", {}, [("IST0106", "spec")]),
        ("instance", {"compiledTemplate": "quotas"}, [("IST0106", "spec.compiledTemplate")]),
        ("instance", {"compiledTemplate": "quota", "params": {"dimensions": {"a": "(", "b": 1}}},
         [("IST0106", "spec.params.dimensions.b")]),
        ("instance", {"compiledTemplate": "quota", "params": {"dimensions": {"a": "("}}},
         [("MEL0100", "spec.params.dimensions.a")]),
        ("adapter", {}, [("IST0133", "spec.templates")]),
        ("adapter", {"templates": ["a"], "config": "?"}, [("IST0106", "spec.config")]),
        ("template", {}, [("IST0106", "spec.descriptor")]),
        ("template", {"descriptor": "a"}, [("IST0106", "spec.descriptor")]),
        ("attributemanifest", {"attributes": {"a": {}}}, [("IST0106", "spec.attributes.a.valueType")]),
        ("attributemanifest", {"attributes": {"a": {"valueType": "TEXT"}}},
         [("IST0106", "spec.attributes.a.valueType")]),
        ("attributemanifest", {"attributes": {"a-b": {"valueType": "BOOL"}}}, [("IST0133", 'spec.attributes["a-b"]')]),
    ],
)  # fmt: skip
def test_wrong_objects(kind: str, spec: Any, wanted: list[tuple[str, str]]) -> None:
    assert findings(kind, spec) == wanted
