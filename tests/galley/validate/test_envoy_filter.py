from __future__ import annotations

from typing import Any

import pytest
from tests.galley.rule_documents import errors, findings, told

V1ALPHA3 = "networking.istio.io/v1alpha3"
MANAGER = "envoy.filters.network.http_connection_manager"
AT = "spec.configPatches[0]"
NEVER_STABLE = ("IST0133", "spec")


def patch(
    apply_to: str = "CLUSTER", operation: str = "ADD", match: Any = None, **more: Any
) -> dict[str, Any]:
    change = {"operation": operation, **({} if operation == "REMOVE" else {"value": {"name": "a"}}), **more}
    return {"applyTo": apply_to, "patch": change, **({"match": match} if match is not None else {})}


def one(*args: Any, **more: Any) -> dict[str, Any]:
    return {"configPatches": [patch(*args, **more)]}


def chain(**named: Any) -> dict[str, Any]:
    return {"listener": {"filterChain": {"filter": named}}}


def old(**more: Any) -> dict[str, Any]:
    return {
        "filters": [
            {"filterType": "HTTP", "filterName": "envoy.filters.http.lua", "filterConfig": {}, **more}
        ]
    }


FILTER = f"{AT}.match.listener.filterChain.filter"
ROUTER = {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}
INSERT = ("HTTP_FILTER", "INSERT_FIRST")
LUA = {
    "name": "a",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"},
}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"configPatches": [{"patch": {"operation": "REMOVE"}}]}, f"{AT}.applyTo"),
        (one("INVALID"), f"{AT}.applyTo"),
        (one("CLUSTERS"), f"{AT}.applyTo"),
        ({"configPatches": [{"applyTo": "CLUSTER"}]}, f"{AT}.patch"),
        ({"configPatches": [{"applyTo": "CLUSTER", "patch": {"value": {}}}]}, f"{AT}.patch.operation"),
        (one(operation="INVALID"), f"{AT}.patch.operation"),
        ({"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "ADD"}}]}, f"{AT}.patch.value"),
        (one(value=["a"]), f"{AT}.patch.value"),
        (one(match={"proxy": {"proxyVersion": "1.("}}), f"{AT}.match.proxy.proxyVersion"),
        (one("LISTENER", match={"cluster": {}}), f"{AT}.match.cluster"),
        (one("LISTENER_FILTER", match={"routeConfiguration": {}}), f"{AT}.match.routeConfiguration"),
        (one("VIRTUAL_HOST", "MERGE", match={"listener": {}}), f"{AT}.match.listener"),
        (one("CLUSTER", match={"listener": {}}), f"{AT}.match.listener"),
        (one("CLUSTER", match={"listener": {}, "cluster": {}}), f"{AT}.match.cluster"),
        (one("CLUSTER", match={"context": "WAYPOINT", "cluster": {}}), f"{AT}.match"),
        (one("CLUSTER", match={"context": "GATEWAY", "waypoint": {}}), f"{AT}.match"),
        (one("CLUSTER", match={"waypoint": {}}), f"{AT}.match"),
        (
            one("CLUSTER", match={"context": "WAYPOINT", "waypoint": {"portNumber": 0}}),
            f"{AT}.match.waypoint.portNumber",
        ),
        (one(*INSERT, match=chain(), value=LUA), f"{FILTER}.name"),
        (one("NETWORK_FILTER", match=chain(**ROUTER)), f"{FILTER}.subFilter"),
        (one(*INSERT, match=chain(**ROUTER | {"name": "a"}), value=LUA), f"{FILTER}.name"),
        (one(*INSERT, match=chain(**ROUTER | {"subFilter": {}}), value=LUA), f"{FILTER}.subFilter.name"),
        (
            one("CLUSTER", "REMOVE", match={"context": "WAYPOINT", "waypoint": {"filter": ROUTER}}),
            f"{AT}.match.waypoint.filter.subFilter",
        ),
        (one() | {"workloadSelector": {"labels": {"a": "*"}}}, "spec.workloadSelector.labels.a"),
        (
            one() | {"workloadSelector": {}, "targetRefs": [{"kind": "Service", "name": "a"}]},
            "spec.targetRefs",
        ),
        (one() | {"targetRefs": [{"kind": "Pod", "name": "a"}]}, "spec.targetRefs[0].kind"),
        (one() | {"targetRefs": [{"kind": "Service"}]}, "spec.targetRefs[0].name"),
        (
            one() | {"targetRefs": [{"kind": "Service", "name": "a", "namespace": "b"}]},
            "spec.targetRefs[0].namespace",
        ),
        (one() | {"priority": 2**31}, "spec.priority"),
        (old(filterType="INVALID"), "spec.filters[0].filterType"),
        (old(filterName=""), "spec.filters[0].filterName"),
        ({"filters": [{"filterType": "HTTP", "filterName": "a"}]}, "spec.filters[0].filterConfig"),
        (old(insertPosition={"index": "BEFORE"}), "spec.filters[0].insertPosition.relativeTo"),
        (old(insertPosition={"index": "MIDDLE"}), "spec.filters[0].insertPosition.index"),
        (old(listenerMatch={"address": ["a"]}), "spec.filters[0].listenerMatch.address[0]"),
        (old() | {"workloadLabels": {"a": "b c"}}, "spec.workloadLabels.a"),
    ],
)
def test_what_istio_refuses_is_refused_where_it_stands(spec: dict[str, Any], path: str) -> None:
    assert errors("EnvoyFilter", spec, version=V1ALPHA3) == [path]


