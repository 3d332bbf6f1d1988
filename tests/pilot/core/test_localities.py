"""Where requests go, by where their caller is: priorities and weights of localities as Istio computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

from meltemi.pilot.core.resource import EDS
from meltemi.pilot.core.roots import roots

HOST = "app.default.svc.cluster.local"
NAME = f"outbound|80||{HOST}"
OUTLIERS = "outlierDetection: {consecutive5xxErrors: 1}"
PLACES = {
    "here": "r1.z1.s1",
    "next-door": "r1.z1.s2",
    "same-region": "r1.z2.s1",
    "far": "r2.z1.s1",
    "farther": "r3.z1.s1",
}


def mesh_of(places: Mapping[str, str] = PLACES, at: str = "r1.z1.s1", **labels: str) -> Mesh:
    """Build a mesh of a client and a service with one pod in each place."""
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.2", labels={"istio-locality": at, "app": "client", **labels})
    mesh.service("app")
    for number, (name, place) in enumerate(places.items()):
        mesh.pod(name, ip=f"198.18.1.{number}", labels={"app": "app", "istio-locality": place})
    return mesh


def rule(policy: str, more: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: app}}
spec: {{host: app, trafficPolicy: {policy}{more}}}
"""


def balanced(setting: str, outliers: str = OUTLIERS) -> str:
    return rule(f"{{loadBalancer: {{localityLbSetting: {setting}}}, {outliers}}}")


def seen(mesh: Mesh, client: str = "client", name: str = NAME) -> dict[str, tuple[int, int]]:
    """Return (priority, weight of its locality) of each endpoint, by the name of its workload."""
    found: dict[str, tuple[int, int]] = {}
    for group in mesh.messages(EDS, client)[name].get("endpoints", ()):
        for one in group["lbEndpoints"]:
            pod = one["metadata"]["filterMetadata"]["istio"]["workload"].partition(";")[0]
            assert pod not in found
            found[pod] = (group.get("priority", 0), group["loadBalancingWeight"])
    return found


def order(mesh: Mesh, client: str = "client", name: str = NAME) -> dict[str, int]:
    return {pod: priority for pod, (priority, _weight) in seen(mesh, client, name).items()}


def weighted(mesh: Mesh, name: str = NAME) -> bool:
    return "localityWeightedLbConfig" in mesh.clusters("client")[name]["commonLbConfig"]


def test_without_outlier_detection_all_places_are_alike() -> None:
    mesh = mesh_of()
    assert set(order(mesh).values()) == {0}
    mesh.apply(balanced("{failover: [{from: r1, to: r2}]}", "connectionPool: {tcp: {maxConnections: 9}}"))
    assert set(order(mesh).values()) == {0}
    assert not weighted(mesh)


def test_with_outlier_detection_close_endpoints_come_first() -> None:
    mesh = mesh_of()
    mesh.apply(rule(f"{{{OUTLIERS}}}"))
    assert order(mesh) == {"here": 0, "next-door": 1, "same-region": 2, "far": 3, "farther": 3}
    assert not weighted(mesh)


def test_priorities_have_no_gaps() -> None:
    mesh = mesh_of({"same-region": "r1.z2.s1", "far": "r2.z1.s1"})
    mesh.apply(rule(f"{{{OUTLIERS}}}"))
    assert order(mesh) == {"same-region": 0, "far": 1}


def test_failover_names_the_region_that_comes_first() -> None:
    mesh = mesh_of()
    mesh.apply(balanced("{failover: [{from: r9, to: r2}, {from: r1, to: r3}]}"))
    assert order(mesh) == {"here": 0, "next-door": 1, "same-region": 2, "far": 4, "farther": 3}
    assert weighted(mesh)


@pytest.mark.parametrize("setting", ["{enabled: false}", "{enabled: false, failover: [{from: r1, to: r2}]}"])
def test_a_rule_switches_it_off(setting: str) -> None:
    mesh = mesh_of()
    mesh.apply(balanced(setting))
    assert set(order(mesh).values()) == {0}


def test_the_mesh_switches_it_off_and_a_rule_on_again() -> None:
    mesh = mesh_of()
    mesh.apply(rule(f"{{{OUTLIERS}}}"))
    assert len(set(order(mesh).values())) > 1
    mesh_wide(mesh, "{enabled: false}")
    assert set(order(mesh).values()) == {0}
    mesh.apply(balanced("{enabled: true}"))
    assert len(set(order(mesh).values())) > 1


def mesh_wide(mesh: Mesh, setting: str) -> None:
    """Set MeshConfig's localityLbSetting."""
    from meltemi.galley.core.meshconfig import mesh_settings

    read = mesh_settings({"data": {"mesh": f"localityLbSetting: {setting}"}})
    assert not read.findings
    mesh.engine.apply(read.changes)


