from __future__ import annotations

from typing import Any

import pytest
from tests.mixer.documents import checked, document, findings, refused

from meltemi.api.compiled import fields_of
from meltemi.mixer.core.templates import TEMPLATES, Variety, parts

RIGHT: dict[str, Any] = {
    "checknothing": None,
    "reportnothing": None,
    "listentry": {"value": 'source.labels["version"]'},
    "quota": {"dimensions": {"source": 'source.labels["app"] | "unknown"', "code": "response.code | 200"}},
    "apikey": {"api": "api.service", "api_key": 'request.api_key | ""', "timestamp": "request.time"},
    "authorization": {
        "subject": {"user": 'request.auth.principal | ""', "properties": {"ip": "source.ip"}},
        "action": {"path": "request.path", "properties": {"port": "destination.port"}},
    },
    "metric": {"value": 'response.duration | "0ms"', "dimensions": {"a": "connection.mtls | false"}},
    "logentry": {"severity": '"Info"', "timestamp": "request.time", "variables": {"ip": "source.ip"}},
    "tracespan": {
        "traceId": 'request.headers["x-b3-traceid"]',
        "spanName": 'request.path | "/"',
        "startTime": "request.time",
        "endTime": "response.time",
        "httpStatusCode": "response.code",
        "clientSpan": 'context.reporter.kind == "outbound"',
    },
    "edge": {"timestamp": "request.time", "sourceUid": "source.uid", "apiProtocol": "api.protocol"},
    "servicecontrolreport": {"response_latency": "response.duration", "request_bytes": "request.size"},
    "kubernetes": {
        "source_uid": 'source.uid | ""',
        "source_ip": 'source.ip | ip("0.0.0.0")',
        "destination_port": "destination.port | 0",
        "attribute_bindings": {
            "source.ip": '$out.source_pod_ip | ip("0.0.0.0")',
            "source.labels": "$out.source_labels | emptyStringMap()",
            "destination.container.name": '$out.destination_container_name | "unknown"',
        },
    },
}


@pytest.mark.parametrize("kind", RIGHT)
def test_right_instances(kind: str) -> None:
    assert findings(kind, RIGHT[kind]) == []


def test_each_template_has_a_right_instance_here() -> None:
    assert set(RIGHT) == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_field_of_a_template_is_an_expression_in_the_table(name: str) -> None:
    """A field that the table forgets would never be checked; bindings are apart."""
    template = TEMPLATES[name]
    known = {field.path[0] for field in template.fields}
    declared = {field.name for field in fields_of(template.kind.model)} - {"attribute_bindings"}
    assert declared == known
    assert {part.field for part in parts(template, template.kind.model())} <= set(template.fields)
    assert (template.variety is Variety.ATTRIBUTE_GENERATOR) == bool(template.outputs)


@pytest.mark.parametrize(
    ("kind", "spec", "wanted"),
    [
        ("listentry", {"value": "source.ip"}, [("MEL0101", "spec.value")]),
        ("listentry", {"value": "a b"}, [("MEL0100", "spec.value")]),
        ("listentry", {"value": "source.lables"}, [("MEL0102", "spec.value")]),
        ("listentry", {"value": 5}, [("IST0106", "spec.value")]),
        ("listentry", {}, [("IST0133", "spec.value")]),
        (
            "quota",
            {"dimensions": {"a": "source.lables", "b": "(", "c": ""}},
            [("IST0106", "spec.dimensions.c"), ("MEL0100", "spec.dimensions.b"), ("MEL0102", "spec.dimensions.a")],
        ),
        (
            "authorization",
            {"subject": {"user": "1"}, "action": {"properties": {"a-b": "!x"}}},
            [("MEL0100", 'spec.action.properties["a-b"]'), ("MEL0101", "spec.subject.user")],
        ),
        ("logentry", {"timestamp": "response.duration", "severity": "Info"},
         [("MEL0101", "spec.timestamp"), ("MEL0102", "spec.severity")]),
        ("metric", {"value": "$out.source_pod_ip"}, [("MEL0103", "spec.value")]),
        (
            "kubernetes",
            {
                "attribute_bindings": {
                    "source.ip": '$out.source_pod_name | "x"',
                    "source.nme": "$out.source_pod_name",
                    "source.name": "$out.source_pod_nam",
                    "source.uid": "",
                    "source.service": '$out.source_service | "unknown"',
                    "destination.uid": "source.uid",
                }
            },
            [
                ("IST0002", 'spec.attributeBindings["source.service"]'),
                ("IST0106", 'spec.attributeBindings["source.uid"]'),
                ("MEL0101", 'spec.attributeBindings["source.ip"]'),
                ("MEL0102", 'spec.attributeBindings["source.nme"]'),
                ("MEL0103", 'spec.attributeBindings["source.name"]'),
            ],
        ),
        ("kubernetes", {"origin_ip": 'ip("0.0.0.0")', "source_ip": '"0.0.0.0"'},
         [("IST0002", "spec.originIp"), ("MEL0101", "spec.sourceIp")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(kind: str, spec: Any, wanted: list[tuple[str, str]]) -> None:
    assert findings(kind, spec) == wanted


def test_a_fault_says_where_in_the_expression_and_what_helps() -> None:
    _, _, found = checked(document("quota", {"dimensions": {"a": 'source.lables["app"] | "x"'}}))
    assert found[0].message == (
        'there is no attribute "source.lables" (character 1 of "source.lables["app"] | "x"")'
    )
    assert found[0].hint == 'did you mean "source.labels"?'
    _, _, found = checked(document("logentry", {"timestamp": "source.ip | 5"}))
    assert [one.message for one in found] == [
        'IP_ADDRESS is wanted, not INT64 (character 13 of "source.ip | 5")',
        'TIMESTAMP is wanted, not IP_ADDRESS (character 1 of "source.ip | 5")',
    ]


def test_expressions_written_as_numbers_are_refused_with_a_hint() -> None:
    _, obj, found = checked(document("metric", {"value": 1}))
    assert obj is None
    assert found[0].hint == 'put it in quotes: "1"'
    assert refused("metric", {"value": "1"}) == []
