from __future__ import annotations

from typing import Any

import pytest

from meltemi.apiserver.core.filled import filled, fixed_problems
from meltemi.apiserver.core.schema import Schemas

SCHEMAS = Schemas({"n": {"type": "object", "properties": {"kind": {"type": "string", "default": "Service"}}}})
FIXED = [{"rule": "self == oldSelf", "message": "Value is immutable"}]
NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "refs": {"type": "array", "items": {"$ref": "#/components/schemas/n"}},
        "by": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/n"}},
        "routes": {
            "type": "object",
            "default": {"from": {}},
            "properties": {
                "from": {"type": "object", "properties": {"kind": {"type": "string", "default": "Same"}}}
            },
        },
        "name": {"type": "string", "x-kubernetes-validations": FIXED},
        "inner": {
            "type": "object",
            "properties": {"class": {"type": "string", "x-kubernetes-validations": FIXED}},
        },
    },
}
DEFAULT = {"routes": {"from": {"kind": "Same"}}}


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ({}, DEFAULT),
        ({"refs": [{}, {"kind": "X"}]}, {"refs": [{"kind": "Service"}, {"kind": "X"}], **DEFAULT}),
        ({"by": {"a": {}}}, {"by": {"a": {"kind": "Service"}}, **DEFAULT}),
        ({"routes": {}}, {"routes": {}}),
        ({"other": {"kept": 1}}, {"other": {"kept": 1}, **DEFAULT}),
        ("text", "text"),
    ],
)
def test_what_is_not_there_is_filled_in_and_the_rest_stays(value: Any, whole: Any) -> None:
    assert filled(SCHEMAS, NODE, value) == whole
    assert filled(SCHEMAS, NODE, filled(SCHEMAS, NODE, value)) == whole
    assert filled(SCHEMAS, None, value) == value


def test_a_default_is_each_objects_own() -> None:
    first = filled(SCHEMAS, NODE, {})
    first["routes"]["from"]["kind"] = "All"
    assert filled(SCHEMAS, NODE, {}) == DEFAULT


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"name": "a"}, {"name": "a"}, []),
        ({"name": "a"}, {"name": "b"}, ["name"]),
        ({}, {"name": "b"}, []),
        ({"name": "a"}, {}, []),
        ({"inner": {"class": "a"}}, {"inner": {"class": "b"}}, ["inner.class"]),
    ],
)
def test_what_is_fixed_may_come_and_go_and_not_change(old: Any, new: Any, paths: list[str]) -> None:
    found = list(fixed_problems(SCHEMAS, NODE, new, old))
    assert [one.field for one in found] == paths
    assert all("immutable" in one.message for one in found)
