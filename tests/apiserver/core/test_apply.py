"""Server-side apply: who owns what, conflicts, what goes when it is no longer applied."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meltemi.api import openapi
from meltemi.apiserver.core.apply import (
    LAST_APPLIED,
    MAX_UPDATERS,
    Writer,
    applied,
    managers_of,
    tracked,
    without_managers,
)
from meltemi.apiserver.core.fields import (
    Paths,
    compare,
    decode,
    encode,
    everything,
    leaves,
    merge,
    same,
    shown,
)
from meltemi.apiserver.core.schema import Schemas, canonical
from meltemi.apiserver.core.status import ApiError

SCHEMAS = Schemas(openapi.definitions())
SERVICE = SCHEMAS.definitions["io.k8s.api.core.v1.Service"]
POD = SCHEMAS.definitions["io.k8s.api.core.v1.Pod"]


def service(*ports: Any, labels: Any = None, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "web", "namespace": "default"}
    if labels is not None:
        metadata["labels"] = labels
    found: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    if ports:
        spec["ports"] = list(ports)
    if spec:
        found["spec"] = spec
    return found


def port(number: int, target: Any = None, protocol: str = "TCP") -> dict[str, Any]:
    found: dict[str, Any] = {"port": number, "protocol": protocol}
    return found if target is None else {**found, "targetPort": target}


def by(name: str, time: str = "t1", subresource: str = "") -> Writer:
    return Writer(name, "v1", subresource, time)


def apply(
    live: Any, config: Any, who: str = "me", *, force: bool = False, time: str = "t1"
) -> dict[str, Any]:
    before = copy.deepcopy((live, config))
    found = applied(SCHEMAS, SERVICE, live, config, by(who, time), force=force)
    assert (live, config) == before
    return found


def owners(document: Any) -> dict[str, Paths]:
    return {f"{m.name}/{m.operation}": m.paths for m in managers_of(document)}


def test_an_applier_owns_leaves_items_and_keys() -> None:
    found = apply(None, service(port(80, 1), labels={"a": "1"}))
    item = 'k:{"port":80,"protocol":"TCP"}'
    assert owners(found)["me/Apply"] == {
        ("f:metadata", "f:labels", "f:a"),
        ("f:spec", "f:ports", item),
        ("f:spec", "f:ports", item, "f:port"),
        ("f:spec", "f:ports", item, "f:protocol"),
        ("f:spec", "f:ports", item, "f:targetPort"),
    }
    assert found["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:ports": {item: {".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}}},
    }


def test_the_same_applied_again_is_the_very_same_object() -> None:
    once = apply(None, service(port(80, 1)), time="t1")
    assert apply(once, service(port(80, 1)), time="t2") == once


def test_what_is_no_longer_applied_goes_with_its_items_and_empty_parents() -> None:
    live = apply(None, service(port(80), port(81), labels={"a": "1"}, selector={"x": "y"}))
    found = without_managers(apply(live, service(port(81))))
    assert found == service(port(81))


def test_what_another_owns_too_stays_until_both_have_let_go() -> None:
    live = apply(None, service(labels={"a": "1", "b": "1"}), "one")
    live = apply(live, service(labels={"a": "1"}), "two")
    live = apply(live, service(), "one")
    assert live["metadata"]["labels"] == {"a": "1"}
    live = apply(live, service(), "two")
    assert "labels" not in live["metadata"]


def test_what_nobody_owns_stays_though_its_neighbours_go() -> None:
    live = apply(None, service(port(80)))
    live["spec"]["clusterIP"] = "198.19.0.1"
    assert apply(live, service())["spec"] == {"clusterIP": "198.19.0.1"}


def test_another_value_for_an_owned_field_is_a_conflict_with_causes() -> None:
    live = apply(None, service(port(80, 1), selector={"a": "b"}), "one")
    with pytest.raises(ApiError) as error:
        apply(live, service(port(80, 2), selector={"a": "c"}), "two")
    assert error.value.code == 409
    status = error.value.status()
    assert status["reason"] == "Conflict"
    assert (
        status["message"].startswith('Apply failed with 1 conflict: conflict with "one"')
        or "2 conflicts" in status["message"]
    )
    fields = {cause["field"] for cause in status["details"]["causes"]}
    assert '.spec.ports[port=80,protocol="TCP"].targetPort' in fields
    assert {cause["reason"] for cause in status["details"]["causes"]} == {"FieldManagerConflict"}


def test_force_takes_the_field_over() -> None:
    live = apply(None, service(port(80, 1), labels={"a": "1"}), "one")
    found = apply(live, service(port(80, 2)), "two", force=True)
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:targetPort")
    assert path not in owners(found)["one/Apply"]
    assert path in owners(found)["two/Apply"]
    assert found["metadata"]["labels"] == {"a": "1"}


def test_an_equal_value_is_shared_and_no_conflict() -> None:
    live = apply(None, service(port(80, 1)), "one")
    found = apply(live, service(port(80, 1)), "two")
    assert owners(found)["one/Apply"] == owners(found)["two/Apply"]


def test_atomic_parts_are_owned_whole() -> None:
    live = apply(None, service(selector={"a": "1"}), "one")
    assert ("f:spec", "f:selector") in owners(live)["one/Apply"]
    with pytest.raises(ApiError):
        apply(live, service(selector={"a": "1", "b": "2"}), "two")


def test_a_default_of_the_key_is_the_key() -> None:
    live = apply(None, service({"port": 80, "targetPort": 1}), "one")
    with pytest.raises(ApiError) as error:
        apply(live, service({"port": 80, "protocol": "TCP", "targetPort": 2}), "two")
    assert "targetPort" in str(error.value)


def test_any_other_write_takes_over_what_it_changes() -> None:
    live = apply(None, service(port(80, 1), labels={"a": "1"}), "one")
    changed = copy.deepcopy(live)
    changed["metadata"]["labels"] = {"a": "2", "b": "1"}
    found = tracked(SCHEMAS, SERVICE, live, changed, by("kubectl-edit"))
    assert ("f:metadata", "f:labels", "f:a") not in owners(found)["one/Apply"]
    assert owners(found)["kubectl-edit/Update"] >= {
        ("f:metadata", "f:labels", "f:a"),
        ("f:metadata", "f:labels", "f:b"),
    }
    with pytest.raises(ApiError, match='conflict with "kubectl-edit" using v1'):
        apply(found, service(port(80, 1), labels={"a": "1"}), "one")


def test_a_status_writer_is_a_manager_of_its_own() -> None:
    live = tracked(SCHEMAS, SERVICE, None, service(port(80)), by("me"))
    changed = {**live, "status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}}
    found = tracked(SCHEMAS, SERVICE, live, changed, by("me", subresource="status"))
    assert {(m["manager"], m.get("subresource")) for m in found["metadata"]["managedFields"]} == {
        ("me", None),
        ("me", "status"),
    }


def test_an_unchanged_write_leaves_the_owners_as_they_are() -> None:
    live = tracked(SCHEMAS, SERVICE, None, service(port(80)), by("me", "t1"))
    assert tracked(SCHEMAS, SERVICE, live, live, by("other", "t2")) == live


def test_owners_can_be_reset_and_the_next_apply_then_finds_a_nameless_one() -> None:
    live = apply(None, service(port(80, 1)), "one")
    reset = copy.deepcopy(live)
    reset["metadata"]["managedFields"] = [{}]
    bare = tracked(SCHEMAS, SERVICE, live, reset, by("me"))
    assert "managedFields" not in bare["metadata"]
    with pytest.raises(ApiError, match="before-first-apply"):
        apply(bare, service(port(80, 2)), "two")


def test_many_short_lived_updaters_are_folded() -> None:
    live: dict[str, Any] = service()
    for number in range(MAX_UPDATERS * 2):
        changed = copy.deepcopy(live)
        changed["metadata"].setdefault("labels", {})[f"l{number}"] = "x"
        live = tracked(SCHEMAS, SERVICE, live, changed, by(f"u{number:02}", f"t{number:02}"))
    names = [m.name for m in managers_of(live)]
    assert len(names) <= MAX_UPDATERS
    assert "ancient-changes" in names
    held = frozenset[Any]().union(*owners(live).values())
    assert {("f:metadata", "f:labels", f"f:l{n}") for n in range(MAX_UPDATERS * 2)} <= held


def test_kubectl_s_old_apply_gives_way_to_its_new_one() -> None:
    config = service(port(80, 1))
    old = service(port(80, 1))
    old["metadata"]["annotations"] = {LAST_APPLIED: canonical(config)}
    live = tracked(SCHEMAS, SERVICE, None, old, by("kubectl-client-side-apply"))
    with pytest.raises(ApiError):
        apply(live, service(port(80, 2)), "somebody")
    found = apply(live, service(port(80, 2)), "kubectl")
    assert found["spec"]["ports"][0]["targetPort"] == 2
    assert '"targetPort":2' in found["metadata"]["annotations"][LAST_APPLIED]


def test_sending_managed_fields_is_refused() -> None:
    config = service()
    config["metadata"]["managedFields"] = [{"manager": "x"}]
    with pytest.raises(ApiError, match="managedFields must be nil"):
        apply(None, config)


def test_the_applied_order_of_items_wins() -> None:
    live = apply(None, service(port(1), port(2), port(3)), "one")
    live = apply(live, service(port(9)), "two")
    found = apply(live, service(port(3), port(2), port(1)), "one")
    assert [p["port"] for p in found["spec"]["ports"]] == [3, 2, 1, 9]


# --- laws

ports = st.lists(
    st.builds(port, st.integers(1, 4), st.none() | st.integers(1, 3), st.sampled_from(["TCP", "UDP"])),
    max_size=4,
    unique_by=lambda p: (p["port"], p["protocol"]),
)
labels = st.none() | st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if draw(st.booleans()):
        spec["selector"] = draw(st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), min_size=1))
    if draw(st.booleans()):
        spec["externalIPs"] = draw(st.lists(st.sampled_from(["1.1.1.1", "2.2.2.2"]), min_size=1))
    return service(*draw(ports), labels=draw(labels), **spec)


histories = st.lists(st.tuples(st.sampled_from(["one", "two"]), configs()), max_size=5)


def play(history: Any) -> Any:
    live = None
    for who, config in history:
        live = apply(live, config, who, force=True)
    return live


@settings(max_examples=80)
@given(histories, configs())
def test_apply_is_idempotent(history: Any, config: Any) -> None:
    once = apply(play(history), config, "me", force=True)
    assert apply(once, config, "me", time="later") == once


@settings(max_examples=80)
@given(histories, configs())
def test_what_is_applied_is_there_and_owned(history: Any, config: Any) -> None:
    found = apply(play(history), config, "me", force=True)
    bare = without_managers(found)
    wanted = leaves(SCHEMAS, SERVICE, config)
    assert wanted <= everything(SCHEMAS, SERVICE, bare)
    assert same(merge(SCHEMAS, SERVICE, bare, config), bare)


@settings(max_examples=80)
@given(histories)
def test_when_all_let_go_nothing_is_left(history: Any) -> None:
    live = play(history)
    for who in ("one", "two"):
        live = apply(live, service(), who, force=True)
    assert without_managers(live) == service()


@given(configs(), configs())
def test_a_comparison_says_all_that_differs(old: Any, new: Any) -> None:
    found = compare(SCHEMAS, SERVICE, old, new)
    there, then = everything(SCHEMAS, SERVICE, old), everything(SCHEMAS, SERVICE, new)
    assert found.removed <= there
    assert found.added <= then
    assert found.modified <= there & then
    # Whoever knows both the old object and what changed can say what the new one holds.
    assert (there - found.removed) | found.added == then | (there & then)


@given(configs())
def test_a_set_of_fields_survives_being_written(config: Any) -> None:
    paths = leaves(SCHEMAS, SERVICE, config)
    assert decode(encode(paths)) == paths
    assert all(shown(path) for path in paths)


names = st.text('f:k.v{}"', max_size=6)


@given(st.recursive(st.none() | names, lambda inner: st.dictionaries(names, inner, max_size=3)))
def test_malformed_field_sets_are_read_as_far_as_they_make_sense(tree: Any) -> None:
    for path in decode(tree):
        assert path
