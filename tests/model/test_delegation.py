"""Routes that are left to other VirtualServices: what is merged, what conflicts, what is told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.pilot.core.meshes import Mesh

from meltemi.api.networking.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch
from meltemi.api.values import Map
from meltemi.model.narrowing import narrowed

ROUTE = "outbound|80||{}.{}.svc.cluster.local"


def request(**given: Any) -> HTTPMatchRequest:
    """A condition, its texts as `form:text`, or "" for mere presence."""

    def text(value: str) -> StringMatch:
        form, colon, rest = value.partition(":")
        return StringMatch(**{form: rest}) if colon else StringMatch()

    made: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("uri", "method", "authority", "scheme"):
            made[name] = text(value)
        elif name in ("headers", "without_headers", "query_params"):
            made[name] = Map({key: text(one) for key, one in value.items()})
        elif name == "source_labels":
            made[name] = Map(value)
        else:
            made[name] = value
    return HTTPMatchRequest(**made)


@pytest.mark.parametrize(
    ("root", "leaf", "within"),
    [
        ({"uri": "prefix:/a"}, {"uri": "prefix:/a/b"}, True),
        ({"uri": "prefix:/a/b"}, {"uri": "prefix:/a"}, False),
        ({"uri": "prefix:/a"}, {"uri": "exact:/abc"}, True),
        ({"uri": "prefix:/a"}, {"uri": "exact:/b"}, False),
        ({"uri": "exact:/a"}, {"uri": "exact:/a"}, True),
        ({"uri": "exact:/a"}, {"uri": "prefix:/a"}, False),
        ({"uri": "regex:/a"}, {"uri": "regex:/a"}, False),
        ({"uri": "prefix:/a"}, {"uri": "regex:/a.*"}, False),
        ({"uri": "regex:/a"}, {"method": "exact:GET"}, True),
        ({"method": "exact:GET"}, {"method": "exact:PUT"}, False),
        ({"headers": {"x": "exact:1"}}, {"headers": {"y": "exact:1"}}, True),
        ({"headers": {"x": "exact:1"}}, {"headers": {"x": "exact:2"}}, False),
        ({"headers": {"x": ""}}, {"headers": {"x": "exact:2"}}, False),
        ({"without_headers": {"x": "exact:1"}}, {"without_headers": {"x": "exact:2"}}, False),
        ({"query_params": {"x": "prefix:1"}}, {"query_params": {"x": "exact:12"}}, True),
        ({"ignore_uri_case": True}, {}, False),
        ({"port": 80}, {"port": 81}, False),
        ({"port": 80}, {}, True),
        ({"source_namespace": "a"}, {}, False),
        ({"source_namespace": "a"}, {"source_namespace": "a"}, True),
        ({}, {"source_namespace": "a"}, True),
        ({"source_labels": {"app": "a"}}, {"source_labels": {"app": "b"}}, False),
        ({"source_labels": {"app": "a"}}, {"source_labels": {"v": "b"}}, True),
        ({"gateways": ("mesh", "a/g")}, {"gateways": ("mesh",)}, True),
        ({"gateways": ("mesh",)}, {"gateways": ("a/g",)}, False),
        ({"gateways": ("mesh",)}, {}, True),
    ],
)
def test_conditions_of_a_delegate_must_be_within_those_of_the_root(
    root: dict[str, Any], leaf: dict[str, Any], within: bool
) -> None:
    found = narrowed(HTTPRoute(match=(request(**root),)), HTTPRoute(match=(request(**leaf),)))
    assert (found is not None) == within


def test_merged_conditions_have_what_both_ask_for() -> None:
    root = HTTPRoute(
        name="root",
        match=(
            request(name="a", uri="prefix:/a", headers={"x": "exact:1"}, port=80, stat_prefix="s"),
            request(name="b", uri="prefix:/b"),
            request(uri="prefix:/a"),
        ),
    )
    leaf = HTTPRoute(name="leaf", match=(request(name="deep", uri="prefix:/a/b", headers={"y": "exact:2"}),))
    found = narrowed(root, leaf)
    assert found is not None
    assert found.name == "root-leaf"
    assert found.match == (
        request(
            name="a-deep",
            uri="prefix:/a/b",
            headers={"x": "exact:1", "y": "exact:2"},
            port=80,
            stat_prefix="s",
        ),
        request(name="deep", uri="prefix:/a/b", headers={"y": "exact:2"}),
    )


ROOT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: default}
spec:
  hosts: [app]
  http:
  - name: left
    match: [{uri: {prefix: /api}}]
    delegate: {name: leaf, namespace: team}
    timeout: 7s
    mirror: {host: copy}
    headers: {request: {set: {by: root}}}
  - route: [{destination: {host: app}}]
"""
LEAF = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf, namespace: team}
spec:
  http:
  - match: [{uri: {prefix: /api/v1}}]
    route: [{destination: {host: one}}]
    headers: {request: {set: {by: leaf}}}
  - match: [{uri: {prefix: /other}}]
    route: [{destination: {host: two}}]
  - name: rest
    route: [{destination: {host: two}}]
    timeout: 3s