def test_the_mesh_distributes_where_no_rule_says_otherwise() -> None:
    mesh = mesh_of()
    mesh_wide(mesh, '{distribute: [{from: "r1/*", to: {"r2/*": 70, "r3/*": 30}}]}')
    assert seen(mesh) == {"far": (0, 70), "farther": (0, 30)}
    assert weighted(mesh)
    mesh.apply(balanced("{enabled: false}"))
    assert len(seen(mesh)) == len(PLACES)


def test_weights_are_shared_among_the_localities_that_a_wildcard_means() -> None:
    mesh = mesh_of()
    mesh.apply(balanced('{distribute: [{from: "r1/z1/*", to: {"r1/z1/*": 81, "r1/z2": 9, "r2": 10}}]}', ""))
    # Half of 81 to each of two localities, rounded up.
    assert seen(mesh) == {"here": (0, 41), "next-door": (0, 41), "same-region": (0, 9), "far": (0, 10)}


def test_a_caller_elsewhere_is_not_distributed() -> None:
    mesh = mesh_of(at="r2.z1.s1")
    mesh.apply(balanced('{distribute: [{from: "r1/*", to: {"r1/*": 100}}]}'))
    assert len(seen(mesh)) == len(PLACES)
    assert set(order(mesh).values()) == {0}


def test_of_several_the_first_that_means_the_caller_counts() -> None:
    mesh = mesh_of()
    one, two = '{from: "r1/z1/*", to: {"r2/*": 100}}', '{from: "*", to: {"r3/*": 100}}'
    mesh.apply(balanced(f"{{distribute: [{one}, {two}]}}"))
    assert set(seen(mesh)) == {"far"}


@pytest.mark.parametrize("home", ["default", "istio-system", "clients"])
def test_a_rule_asks_wherever_it_stands(home: str) -> None:
    mesh = mesh_of()
    labels = {"istio-locality": "r2.z1.s1", "app": "client"}
    mesh.pod("client", "clients", ip="198.18.0.3", labels=labels)
    mesh.apply(rule(f"{{{OUTLIERS}}}").replace("host: app", f"host: {HOST}"), home)
    groups = mesh.messages(EDS, "client", "clients")[NAME]["endpoints"]
    first = [group["locality"]["region"] for group in groups if not group.get("priority")]
    assert first == ["r2"]


def labelled(at: Mapping[str, str], wanted: str, **caller: str) -> Mesh:
    mesh = mesh_of({}, **caller)
    for number, (name, version) in enumerate(at.items()):
        labels = dict(part.split("=") for part in version.split())
        mesh.pod(name, ip=f"198.18.1.{number}", labels={"app": "app", "istio-locality": "r1.z1.s1", **labels})
    mesh.apply(balanced(f"{{failoverPriority: [{wanted}]}}"))
    return mesh


def test_labels_as_the_callers_come_first_from_the_first_label_on() -> None:
    at = {"both": "k1=a k2=b", "first": "k1=a k2=x", "second": "k1=x k2=b", "none": "k1=x"}
    mesh = labelled(at, "k1, k2", k1="a", k2="b")
    # Whoever differs in the first label comes last, whatever the second is.
    assert order(mesh) == {"both": 0, "first": 1, "second": 2, "none": 2}
    assert weighted(mesh)


def test_a_label_may_have_a_value_of_its_own() -> None:
    mesh = labelled({"old": "k1=a", "new": "k1=b"}, '"k1=b"', k1="a")
    assert order(mesh) == {"new": 0, "old": 1}


def test_a_label_that_neither_has_is_the_same() -> None:
    mesh = labelled({"with": "k1=a", "without": "k2=b"}, "k1")
    assert order(mesh) == {"without": 0, "with": 1}


def test_labels_of_places_are_those_of_nodes() -> None:
    mesh = Mesh()
    for name, zone in (("n1", "z1"), ("n2", "z2")):
        labels = f"{{topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: {zone}}}"
        mesh.apply(f"{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {labels}}}}}")
    mesh.pod("client", ip="198.18.0.2", node="n1")
    mesh.service("app")
    for name in ("n1", "n2"):
        mesh.pod(f"on-{name}", ip=f"198.18.1.{name[1]}", labels={"app": "app"}, node=name)
    mesh.apply(balanced("{failoverPriority: [topology.kubernetes.io/region, topology.kubernetes.io/zone]}"))
    assert order(mesh) == {"on-n1": 0, "on-n2": 1}
    mesh.apply(balanced("{failoverPriority: [kubernetes.io/hostname]}"))
    assert order(mesh) == {"on-n1": 0, "on-n2": 1}
    assert dict(mesh.view("client").affinity) == {"kubernetes.io/hostname": "n1"}