@pytest.mark.parametrize(
    "spec",
    [
        one(),
        one() | {"workloadSelector": {"labels": {"app": "a"}}, "priority": -10},
        one() | {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a"}]},
        one(*INSERT, match={"context": "GATEWAY", **chain(**ROUTER)}, value=LUA),
        one("HTTP_ROUTE", "MERGE", match={"routeConfiguration": {"vhost": {"route": {"action": "ANY"}}}}),
        one("CLUSTER", match={"proxy": {"proxyVersion": r"^1\.1.*"}, "cluster": {"service": "a"}}),
        one("HTTP_FILTER", "ADD", match={"context": "WAYPOINT", "waypoint": {"filter": ROUTER}}, value=LUA),
        one("HTTP_FILTER", "ADD", value=LUA, filterClass="AUTHN"),
        one("EXTENSION_CONFIG", "ADD", value=LUA),
        one("BOOTSTRAP", "MERGE", value={"stats_flush_interval": "5s"}),
    ],
)  # fmt: skip
def test_what_istio_takes_is_taken(spec: dict[str, Any]) -> None:
    assert errors("EnvoyFilter", spec, version=V1ALPHA3) == []
    assert told("EnvoyFilter", spec, version=V1ALPHA3) == [NEVER_STABLE]


def test_the_form_of_istio_1_0_is_taken_and_told_to_be_old() -> None:
    spec = old(
        insertPosition={"index": "AFTER", "relativeTo": "a"},
        listenerMatch={"portNumber": 80, "listenerType": "GATEWAY", "address": ["10.0.0.0/8"]},
    ) | {"workloadLabels": {"app": "a"}}  # fmt: skip
    assert told("EnvoyFilter", spec, version=V1ALPHA3) == [
        ("IST0002", "spec.filters"),
        ("IST0002", "spec.workloadLabels"),
        NEVER_STABLE,
    ]


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ({}, ("IST0133", "spec.configPatches")),
        (one() | {"workloadSelector": {}}, ("IST0133", "spec.workloadSelector")),
        (one("LISTENER", match=chain(name=MANAGER)), ("IST0133", FILTER)),
        (one(*INSERT, match=chain(name="envoy.http_connection_manager"), value=LUA), ("IST0133", f"{FILTER}.name")),
        (one("LISTENER_FILTER", "REMOVE", match={"listener": {"listenerFilter": "envoy.listener.tls_inspector"}})
         | {"priority": 1}, ("IST0133", f"{AT}.match.listener.listenerFilter")),
        (one("BOOTSTRAP", "MERGE", match={"cluster": {}}, value={}), ("IST0133", f"{AT}.match.cluster")),
        (one("HTTP_FILTER", "INSERT_BEFORE", value=LUA), ("IST0151", f"{AT}.patch.operation")),
        (one("CLUSTER", "REMOVE"), ("IST0151", f"{AT}.patch.operation")),
        (one("CLUSTER", "REPLACE"), ("IST0152", f"{AT}.patch.operation")),
        (one("HTTP_ROUTE", "ADD"), ("IST0153", f"{AT}.patch.operation")),
        (one("ROUTE_CONFIGURATION", "REMOVE"), ("IST0154", f"{AT}.patch.operation")),
        (one("HTTP_FILTER", "REPLACE", match={"proxy": {"proxyVersion": "1"}}, value=LUA),
         ("IST0155", f"{AT}.patch.operation")),
    ],
)  # fmt: skip
def test_what_is_likely_wrong_is_told(spec: dict[str, Any], finding: tuple[str, str]) -> None:
    assert told("EnvoyFilter", spec, version=V1ALPHA3) == sorted([NEVER_STABLE, finding])


def test_a_priority_orders_relative_operations() -> None:
    spec = one("HTTP_FILTER", "INSERT_BEFORE", value=LUA) | {"priority": 10}
    assert told("EnvoyFilter", spec, version=V1ALPHA3) == [NEVER_STABLE]


def test_a_patch_for_some_versions_is_remembered_by_name() -> None:
    first = patch("HTTP_FILTER", "ADD", match={"proxy": {"proxyVersion": "1"}}, value=LUA)
    same, other = (patch("HTTP_FILTER", "INSERT_AFTER", value=LUA | {"name": name}) for name in "ab")
    assert told("EnvoyFilter", {"configPatches": [first, same, other]}, version=V1ALPHA3) == [
        NEVER_STABLE,
        ("IST0151", "spec.configPatches[2].patch.operation"),
        ("IST0155", "spec.configPatches[1].patch.operation"),
    ]


def test_what_is_missing_is_listed_in_the_hint() -> None:
    found = findings("EnvoyFilter", {"configPatches": [{}]}, version=V1ALPHA3)
    hints = {one.path: one.hint for one in found}
    assert "HTTP_FILTER" in hints[f"{AT}.applyTo"]
    assert "INVALID" not in hints[f"{AT}.applyTo"]


def test_every_error_is_told_at_once() -> None:
    spec = {
        "configPatches": [{}, one()["configPatches"][0] | {"match": {"listener": {}}}, {"applyTo": "CLUSTER"}]
    }
    assert errors("EnvoyFilter", spec, version=V1ALPHA3) == [
        "spec.configPatches[0].applyTo",
        "spec.configPatches[0].patch",
        "spec.configPatches[1].match.listener",
        "spec.configPatches[2].patch",
    ]