"""


def mesh(*documents: str) -> Mesh:
    made = Mesh()
    for namespace, names in (("default", ("app", "copy")), ("team", ("one", "two"))):
        for name in names:
            made.service(name, namespace)
    made.pod("app", ip="198.18.0.2")
    for document in documents:
        made.apply(document)
    return made


def routes(made: Mesh) -> list[tuple[str, str, str]]:
    """What each route of the host matches, where it leads, and its time limit."""
    host = made.hosts("app", "80")["app.default.svc.cluster.local:80"]
    return [
        (
            one["match"].get("pathSeparatedPrefix") or one["match"].get("prefix", ""),
            one["route"]["cluster"],
            one["route"].get("timeout", ""),
        )
        for one in host["routes"]
    ]


def told(made: Mesh) -> list[tuple[str, str, str]]:
    """Code, object and path of each finding."""
    return [
        (one.code.id, f"{one.ref.namespace}/{one.ref.name}", one.path)
        for one in made.reports("app")
        if one.ref is not None
    ]


def test_a_delegates_routes_stand_where_the_root_delegates() -> None:
    made = mesh(ROOT, LEAF)
    assert routes(made) == [
        ("/api/v1", ROUTE.format("one", "team"), "7s"),
        ("/api", ROUTE.format("two", "team"), "3s"),
        ("/", ROUTE.format("app", "default"), "0s"),
    ]
    assert told(made) == [("MEL0112", "team/leaf", "spec.http[1].match")]
    first, second, _last = made.hosts("app", "80")["app.default.svc.cluster.local:80"]["routes"]
    assert [one.get("name") for one in (first, second)] == ["left", "left-rest"]
    # Names of the root complete in its namespace, and what the delegate says of its own is the delegate's.
    mirror = {one["cluster"] for one in first["route"]["requestMirrorPolicies"]}
    assert mirror == {ROUTE.format("copy", "default")}
    values = [one["requestHeadersToAdd"][0]["header"]["value"] for one in (first, second)]
    assert values == ["leaf", "root"]
    config = {str(one["metadata"]["filterMetadata"]["istio"]["config"]) for one in (first, second)}
    assert config == {"/apis/networking.istio.io/v1/namespaces/default/virtual-service/root"}


LOST = [("/", ROUTE.format("app", "default"), "0s")]


def changed(text: str, **spec: Any) -> str:
    """The same object with other fields of its spec; None takes one out."""
    made = yaml.safe_load(text)
    made["spec"] = {key: value for key, value in {**made["spec"], **spec}.items() if value is not None}
    return yaml.safe_dump(made)


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        ("", "MEL0110"),
        (changed(LEAF, hosts=["other.example"]), "MEL0110"),
        (changed(LEAF, exportTo=["."]), "MEL0111"),
        (changed(LEAF, exportTo=["third"]), "MEL0111"),
    ],
)
def test_what_cannot_be_delegated_is_left_out_and_told_to_the_root(leaf: str, code: str) -> None:
    made = mesh(ROOT, *filter(None, [leaf]))
    assert routes(made) == LOST
    assert told(made) == [(code, "default/root", "spec.http[0].delegate")]


def test_a_delegate_is_seen_by_those_it_is_exported_to() -> None:
    assert len(routes(mesh(ROOT, changed(LEAF, exportTo=["default"])))) == 3


@pytest.mark.parametrize("name", ["further", "leaf", "root"])
def test_there_is_one_level(name: str) -> None:
    namespace = "default" if name == "root" else "team"
    made = mesh(ROOT, changed(LEAF, http=[{"delegate": {"name": name, "namespace": namespace}}]))
    assert routes(made) == LOST
    assert told(made) == [("MEL0113", "team/leaf", "spec.http[0].delegate")]


def test_an_unknown_destination_of_a_delegate_is_told_to_the_delegate() -> None:
    leaf = changed(LEAF, http=[{"route": [{"destination": {"host": "nobody"}}]}])
    root = changed(ROOT, http=[{"delegate": {"name": "leaf", "namespace": "team"}, "mirror": {"host": "no"}}])
    assert told(mesh(root, leaf)) == [
        ("MEL0504", "team/leaf", "spec.http[0].route[0].destination"),
        ("MEL0504", "default/root", "spec.http[0].mirror"),
    ]


def test_what_a_delegate_asks_of_the_caller_is_minded() -> None:
    leaf = changed(
        LEAF,
        http=[{"match": [{"sourceLabels": {"app": "app"}}], "route": [{"destination": {"host": "one"}}]}],
    )
    made = mesh(ROOT, leaf)
    assert len(routes(made)) == 2
    made.pod("other", ip="198.18.0.3")
    assert len(made.hosts("other", "80")["app.default.svc.cluster.local:80"]["routes"]) == 1


def test_a_delegate_that_comes_later_is_taken_and_one_that_goes_is_missed() -> None:
    made = mesh(ROOT)
    assert routes(made) == LOST
    made.apply(LEAF)
    assert len(routes(made)) == 3
    made.delete("VirtualService", "leaf", "team")
    assert routes(made) == LOST