def test_failover_orders_what_labels_leave_alike() -> None:
    mesh = mesh_of({"here": "r1.z1.s1", "far": "r2.z1.s1", "farther": "r3.z1.s1"}, k="a")
    mesh.pod("like", ip="198.18.2.1", labels={"app": "app", "k": "a", "istio-locality": "r3.z1.s1"})
    mesh.apply(balanced("{failoverPriority: [k], failover: [{from: r1, to: r2}]}"))
    assert order(mesh) == {"like": 0, "here": 1, "far": 2, "farther": 3}


def test_a_subset_and_a_port_have_settings_of_their_own() -> None:
    mesh = mesh_of()
    own = f"{{loadBalancer: {{localityLbSetting: {{enabled: false}}}}, {OUTLIERS}}}"
    mesh.apply(rule(f"{{{OUTLIERS}}}", f", subsets: [{{name: even, trafficPolicy: {own}}}, {{name: near}}]"))
    assert len(set(order(mesh).values())) == 4
    assert set(order(mesh, name=f"outbound|80|even|{HOST}").values()) == {0}
    assert len(set(order(mesh, name=f"outbound|80|near|{HOST}").values())) == 4
    mesh.apply(rule(f"{{{OUTLIERS}, portLevelSettings: [{{port: {{number: 80}}, {own[1:]}]}}"))
    assert set(order(mesh).values()) == {0}


