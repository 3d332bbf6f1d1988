"""How objects are found and shown: selectors, JSONPath, ages, tables, pages, negotiation, paths."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api.registry import KINDS, find
from meltemi.apiserver.core import discovery, negotiate
from meltemi.apiserver.core.durations import age, human, rfc3339, seconds_of
from meltemi.apiserver.core.jsonpath import find as find_path
from meltemi.apiserver.core.lists import Continue, continued
from meltemi.apiserver.core.scheme import Scheme, Target, target, version_rank
from meltemi.apiserver.core.selectors import LabelSelector, Requirement, field_selector, label_selector
from meltemi.apiserver.core.status import ApiError
from meltemi.apiserver.core.table import definitions, layout, row

keys = st.sampled_from(["a", "b", "x.example/y"])
values = st.sampled_from(["", "1", "2", "v-w"])


@given(
    st.lists(st.tuples(keys, st.sampled_from(["in", "notin"]), st.lists(values, min_size=1, max_size=3))),
    st.dictionaries(keys, values),
)
def test_a_written_selector_means_what_it_says(terms: Any, labels: dict[str, str]) -> None:
    text = ",".join(f"{key} {operator} ({','.join(found)})" for key, operator, found in terms)
    expected = LabelSelector(tuple(Requirement(key, op, tuple(found)) for key, op, found in terms))
    assert label_selector(text) == expected
    assert expected.matches(labels) == all(
        (labels.get(key) in found) == (operator == "in") for key, operator, found in terms
    )


@given(st.text(max_size=30), st.text("ab=!,()in notx>1", max_size=20))
def test_any_text_is_a_selector_or_refused(one: str, two: str) -> None:
    for text in (one, two):
        with contextlib.suppress(ApiError):
            label_selector(text).matches({"a": "b"})
        with contextlib.suppress(ApiError):
            field_selector(text, "pods").matches({"metadata": {}})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        ("{.a.b}", [1]),
        ("$.list[0].n", ["x"]),
        (".list[-1].n", ["y"]),
        (".list[*].n", ["x", "y"]),
        ('.list[?(@.n=="y")].v', [2]),
        (".list[?(@.v==1)].n", ["x"]),
        ("['a']['b']", [1]),
        (r".dotted\.key", [3]),
        (".none.deeper", []),
        (".list[9]", []),
        (".list[", None),
        ("..a", None),
    ],
)
def test_json_paths(path: str, found: Any) -> None:
    document = {"a": {"b": 1}, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "dotted.key": 3}
    assert find_path(path, document) == found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (130, "2m10s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600 + 300, "3h5m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (50 * 3600, "2d2h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (9 * 365 * 86400, "9y"),
        (-5, "<invalid>"),
    ],
)
def test_durations_as_kubectl_shows_them(seconds: int, text: str) -> None:
    assert human(seconds) == text


@given(st.integers(0, 4_000_000_000))
def test_times_survive_being_written(seconds: int) -> None:
    assert seconds_of(rfc3339(seconds)) == seconds
    assert age(rfc3339(seconds), seconds + 45.0) == "45s"


@given(st.text(max_size=30) | st.integers() | st.none())
def test_what_is_no_time_has_no_age(text: Any) -> None:
    assert age(text, 0.0) == "<unknown>" or seconds_of(text) is not None


def cells(resource: str, document: dict[str, Any], now: float = 1_000_000.0) -> dict[str, Any]:
    kind = next(kind for kind in KINDS if kind.resource == resource)
    found = layout(kind)
    document.setdefault("metadata", {"name": "n", "creationTimestamp": rfc3339(now - 60)})
    made = row(found, document, "None", now)["cells"]
    return dict(zip([column["name"] for column in definitions(found)], made, strict=True))


def test_pods_as_kubectl_shows_them() -> None:
    spec = {
        "nodeName": "laptop",
        "containers": [{"name": "app"}],
        "initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}, {"name": "init"}],
    }
    running: dict[str, Any] = {"running": {}}
    status: dict[str, Any] = {
        "phase": "Running",
        "podIP": "198.18.0.2",
        "containerStatuses": [
            {
                "name": "app",
                "ready": True,
                "restartCount": 2,
                "state": running,
                "lastState": {"terminated": {"finishedAt": rfc3339(999_990)}},
            }
        ],
        "initContainerStatuses": [
            {"name": "istio-proxy", "ready": True, "started": True, "restartCount": 0, "state": running},
            {"name": "init", "state": {"terminated": {"exitCode": 0}}},
        ],
    }
    found = cells("pods", {"spec": spec, "status": status})
    assert (found["Ready"], found["Status"], found["Restarts"], found["Age"]) == (
        "2/2",
        "Running",
        "2 (10s ago)",
        "60s",
    )
    assert (found["IP"], found["Node"]) == ("198.18.0.2", "laptop")
    status["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    found = cells("pods", {"spec": spec, "status": status})
    assert (found["Ready"], found["Status"]) == ("1/2", "CrashLoopBackOff")
    status["initContainerStatuses"][1]["state"] = {"running": {}}
    assert cells("pods", {"spec": spec, "status": status})["Status"] == "Init:1/2"
    gone = {"name": "n", "deletionTimestamp": rfc3339(0)}
    assert cells("pods", {"metadata": gone, "spec": spec, "status": status})["Status"] == "Terminating"
    assert cells("pods", {"spec": {"containers": [{"name": "a"}]}})["Status"] == "Unknown"


def test_services_as_kubectl_shows_them() -> None:
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    found = cells("services", {"spec": {"type": "NodePort", "clusterIP": "198.19.0.1", "ports": ports}})
    assert (found["Type"], found["Cluster-IP"], found["External-IP"]) == ("NodePort", "198.19.0.1", "<none>")
    assert found["Port(s)"] == "80:30080/TCP,53/UDP"
    balancer: dict[str, Any] = {"spec": {"type": "LoadBalancer"}}
    assert cells("services", balancer)["External-IP"] == "<pending>"
    balancer["status"] = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}
    assert cells("services", balancer)["External-IP"] == "127.0.0.1"
    assert (
        cells("services", {"spec": {"type": "ExternalName", "externalName": "x.y"}})["External-IP"] == "x.y"
    )


def test_other_kinds_as_kubectl_shows_them() -> None:
    assert cells("namespaces", {"status": {"phase": "Terminating"}})["Status"] == "Terminating"
    node = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}, "spec": {"unschedulable": True}}
    assert cells("nodes", node)["Status"] == "Ready,SchedulingDisabled"
    assert cells("secrets", {"type": "x", "data": {"a": "", "b": ""}})["Data"] == 2
    endpoints = [{"addresses": [f"198.18.0.{n}"]} for n in range(5)]
    found = cells(
        "endpointslices.discovery.k8s.io",
        {"addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 8}]},
    )
    assert found["Endpoints"] == "198.18.0.0,198.18.0.1,198.18.0.2 + 2 more..."
    event = {
        "count": 3,
        "lastTimestamp": rfc3339(999_995),
        "firstTimestamp": rfc3339(999_000),
        "involvedObject": {"kind": "Pod", "name": "p"},
    }
    shown = cells("events", event)
    assert (shown["Last Seen"], shown["Object"]) == ("5s (x3 over 16m)", "pod/p")
    vs = find("networking.istio.io", "v1", "VirtualService")
    assert vs is not None
    assert cells(vs.resource, {"spec": {"hosts": ["a"], "gateways": ["g", "h"]}})["Gateways"] == '["g","h"]'


@given(st.integers(0, 2**61), st.text(max_size=10), st.text(max_size=10))
def test_continue_tokens_survive_being_written(revision: int, namespace: str, name: str) -> None:
    place = Continue(revision, namespace, name)
    assert continued(place.token()) == place


@given(st.text(max_size=40))
def test_any_other_continue_token_is_refused(text: str) -> None:
    with contextlib.suppress(ApiError):
        assert continued(text).token().rstrip("=") == text.rstrip("=")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/pods", Target("", "v1", "pods")),
        ("/api/v1/namespaces", Target("", "v1", "namespaces")),
        ("/api/v1/namespaces/x/", Target("", "v1", "namespaces", "", "x")),
        ("/api/v1/namespaces/x/status", Target("", "v1", "namespaces", "", "x", "status")),
        ("/api/v1/namespaces/x/finalize", Target("", "v1", "namespaces", "", "x", "finalize")),
        ("/api/v1/namespaces/x/pods", Target("", "v1", "pods", "x")),
        ("/api/v1/namespaces/x/pods/p/log", Target("", "v1", "pods", "x", "p", "log")),
        ("/apis/g.io/v1/things/t", Target("g.io", "v1", "things", "", "t")),
        ("/apis/g.io/v1/namespaces/x/things/t/status", Target("g.io", "v1", "things", "x", "t", "status")),
        ("/api/v1", None),
        ("/apis/g.io/v1", None),
        ("/api/v1//pods", None),
        ("/version", None),
        ("/", None),
    ],
)
def test_paths(path: str, found: Target | None) -> None:
    assert target(path) == found


def test_versions_sort_as_kubernetes_sorts_them() -> None:
    versions = ["v1alpha3", "v1", "v2beta1", "v10", "v1beta1", "v2", "odd"]
    assert sorted(versions, key=version_rank) == ["v10", "v2", "v1", "v2beta1", "v1beta1", "v1alpha3", "odd"]


def test_a_word_of_several_groups_means_kubernetes_kind_then_istios() -> None:
    groups = list(Scheme().versions())
    assert (
        groups.index("") < groups.index("apps") < groups.index("events.k8s.io") < groups.index("extensions")
    )
    assert groups.index("networking.k8s.io") < groups.index("extensions")
    assert groups.index("extensions") < groups.index("networking.istio.io")
    # `kubectl get gateway` in Istio's own mesh is about Istio's; the other one is `gtw`.
    assert groups.index("networking.istio.io") < groups.index("gateway.networking.k8s.io")


def test_a_scheme_of_some_kinds_serves_those_and_their_aliases() -> None:
    chosen = [kind for kind in KINDS if kind.resource in {"deployments.apps", "pods"}]
    known = Scheme(chosen)
    assert {(kind.group, kind.plural) for kind in known.kinds} == {
        ("apps", "deployments"),
        ("extensions", "deployments"),
        ("", "pods"),
    }
    assert known.find("extensions", "v1beta1", "deployments") is not None
    assert known.find("", "v1", "services") is None
    assert known.by_resource("services") is None
    assert Scheme().find("", "v1", "services") is Scheme().by_resource("services")
    assert Scheme().find("example.com", "v1", "things") is None


def test_old_and_aggregated_discovery_tell_the_same() -> None:
    known = Scheme(KINDS)
    new: set[tuple[str, str, str]] = set()
    for core in (True, False):
        for item in discovery.aggregated(known, core=core, form="v2")["items"]:
            for version in item["versions"]:
                for resource in version["resources"]:
                    place = (item["metadata"].get("name", ""), version["version"])
                    new.add((*place, resource["resource"]))
                    new.update(
                        (*place, f"{resource['resource']}/{s['subresource']}")
                        for s in resource.get("subresources", ())
                    )
    old = {
        (group, version, resource["name"])
        for group, versions in known.versions().items()
        for version in versions
        for resource in (discovery.resource_list(known, group, version) or {})["resources"]
    }
    assert old == new
    assert ("networking.istio.io", "v1beta1", "virtualservices/status") in old


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", "object"),
        ("*/*", "object"),
        ("application/json", "object"),
        ("application/vnd.kubernetes.protobuf, */*", "object"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "table"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", "object"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "partial"),
        ("application/vnd.kubernetes.protobuf", None),
        ("text/html", None),
    ],
)
def test_negotiation(header: str, form: str | None) -> None:
    found = negotiate.answer(header)
    assert (found.form if found is not None else None) == form
