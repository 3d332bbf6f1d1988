"""EndpointSlices: what a Service's Pods become, and how few writes keep them so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meltemi.controllers.core import endpointslices as eps
from meltemi.controllers.core.endpointslices import Plan, plan


def service(**spec: Any) -> dict[str, Any]:
    spec.setdefault("selector", {"app": "cart"})
    spec.setdefault("ports", [{"name": "http", "port": 80, "targetPort": "web"}])
    spec.setdefault("clusterIP", "198.19.3.3")
    return {
        "metadata": {"namespace": "shop", "name": "cart", "uid": "u-cart", "labels": {"team": "a"}},
        "spec": spec,
    }


def pod(
    number: int, *, ready: bool = True, gone: bool = False, port: int = 8080, **spec: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "namespace": "shop",
        "name": f"cart-{number:04}",
        "uid": f"u-{number}",
        "labels": {"app": "cart"},
    }
    if gone:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    spec = {
        "nodeName": "node",
        "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}],
        **spec,
    }
    return {
        "metadata": metadata,
        "spec": spec,
        "status": {
            "phase": "Running",
            "podIP": f"198.18.{number // 250}.{number % 250 + 2}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def write(slices: Iterable[dict[str, Any]], done: Plan) -> list[dict[str, Any]]:
    """Apply a plan as the API server would."""
    table = {row["metadata"]["name"]: row for row in slices}
    for row in done.delete:
        del table[row["metadata"]["name"]]
    for row in done.update:
        assert row["metadata"]["name"] in table
        table[row["metadata"]["name"]] = row
    for row in done.create:
        assert row["metadata"]["name"] not in table
        table[row["metadata"]["name"]] = row
    return list(table.values())


def scratch(svc: dict[str, Any], pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return write([], plan(svc, pods, {}, []))


def flat(slices: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(
        repr((row["ports"], row["addressType"], member)) for row in slices for member in row["endpoints"]
    )


def test_a_pod_becomes_an_endpoint() -> None:
    (made,) = plan(service(), [pod(1)], {"node": "zone-a"}, []).create
    assert made["metadata"]["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "cart",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u-cart"
    assert made["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert made["endpoints"] == [
        {
            "addresses": ["198.18.0.3"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "cart-0001", "uid": "u-1"},
            "nodeName": "node",
            "zone": "zone-a",
        }
    ]


@pytest.mark.parametrize(
    ("ready", "gone", "publish", "expected"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, False, True, (True, False, False)),
        (True, True, True, (True, True, True)),
    ],
)
def test_conditions(ready: bool, gone: bool, publish: bool, expected: tuple[bool, bool, bool]) -> None:
    found = eps.endpoint(service(publishNotReadyAddresses=publish), pod(1, ready=ready, gone=gone), {})[
        "conditions"
    ]
    assert (found["ready"], found["serving"], found["terminating"]) == expected


def test_pods_of_others_without_address_or_ended_are_left_out() -> None:
    stranger = pod(1)
    stranger["metadata"]["labels"] = {"app": "other"}
    elsewhere = pod(2)
    elsewhere["metadata"]["namespace"] = "other"
    unborn = pod(3)
    del unborn["status"]["podIP"]
    ended = pod(4)
    ended["status"]["phase"] = "Succeeded"
    (made,) = plan(service(), [stranger, elsewhere, unborn, ended], {}, []).create
    assert made["endpoints"] == []
    assert made["ports"] == []


def test_a_named_port_may_differ_between_pods() -> None:
    made = plan(service(), [pod(1), pod(2, port=9090)], {}, []).create
    assert sorted(row["ports"][0]["port"] for row in made) == [8080, 9090]


@pytest.mark.parametrize("target", ["no", "99999999999", 99999999999, -1])
def test_a_pod_without_the_port_is_listed_without_it(target: int | str) -> None:
    both = service(
        ports=[
            {"name": "http", "port": 80, "targetPort": "web"},
            {"name": "x", "port": 9, "targetPort": target},
        ]
    )
    (made,) = plan(both, [pod(1)], {}, []).create
    assert [port["name"] for port in made["ports"]] == ["http"]


def test_a_sidecar_init_container_may_own_the_port() -> None:
    row = pod(1, containers=[], initContainers=[
        {"name": "i", "ports": [{"name": "web", "containerPort": 1}]},
        {"name": "s", "restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 2}]},
    ])  # fmt: skip
    (made,) = plan(service(), [row], {}, []).create
    assert made["ports"][0]["port"] == 2


def test_headless_is_labelled_and_hostnames_are_kept() -> None:
    (made,) = plan(service(clusterIP="None"), [pod(1, hostname="one", subdomain="cart")], {}, []).create
    assert made["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert made["endpoints"][0]["hostname"] == "one"


def test_a_service_without_selector_keeps_what_its_users_made() -> None:
    slices = scratch(service(), [pod(1)])
    assert not plan(service(selector={}), [pod(1)], {}, slices)
    assert not plan(service(type="ExternalName"), [pod(1)], {}, slices)


def test_slices_of_a_service_that_is_gone_go() -> None:
    slices = scratch(service(), [pod(1)])
    assert plan(None, [pod(1)], {}, slices) == Plan(delete=tuple(slices))


def test_an_address_that_changed_hands_belongs_to_the_living() -> None:
    old, new = pod(1, gone=True), pod(2)
    new["status"]["podIP"] = old["status"]["podIP"]
    (made,) = plan(service(), [old, new], {}, []).create
    assert [row["targetRef"]["name"] for row in made["endpoints"]] == ["cart-0002"]


def test_nothing_is_written_when_nothing_changed() -> None:
    pods = [pod(number) for number in range(250)]
    slices = scratch(service(), pods)
    assert [len(row["endpoints"]) for row in slices] == [100, 100, 50]
    assert not plan(service(), reversed(pods), {}, slices)
    assert not plan(service(), [], {}, scratch(service(), []))


def test_one_change_writes_one_slice() -> None:
    pods = [pod(number) for number in range(250)]
    slices = scratch(service(), pods)
    pods[7] = pod(7, ready=False)
    assert [
        len(getattr(plan(service(), pods, {}, slices), act)) for act in ("create", "update", "delete")
    ] == [0, 1, 0]
    del pods[7]
    assert [
        len(getattr(plan(service(), pods, {}, slices), act)) for act in ("create", "update", "delete")
    ] == [0, 1, 0]


def test_an_update_carries_the_revision_that_it_was_made_from() -> None:
    (slices,) = scratch(service(), [pod(1)])
    slices["metadata"]["resourceVersion"] = "7"
    (made,) = plan(service(), [pod(1, ready=False)], {}, [slices]).update
    assert made["metadata"]["resourceVersion"] == "7"


def test_labels_of_the_service_are_carried_on() -> None:
    slices = scratch(service(), [pod(1)])
    changed = service()
    changed["metadata"]["labels"] = {"team": "b"}
    (made,) = plan(changed, [pod(1)], {}, slices).update
    assert made["metadata"]["labels"]["team"] == "b"


STATES = st.dictionaries(
    st.integers(0, 260),
    st.tuples(st.booleans(), st.booleans(), st.sampled_from([8080, 9090])),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STATES, max_size=6), st.booleans())
def test_any_history_leads_to_what_scratch_gives(
    history: list[dict[int, tuple[bool, bool, int]]], crowd: bool
) -> None:
    svc = service()
    slices: list[dict[str, Any]] = []
    many = dict.fromkeys(range(400, 400 + (230 if crowd else 0)), (True, False, 8080))
    for states in history:
        pods = [
            pod(n, ready=ready, gone=gone, port=port) for n, (ready, gone, port) in {**many, **states}.items()
        ]
        slices = write(slices, plan(svc, pods, {}, slices))
        fresh = scratch(svc, pods)
        assert flat(slices) == flat(fresh)
        assert all(len(row["endpoints"]) <= eps.SLICE_LIMIT for row in slices)
        assert not plan(svc, pods, {}, slices)
        if not crowd:
            assert sorted(slices, key=repr) == sorted(fresh, key=repr)
