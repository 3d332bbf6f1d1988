"""WorkloadEntries as endpoints: of ServiceEntries and of Kubernetes Services."""

from __future__ import annotations

from typing import Any

import pytest
from tests.pilot.core.meshes import Mesh

from meltemi.api.values import Map
from meltemi.model import endpoints, workload_entries
from meltemi.model.endpoints import Backend
from meltemi.model.views import Locality
from meltemi.pilot.core.resource import EDS
from meltemi.query import Engine

VM = "spiffe://cluster.local/ns/default/sa/vm"
CHECKED = "proxy.istio.io/health-checks-enabled"


def vm(name: str, address: str = "192.0.2.1", **more: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    for field in ("labels", "annotations", "namespace"):
        if field in more:
            metadata[field] = more.pop(field)
    document: dict[str, Any] = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": metadata,
    }
    if "status" in more:
        document["status"] = more.pop("status")
    spec = {"labels": {"app": "vm"}, **({"address": address} if address else {}), **more}
    return {**document, "spec": {key: value for key, value in spec.items() if value is not None}}


def entry(**more: Any) -> dict[str, Any]:
    spec = {
        "hosts": ["vm.test"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
        "workloadSelector": {"labels": {"app": "vm"}},
        **more,
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "vm"},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def backends(mesh: Mesh, host: str = "vm.test", port: int = 80) -> tuple[Backend, ...]:
    return mesh.engine.get(endpoints.backends, "default", host, port)


def places(mesh: Mesh, host: str = "vm.test", port: int = 80) -> list[str]:
    return [f"{one.address}:{one.port}" for one in backends(mesh, host, port)]


def test_a_service_entry_selects_workload_entries_and_pods_of_its_namespace() -> None:
    mesh = Mesh()
    mesh.pod("p", ip="198.18.0.9", labels={"app": "vm"})
    mesh.pod("q", ip="198.18.0.8", labels={"app": "other"})
    mesh.put([entry(), vm("one"), vm("two", "192.0.2.2"), vm("not", "192.0.2.3", labels={"app": "not"})])
    mesh.put([vm("elsewhere", "192.0.2.4", namespace="other")])
    assert places(mesh) == ["192.0.2.1:8080", "192.0.2.2:8080", "198.18.0.9:8080"]
    mesh.delete("WorkloadEntry", "one")
    assert places(mesh) == ["192.0.2.2:8080", "198.18.0.9:8080"]


def test_what_a_workload_entry_says_is_its_endpoint() -> None:
    mesh = Mesh()
    told: dict[str, Any] = {"serviceAccount": "vm", "locality": "r/z/s", "weight": 7, "ports": {"http": 9090}}
    mesh.put([entry(), vm("one", labels={"version": "v2"}, **told)])
    (one,) = backends(mesh)
    assert one == Backend(
        "192.0.2.1",
        9090,
        Map({"app": "vm", "version": "v2"}),
        VM,
        True,
        "one;default;vm;v2;Kubernetes",
        Locality("r", "z", "s"),
        7,
    )
    assert mesh.engine.get(endpoints.accounts, "default", "vm.test") == (VM,)


@pytest.mark.parametrize(
    ("labels", "account", "mutual"),
    [
        ({}, "", False),
        ({}, "vm", True),
        ({"security.istio.io/tlsMode": "istio"}, "", True),
        ({"security.istio.io/tlsMode": "disabled"}, "vm", False),
    ],
)
def test_mutual_tls_by_the_label_else_where_an_account_is_named(
    labels: dict[str, str], account: str, mutual: bool
) -> None:
    mesh = Mesh()
    mesh.put([entry(), vm("one", serviceAccount=account or None, labels=labels)])
    assert [(one.mtls, bool(one.account)) for one in backends(mesh)] == [(mutual, mutual and bool(account))]


def test_labels_of_the_metadata_come_before_those_of_the_spec_and_the_group_names_the_workload() -> None:
    mesh = Mesh()
    mesh.put([entry(), vm("one", labels={"app": "other"})])
    assert backends(mesh) == ()
    mesh.put([vm("one", annotations={"istio.io/autoRegistrationGroup": "fleet"})])
    assert [one.metadata.split(";")[0] for one in backends(mesh)] == ["fleet"]


def test_an_entry_with_health_checks_serves_only_once_it_is_reported_healthy() -> None:
    mesh = Mesh()

    def told(status: str | None) -> list[str]:
        conditions = [{"type": "Healthy", "status": status}] if status else []
        mesh.put([vm("one", annotations={CHECKED: "true"}, status={"conditions": conditions})])
        return places(mesh)

    mesh.put([entry()])
    assert [told(status) for status in (None, "True", "False", "True")] == [
        [],
        ["192.0.2.1:8080"],
        [],
        ["192.0.2.1:8080"],
    ]
    mesh.put([vm("one", status={"conditions": [{"type": "Healthy", "status": "False"}]})])
    assert places(mesh) == ["192.0.2.1:8080"], "without health checks the condition says nothing"


def test_a_kubernetes_service_selects_workload_entries() -> None:
    mesh = Mesh()
    mesh.service("vm", ports={"http": (80, 8080), "named": (81, "web"), "same": 82})
    mesh.pod("vm", ip="198.18.0.9", labels={"app": "vm"}, ports={"web": 7000})
    mesh.put([vm("one"), vm("two", "192.0.2.2", ports={"web": 7070, "http": 9090, "same": 9091})])
    host = "vm.default.svc.cluster.local"
    assert places(mesh, host) == ["192.0.2.1:8080", "192.0.2.2:9090", "198.18.0.9:8080"]
    # One that has no such port is none of its endpoints.
    assert places(mesh, host, 81) == ["192.0.2.2:7070", "198.18.0.9:7000"]
    assert places(mesh, host, 82) == ["192.0.2.1:82", "192.0.2.2:9091", "198.18.0.9:82"]


@pytest.mark.parametrize(
    ("address", "resolution", "listed", "told"),
    [
        ("vm.example", "STATIC", [], True),
        ("vm.example", "DNS", ["vm.example:8080"], False),
        ("unix:///run/a.sock", "STATIC", ["/run/a.sock:0"], False),
        ("unix:///run/a.sock", "DNS", [], True),
        ("unix://@abstract", "STATIC", ["@abstract:0"], False),
        ("", "STATIC", [], False),
    ],
)
def test_an_address_is_used_where_clients_can_reach_it(
    address: str, resolution: str, listed: list[str], told: bool
) -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.4")
    mesh.put([entry(resolution=resolution), vm("one", address, network=None if address else "far")])
    assert places(mesh) == listed
    assert [one.code.id for one in mesh.reports("client")] == (["MEL0160"] if told else [])


@pytest.mark.parametrize("address", ["vm.example", "unix:///run/a.sock"])
def test_a_kubernetes_service_has_ip_addresses_only(address: str) -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.4")
    mesh.service("vm", ports={"http": 80})
    mesh.put([vm("one", address), vm("two")])
    assert places(mesh, "vm.default.svc.cluster.local") == ["192.0.2.1:80"]
    (found,) = mesh.reports("client")
    assert (found.code.id, str(found.ref), found.path) == (
        "MEL0160",
        "workloadentry default/one",
        "spec.address",
    )


def test_a_unix_socket_is_a_pipe_to_envoy() -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.4")
    mesh.put([entry(workloadSelector=None, endpoints=[{"address": "unix:///run/a.sock"}])])
    assert mesh.endpoints("client")["outbound|80||vm.test"] == ["/run/a.sock"]
    assert "pipe" in str(mesh.messages(EDS, "client"))


@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN"])
def test_what_is_found_by_name_asks_for_selected_workloads_alone(resolution: str) -> None:
    mesh = Mesh()
    mesh.pod("client", ip="198.18.0.4")
    mesh.put([entry(resolution=resolution)])

    def asked() -> list[str]:
        cluster = mesh.clusters("client")["outbound|80||vm.test"]
        return [
            one["endpoint"]["address"]["socketAddress"]["address"]
            for group in cluster["loadAssignment"].get("endpoints", ())
            for one in group["lbEndpoints"]
        ]

    assert asked() == []
    mesh.put([vm("one", "b.example"), vm("two", "a.example")])
    # One name, one address at a time: Envoy refuses a second one.
    assert asked() == (["a.example", "b.example"] if resolution == "DNS" else ["a.example"])


def test_who_selects_none_does_not_hear_of_one() -> None:
    mesh = Mesh()
    mesh.put([entry(), vm("one")])
    mesh.put(
        [
            {
                **entry(hosts=["other.test"], workloadSelector={"labels": {"app": "other"}}),
                "metadata": {"name": "other"},
            }
        ]
    )
    engine: Engine = mesh.engine
    for host in ("vm.test", "other.test"):
        engine.hold(endpoints.backends_of, "default", host)
    engine.refresh()
    engine.take_runs()
    mesh.put([vm("one", "192.0.2.5")])
    assert [change.args for change in engine.refresh()] == [("default", "vm.test")]
    assert [n for name, n in engine.take_runs().items() if "backends_of" in name] == [1]
    assert engine.get(workload_entries.any_in, "other") is False
