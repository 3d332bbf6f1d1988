"""JSON patch, merge patch, strategic merge: examples of their standards, and laws."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api import openapi
from meltemi.apiserver.core.fields import same
from meltemi.apiserver.core.patches import json_patch, merge_diff, merge_patch
from meltemi.apiserver.core.schema import Schemas
from meltemi.apiserver.core.status import ApiError
from meltemi.apiserver.core.strategic import strategic_merge

SCHEMAS = Schemas(openapi.definitions())
POD = SCHEMAS.definitions["io.k8s.api.core.v1.Pod"]
SERVICE = SCHEMAS.definitions["io.k8s.api.core.v1.Service"]

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
full = st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
names = st.sampled_from(["a", "b", "c", "d/e", "f~g"])


def json_values(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


objects = st.dictionaries(names, json_values(full), max_size=4)


@given(objects, objects)
def test_the_merge_diff_of_two_objects_leads_from_one_to_the_other(old: Any, new: Any) -> None:
    before = copy.deepcopy((old, new))
    assert same(merge_patch(old, merge_diff(old, new)), new)
    assert (old, new) == before


@given(objects, json_values(scalars))
def test_a_merge_patch_twice_is_a_merge_patch_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert same(merge_patch(once, patch), once)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_rfc_7386(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        ({"foo": ["a", "b"]}, [{"op": "add", "path": "/foo/1", "value": "x"}], {"foo": ["a", "x", "b"]}),
        ({"foo": ["a"]}, [{"op": "add", "path": "/foo/-", "value": ["b"]}], {"foo": ["a", ["b"]]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": 2}], {"a": 2}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        ({"foo": [1, 2, 3, 4]}, [{"op": "move", "from": "/foo/1", "path": "/foo/3"}], {"foo": [1, 3, 4, 2]}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        (
            {"a/b": 1, "~": 2},
            [{"op": "remove", "path": "/a~1b"}, {"op": "test", "path": "/~0", "value": 2}],
            {"~": 2},
        ),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_the_examples_of_rfc_6902(target: Any, operations: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert json_patch(target, operations) == result
    assert target == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "/none/deeper", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "no pointer", "value": 1},
        {"op": "test", "path": "/one", "value": True},
        {"op": "test", "path": "/one", "value": "1"},
        {"op": "move", "from": "/map", "path": "/map/inside"},
        {"op": "dance", "path": "/one"},
        {"op": "add", "path": "/one"},
        {"path": "/one"},
        "no object",
    ],
)
def test_what_cannot_be_patched_is_an_error_and_no_exception_of_ours(operation: Any) -> None:
    with pytest.raises(ApiError) as error:
        json_patch({"one": 1, "list": [], "map": {}}, [operation])
    assert error.value.code in {400, 422}


words = st.sampled_from(["add", "move", "copy", "test", "remove", "replace", "/a", "/b/0", ""])
operations = st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), scalars | words, max_size=4)


@given(json_values(scalars), st.lists(operations, max_size=4))
def test_random_operations_are_applied_or_refused(target: Any, wanted: Any) -> None:
    before = copy.deepcopy(target)
    with contextlib.suppress(ApiError):
        json_patch(target, wanted)
    assert target == before


# --- strategic merge


def pod(*containers: Any, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


def strategic(current: Any, patch: Any, node: Any = POD) -> Any:
    before = copy.deepcopy((current, patch))
    found = strategic_merge(SCHEMAS, node, current, patch)
    assert (current, patch) == before
    return found


def test_lists_merge_by_their_key() -> None:
    current = pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"})
    found = strategic(current, pod({"name": "b", "image": "2"}, {"name": "c", "image": "1"}))
    assert found == pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "1"})


def test_items_are_deleted_by_directive() -> None:
    found = strategic(pod({"name": "a"}, {"name": "b"}), pod({"name": "a", "$patch": "delete"}))
    assert found == pod({"name": "b"})


def test_lists_and_maps_are_replaced_by_directive() -> None:
    assert strategic(pod({"name": "a"}), pod({"name": "z"}, {"$patch": "replace"})) == pod({"name": "z"})
    current = {"metadata": {"labels": {"a": "1"}}}
    assert strategic(current, {"metadata": {"labels": {"$patch": "replace", "b": "2"}}}) == {
        "metadata": {"labels": {"b": "2"}}
    }
    assert strategic(current, {"metadata": {"labels": {"$patch": "delete"}}}) == {"metadata": {"labels": {}}}


def test_primitives_merge_and_are_deleted_by_directive() -> None:
    current = {"metadata": {"finalizers": ["a", "b"]}}
    assert strategic(current, {"metadata": {"finalizers": ["b", "c"]}}) == {
        "metadata": {"finalizers": ["a", "b", "c"]}
    }
    assert strategic(current, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}) == {
        "metadata": {"finalizers": ["b"]}
    }


def test_the_order_is_set_by_directive() -> None:
    current = pod({"name": "a"}, {"name": "server"}, {"name": "b"})
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
            "containers": [{"name": "c"}],
        }
    }
    assert [c["name"] for c in strategic(current, patch)["spec"]["containers"]] == ["b", "server", "c", "a"]


def test_retain_keys_drops_the_others() -> None:
    current = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    patch = {
        "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}
    }
    assert strategic(current, patch) == {"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}


def test_null_deletes_and_lists_without_strategy_are_replaced() -> None:
    current = {
        "spec": {"selector": {"a": "1", "b": "2"}, "externalIPs": ["1.1.1.1"], "ports": [{"port": 80}]}
    }
    patch = {
        "spec": {"selector": {"a": None}, "externalIPs": ["2.2.2.2"], "ports": [{"port": 80, "name": "x"}]}
    }
    assert strategic(current, patch, SERVICE) == {
        "spec": {"selector": {"b": "2"}, "externalIPs": ["2.2.2.2"], "ports": [{"port": 80, "name": "x"}]}
    }


@given(objects, objects)
def test_without_a_schema_and_directives_it_is_a_merge_patch(current: Any, patch: Any) -> None:
    assert same(strategic_merge(SCHEMAS, None, current, patch), merge_patch(current, patch))


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "dance"},
        {"spec": {"containers": [{"image": "without its key"}]}},
        {"spec": {"containers": ["text"]}},
        {"spec": {"$retainKeys": "text"}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": "text"}},
    ],
)
def test_malformed_strategic_patches_are_refused(patch: Any) -> None:
    with pytest.raises(ApiError):
        strategic(pod({"name": "a"}), patch)