def test_endpoints_that_proxies_find_by_name_are_ordered_in_their_cluster() -> None:
    mesh = mesh_of()
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec:
  hosts: [out.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  endpoints: [{address: a.test, locality: r1/z1/s1}, {address: b.test, locality: r2/z1/s1, weight: 7}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: out}
spec: {host: out.test, trafficPolicy: {outlierDetection: {}}}
"""
    )
    mesh.pod("other", ip="198.18.0.3", labels={"istio-locality": "r2.z1.s1", "app": "other"})
    for client, priorities in (("client", [0, 1]), ("other", [1, 0])):
        groups = mesh.clusters(client)["outbound|80||out.test"]["loadAssignment"]["endpoints"]
        assert [group.get("priority", 0) for group in groups] == priorities
        assert [group["loadBalancingWeight"] for group in groups] == [1, 7]


def distributed(spec: Mapping[str, Any] = {}, annotations: Mapping[str, str] = {}) -> Mesh:
    """Build a mesh whose service has a pod on each of three nodes, one of them not ready."""
    mesh = Mesh()
    for name, zone in (("n1", "z1"), ("n2", "z1"), ("n3", "z2")):
        labels = f"{{topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: {zone}}}"
        mesh.apply(f"{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {labels}}}}}")
        mesh.pod(f"on-{name}", ip=f"198.18.1.{name[1]}", labels={"app": "app"}, node=name)
    mesh.pod("client", ip="198.18.0.2", node="n1")
    service: dict[str, Any] = {"selector": {"app": "app"}, "ports": [{"port": 80, "name": "http"}], **spec}
    meta = {"name": "app", "annotations": dict(annotations)}
    mesh.put([{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service}])
    return mesh


ANNOTATION = "networking.istio.io/traffic-distribution"


@pytest.mark.parametrize(
    ("spec", "annotations", "wanted"),
    [
        ({}, {}, [0, 0, 0]),
        ({"trafficDistribution": "PreferClose"}, {}, [0, 0, 1]),
        ({"trafficDistribution": "PreferSameZone"}, {}, [0, 0, 1]),
        ({"trafficDistribution": "PreferSameNode"}, {}, [0, 1, 2]),
        ({}, {ANNOTATION: "PreferSameNode"}, [0, 1, 2]),
        ({"trafficDistribution": "PreferClose"}, {ANNOTATION: "PreferSameNode"}, [0, 0, 1]),
        ({}, {ANNOTATION: "no such"}, [0, 0, 0]),
    ],
)
def test_a_service_prefers_close_endpoints(
    spec: Mapping[str, Any], annotations: Mapping[str, str], wanted: list[int]
) -> None:
    mesh = distributed(spec, annotations)
    assert order(mesh) == dict(zip(("on-n1", "on-n2", "on-n3"), wanted, strict=True))
    assert weighted(mesh) == (wanted != [0, 0, 0])


def test_a_namespace_says_it_for_its_services_that_say_nothing() -> None:
    mesh = distributed()
    note = f"{{{ANNOTATION}: PreferSameZone}}"
    mesh.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: default, annotations: {note}}}}}")
    assert order(mesh) == {"on-n1": 0, "on-n2": 0, "on-n3": 1}
    mesh.apply(rule("{loadBalancer: {localityLbSetting: {enabled: false}}}"))
    assert set(order(mesh).values()) == {0}


def test_close_endpoints_that_are_not_ready_are_handed_out_as_such() -> None:
    mesh = distributed({"trafficDistribution": "PreferClose"})
    mesh.apply(rule("{outlierDetection: {minHealthPercent: 60}}"))
    mesh.pod("on-n1", ip="198.18.1.1", labels={"app": "app"}, node="n1", ready=False)
    groups = mesh.messages(EDS, "client")[NAME]["endpoints"]
    health = {
        one["endpoint"]["address"]["socketAddress"]["address"]: one.get("healthStatus")
        for group in groups
        for one in group["lbEndpoints"]
    }
    assert health == {"198.18.1.1": "UNHEALTHY", "198.18.1.2": None, "198.18.1.3": None}
    # Panic would send to them.
    assert mesh.clusters("client")[NAME]["commonLbConfig"]["healthyPanicThreshold"] == {}


def test_a_local_service_has_only_the_endpoints_of_the_callers_node() -> None:
    mesh = distributed({"internalTrafficPolicy": "Local"})
    assert set(seen(mesh)) == {"on-n1"}
    mesh.pod("elsewhere", ip="198.18.0.9", node="n9")
    assert seen(mesh, "elsewhere") == {}


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"istio-locality": "a.b.c"}, ("a", "b", "c")),
        ({"istio-locality": "a"}, ("a", "", "")),
        ({"topology.kubernetes.io/region": "a", "topology.istio.io/subzone": "c"}, ("a", "", "c")),
        ({"istio-locality": "x.y", "topology.kubernetes.io/region": "a"}, ("x", "y", "")),
        ({}, ("n", "o", "p")),
    ],
)
def test_where_a_pod_is_its_own_labels_say_and_else_its_node(
    labels: Mapping[str, str], wanted: tuple[str, str, str]
) -> None:
    mesh = Mesh()
    mesh.apply(
        """
apiVersion: v1
kind: Node
metadata:
  name: n
  labels:
    topology.kubernetes.io/region: n
    topology.kubernetes.io/zone: o
    topology.istio.io/subzone: p
"""
    )
    mesh.service("app")
    mesh.pod("app", ip="198.18.0.2", node="n", labels={"app": "app", **labels})
    assert mesh.view("app").locality == wanted
    (group,) = mesh.messages(EDS, "app")[NAME]["endpoints"]
    keys = ("region", "zone", "subZone")
    assert tuple(group["locality"].get(key, "") for key in keys) == wanted


def test_who_is_not_asked_where_it_is_shares_what_is_made() -> None:
    mesh = mesh_of()
    mesh.service("plain")
    mesh.pod("plain", ip="198.18.3.1", labels={"app": "plain", "istio-locality": "r2"})
    clients = ["client"]
    for number, place in enumerate(("r1.z2", "r2.z1", "r3.z1")):
        clients.append(f"client-{number}")
        mesh.pod(clients[-1], ip=f"198.18.4.{number}", labels={"istio-locality": place, "app": "client"})
    leaves = (
        "pilot.core.assignments.load_assignments",
        "pilot.core.assignments.segment_of",
        "pilot.core.clusters.clusters",
        "pilot.core.clusters.segment_of",
        "pilot.core.roots._outbound",
    )

    def held() -> list[int]:
        mesh.engine.refresh()
        counted = mesh.engine.memos()
        return [counted[name] for name in leaves]

    mesh.engine.hold(roots, mesh.view("client"))
    one = held()
    views = [mesh.view(client) for client in clients]
    for view in views[1:]:
        mesh.engine.hold(roots, view)
    assert held() == one
    # One of two services asks for the place: four callers have its endpoints in four ways, and no cluster is apart.
    mesh.apply(rule(f"{{{OUTLIERS}}}"))
    assert held() == [one[0] + 3, one[1] + 3, one[2], one[3], one[4] + 3]
    mesh.apply(rule("{connectionPool: {tcp: {maxConnections: 9}}}"))
    assert held() == one
    # Labels that a service compares are the only ones that count.
    mesh.apply(balanced('{failoverPriority: [app, "topology.kubernetes.io/region=r2"]}'))
    for view in views:
        mesh.engine.release(roots, view)
        assert not view.affinity
    views = [mesh.view(client) for client in clients]
    assert {view.affinity["app"] for view in views} == {"client"}
    for view in views:
        mesh.engine.hold(roots, view)
    assert held() == one
