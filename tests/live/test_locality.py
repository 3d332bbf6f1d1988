"""Istio's tasks of locality load balancing, and Kubernetes' traffic distribution: which pods answer a client.

https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.live import meshes
from tests.live.meshes import Mesh, until

from meltemi.ctl import helloworld
from meltemi.ctl.tour import counted, within

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

PLACES = {"a": "r1.z1.s1", "b": "r1.z2.s1", "c": "r2.z3.s1", "d": "r3.z4.s1"}
"""A pod of helloworld in each; the client is where `a` is."""
HOST = "helloworld.default.svc.cluster.local"
URL = "http://helloworld:5000/hello"
OUTLIERS = {
    "consecutive5xxErrors": 1,
    "interval": "1s",
    "baseEjectionTime": "1m",
    "maxEjectionPercent": 100,
}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A mesh with a client, and helloworld in four places of three regions."""
    with meshes.mesh("places") as made:
        pods = {one["metadata"]["name"]: one for one in helloworld.documents() if one["kind"] == "Pod"}
        client, sample = pods["sleep"], pods["helloworld-v1"]
        made.put(next(one for one in helloworld.documents() if one["kind"] == "ServiceAccount"))
        made.put(service("helloworld", {}))
        made.put(placed(client, "sleep", PLACES["a"]))
        for version, place in PLACES.items():
            made.put(placed(sample, f"helloworld-{version}", place, version))
        made.ready("sleep", *(f"helloworld-{version}" for version in PLACES))
        yield made


@pytest.fixture(autouse=True)
def as_before(mesh: Mesh) -> Iterator[None]:
    """Each test leaves the mesh without rules."""
    yield
    mesh.kubectl("delete", "destinationrule", "--all").good()
    mesh.put(service("helloworld", {}))
    mesh.meltemi("wait", "service/helloworld").good()


def placed(sample: Document, name: str, place: str, version: str = "v1") -> Document:
    (container,) = sample["spec"]["containers"]
    env = [{"name": "SERVICE_VERSION", "value": version}, *container["env"][1:]]
    meta = sample["metadata"]
    labels = {**meta["labels"], "version": version, "istio-locality": place, "side": _side(version)}
    return {
        **sample,
        "metadata": {**meta, "name": name, "labels": labels},
        "spec": {**sample["spec"], "containers": [{**container, "env": env}]},
    }


def _side(version: str) -> str:
    return "right" if version in ("c", "d", "v1") else "left"


def service(name: str, spec: Document) -> Document:
    ports = [{"name": "http", "port": 5000}]
    whole = {"selector": {"app": "helloworld"}, "ports": ports, **spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": whole}


def rule(mesh: Mesh, setting: Document, **more: Any) -> None:
    """Apply a DestinationRule with this localityLbSetting, and wait until every proxy has it."""
    policy = {
        "connectionPool": {"http": {"maxRequestsPerConnection": 1}},
        "loadBalancer": {"simple": "ROUND_ROBIN", "localityLbSetting": setting},
        **more,
    }
    meta = {"name": "helloworld", "namespace": "default"}
    spec = {"host": HOST, "trafficPolicy": policy}
    mesh.apply(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": meta,
            "spec": spec,
        }
    )
    mesh.meltemi("wait", "destinationrule/helloworld").good()


def answered(mesh: Mesh, count: int = 24, url: str = URL) -> Counter[str]:
    """Ask as the client does, and count the versions that answered (or the status, where none did)."""
    calls = mesh.hands.call("sleep", url, count)
    return counted([(one.get("status", 0), one.get("body", "")) for one in calls])


def test_without_a_rule_every_place_answers(mesh: Mesh) -> None:
    assert set(answered(mesh, 60)) == set(PLACES)


def test_traffic_is_distributed_by_weights(mesh: Mesh) -> None:
    weights = {"r1/z1/*": 70, "r1/z2/*": 20, "r3/z4/*": 10}
    rule(mesh, {"distribute": [{"from": "r1/z1/*", "to": weights}]})
    seen = answered(mesh, 300)
    assert set(seen) == {"a", "b", "d"}, seen
    for version, share in (("a", 0.7), ("b", 0.2), ("d", 0.1)):
        assert within(seen[version], 300, share), seen


def test_labels_say_who_comes_first(mesh: Mesh) -> None:
    rule(mesh, {"failoverPriority": ["side"]}, outlierDetection=OUTLIERS)
    seen = answered(mesh)
    assert set(seen) == {"c", "d"}, seen
    rule(mesh, {"failoverPriority": ["side=left"]}, outlierDetection=OUTLIERS)
    seen = answered(mesh)
    assert set(seen) == {"a", "b"}, seen


def test_the_rule_switches_locality_off(mesh: Mesh) -> None:
    rule(mesh, {"enabled": False}, outlierDetection=OUTLIERS)
    assert set(answered(mesh, 60)) == set(PLACES)


def test_a_service_prefers_close_endpoints(mesh: Mesh) -> None:
    mesh.put(service("helloworld", {"trafficDistribution": "PreferClose"}))
    mesh.meltemi("wait", "service/helloworld").good()
    seen = answered(mesh)
    assert set(seen) == {"a"}, seen


def test_a_local_service_keeps_to_its_callers_node(mesh: Mesh) -> None:
    """Both endpoints of a slice made by hand are on nodes of its own choosing."""
    pods = {version: mesh.object("pod", f"helloworld-{version}") for version in ("c", "d")}
    here = mesh.object("pod", "sleep")["spec"]["nodeName"]
    nodes = {"c": "elsewhere", "d": here}
    local = service("by-hand", {"internalTrafficPolicy": "Local"})
    del local["spec"]["selector"]
    mesh.apply(
        local,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "by-hand",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "by-hand"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 5000}],
            "endpoints": [
                {"addresses": [pods[version]["status"]["podIP"]], "nodeName": node}
                for version, node in nodes.items()
            ],
        },
    )
    mesh.meltemi("wait", "service/by-hand").good()
    url = "http://by-hand:5000/hello"
    until(lambda: set(answered(mesh, 1, url)) == {"d"}, 20, "an answer")
    seen = answered(mesh, url=url)
    assert set(seen) == {"d"}, seen


def drain(mesh: Mesh, pod: str) -> None:
    """Have a pod's Envoy take no more connections, as Istio's task does."""
    asked = "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:15000/drain_listeners', method='POST'))"
    mesh.meltemi("exec", pod, "--", "python3", "-c", asked).good()


def test_traffic_fails_over_to_the_closest_place_that_is_left(mesh: Mesh) -> None:
    rule(mesh, {"failover": [{"from": "r1", "to": "r2"}]}, outlierDetection=OUTLIERS)
    seen = answered(mesh)
    assert set(seen) == {"a"}, seen
    for gone, next_ in (("a", "b"), ("b", "c"), ("c", "d")):
        drain(mesh, f"helloworld-{gone}")

        def taken_over(wanted: str = next_) -> bool:
            return set(answered(mesh, 4)) == {wanted}

        until(taken_over, 30, f"{next_} to answer alone after {gone} is gone")
        seen = answered(mesh)
        assert set(seen) == {next_}, seen
