"""ServiceEntries as Istio's reference and its DNS proxying page have them: names, addresses, who hears of them."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.live.meshes import Mesh, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

LOOKUP = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
SERVICE = "helloworld.default.svc.cluster.local"


def entry(name: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    port = {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 5000}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hosts": list(hosts), "ports": [port], "location": "MESH_INTERNAL", **spec},
    }


def pod_ip(mesh: Mesh, pod: str) -> str:
    return str(mesh.object("pod", pod)["status"]["podIP"])


def allocated(mesh: Mesh, name: str) -> dict[str, str]:
    rows = (mesh.object("serviceentry", name).get("status") or {}).get("addresses") or ()
    return {row["host"]: row["value"] for row in rows}


def looked_up(mesh: Mesh, pod: str, host: str) -> str:
    """What a name means in a pod, "" for nothing."""
    return mesh.meltemi("exec", pod, "--", sys.executable, "-c", LOOKUP, host).out.strip()


@pytest.fixture(scope="module")
def mesh(world: Mesh) -> Iterator[Mesh]:
    """Services beyond the mesh's own: found by name, at fixed addresses, below a wildcard."""
    ips = {version: pod_ip(world, f"helloworld-{version}") for version in ("v1", "v2")}
    tcp = [{"number": 5000, "name": "tcp", "protocol": "TCP"}]
    entries = [
        entry("by-name", "api.auto.test", resolution="DNS", endpoints=[{"address": SERVICE}]),
        entry(
            "wild",
            "*.wild.test",
            resolution="STATIC",
            addresses=["240.9.9.9"],
            endpoints=[{"address": ips["v1"]}],
        ),
        *(
            entry(
                f"tcp-{one}",
                f"{one}.tcp.test",
                resolution="STATIC",
                ports=tcp,
                endpoints=[{"address": ips[one]}],
            )
            for one in ips
        ),
    ]
    refused = entry("refused", "refused.auto.test", resolution="STATIC", endpoints=[{"address": ips["v1"]}])
    refused["metadata"]["labels"] = {"networking.istio.io/enable-autoallocate-ip": "false"}
    world.apply(*entries, refused)
    names = [f"serviceentry/{one['metadata']['name']}" for one in (*entries, refused)]
    for name in ("by-name", "tcp-v1", "tcp-v2"):
        until(lambda name=name: bool(allocated(world, name)), 10, f"an address of {name}")  # type: ignore[misc]
    world.meltemi("wait", *names).good()
    yield world
    world.kubectl("delete", *names).good()


def body(mesh: Mesh, url: str, count: int = 1) -> list[str]:
    """What sleep is answered, and each time well."""
    answers = mesh.hands.call("sleep", url, count)
    assert [one["status"] for one in answers] == [200] * count, answers
    return [one["body"] for one in answers]


def test_a_host_without_address_is_given_one_and_apps_beside_a_sidecar_hear_of_it(mesh: Mesh) -> None:
    (address,) = allocated(mesh, "by-name").values()
    assert ipaddress.ip_address(address) in ipaddress.ip_network("240.240.0.0/16")
    assert looked_up(mesh, "sleep", "api.auto.test") == address
    assert "version" in body(mesh, "http://api.auto.test/hello")[0]


def test_who_has_no_sidecar_does_not_hear_of_an_address_that_leads_nowhere_for_it(mesh: Mesh) -> None:
    assert looked_up(mesh, "outsider", "api.auto.test") == ""
    assert looked_up(mesh, "outsider", SERVICE) != ""


def test_two_tcp_services_of_one_port_are_told_apart_by_the_addresses_they_were_given(mesh: Mesh) -> None:
    for version in ("v1", "v2"):
        (answer,) = body(mesh, f"http://{version}.tcp.test:5000/hello")
        assert f"version: {version}" in answer


def test_every_name_below_a_wildcard_has_its_address(mesh: Mesh) -> None:
    assert looked_up(mesh, "sleep", "any.name.wild.test") == "240.9.9.9"
    assert "version: v1" in body(mesh, "http://any.wild.test/hello")[0]


def test_a_label_refuses_the_address(mesh: Mesh) -> None:
    assert allocated(mesh, "refused") == {}
    assert looked_up(mesh, "sleep", "refused.auto.test") == ""


def test_the_addresses_survive_a_change_and_the_status_writer(mesh: Mesh) -> None:
    before = allocated(mesh, "by-name")
    mesh.kubectl("annotate", "serviceentry/by-name", "touched=yes", "--overwrite").good()
    mesh.meltemi("wait", "serviceentry/by-name").good()
    assert allocated(mesh, "by-name") == before
    conditions = mesh.object("serviceentry", "by-name")["status"]["conditions"]
    assert [one["type"] for one in conditions] == ["Reconciled"]
