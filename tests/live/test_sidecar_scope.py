"""Sidecars, as Istio's reference has them: what a workload reaches, and what it takes in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.live.fields.asking import Ask
from tests.live.fields.case import ECHO, SIDECAR, Case, Document, Own, Seen, entry
from tests.live.fields.sidecars import FAR, REFUSE, asks, sidecar
from tests.live.fields.world import World, world

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def mesh() -> Iterator[World]:
    """A mesh with echo, a client with a Sidecar (`scoped`), and a stranger in another namespace."""
    with world() as made:
        yield made


def play(mesh: World, make: Any, asked: Any) -> Seen:
    """Apply objects, ask, and take them away."""
    return mesh.play(Case("scope", SIDECAR, (), make, lambda _: True, asked))


def in_other(own: Own, suffix: str = "", **spec: Any) -> Document:
    """A Sidecar of the stranger's namespace."""
    made = own.document("Sidecar", spec, suffix)
    made["metadata"]["namespace"] = "other"
    return made


def test_a_host_out_of_scope_is_refused_under_registry_only_and_is_back_without_the_sidecar(
    mesh: World,
) -> None:
    asked = asks((FAR, 8080), (ECHO, 8080))
    spec = {"egress": [{"hosts": ["./*", "istio-system/*"]}], "outboundTrafficPolicy": REFUSE}
    assert play(mesh, lambda own: (sidecar(own, **spec),), asked).statuses == [502, 200]
    assert play(mesh, lambda own: (entry(own),), asked).statuses == [200, 200]


def test_a_namespace_without_a_sidecar_of_its_own_has_the_one_of_the_root_namespace(mesh: World) -> None:
    def root(own: Own) -> Document:
        made = own.document("Sidecar", {"egress": [{"hosts": ["./*"]}], "outboundTrafficPolicy": REFUSE})
        made["metadata"]["namespace"] = "istio-system"
        return made

    asked = asks((ECHO, 8080, "stranger"), (FAR, 8080, "stranger"))
    assert play(mesh, lambda own: (root(own),), asked).statuses == [502, 200]
    everything = {"egress": [{"hosts": ["*/*"]}]}
    assert play(mesh, lambda own: (root(own), in_other(own, "-own", **everything)), asked).statuses == [
        200,
        200,
    ]
    selected = {**everything, "workloadSelector": {"labels": {"app": "stranger"}}}
    nobody = {"egress": [{"hosts": ["~/*"]}], "outboundTrafficPolicy": REFUSE}
    both = lambda own: (in_other(own, "-wide", **nobody), in_other(own, "-narrow", **selected))  # noqa: E731
    assert play(mesh, both, asked).statuses == [200, 200]


def test_a_route_takes_along_the_destinations_of_its_virtual_service(mesh: World) -> None:
    def made(own: Own) -> tuple[Document, ...]:
        route = {
            "hosts": [own.host],
            "http": [{"route": [{"destination": {"host": FAR, "port": {"number": 8080}}}]}],
        }
        scope = {"egress": [{"hosts": [f"./{own.host}"]}], "outboundTrafficPolicy": REFUSE}
        return sidecar(own, **scope), own.document("VirtualService", route)

    found = play(mesh, made, lambda own: (own.mesh(via="scoped"), own.mesh(via="scoped", host=FAR)))
    assert (found.statuses, found.pods[0]) == ([200, 502], "stranger")


def test_ingress_hands_over_to_a_unix_socket_of_the_app(mesh: World) -> None:
    def made(own: Own) -> tuple[Document, ...]:
        port = {"number": own.port, "protocol": "HTTP", "name": "http"}
        socket = f"unix://{own.pods['sockets']}/scoped"
        return (sidecar(own, ingress=[{"port": port, "defaultEndpoint": socket}]),)

    found = play(mesh, made, lambda own: (own.mesh(address=own.pods["scoped"], port=own.port),))
    assert (found.pods, found.answers[0]["told"]["port"]) == (["scoped"], 0)


def test_ingress_hands_over_to_the_address_of_the_pod(mesh: World) -> None:
    def made(own: Own) -> tuple[Document, ...]:
        port = {"number": own.port, "protocol": "HTTP", "name": "http"}
        return (sidecar(own, ingress=[{"port": port, "defaultEndpoint": "0.0.0.0:8081"}]),)

    found = play(mesh, made, lambda own: (own.mesh(address=own.pods["scoped"], port=own.port),))
    assert (found.pods, found.answers[0]["told"]["port"]) == (["scoped"], 8081)


def test_an_app_calls_services_through_a_unix_socket_that_egress_opens(mesh: World) -> None:
    def path(own: Own) -> str:
        return f"{own.pods['sockets']}/out-{own.name}"

    def made(own: Own) -> tuple[Document, ...]:
        listener = {"port": {"number": 0, "protocol": "HTTP", "name": "out"}, "bind": f"unix://{path(own)}"}
        return (sidecar(own, egress=[{**listener, "hosts": ["*/*"]}], outboundTrafficPolicy=REFUSE),)

    def asked(own: Own) -> tuple[Ask, ...]:
        hosts = (f"{ECHO}:8081", FAR, "nobody.test")
        return tuple(own.mesh(via="scoped", host=host, address=path(own)) for host in hosts)

    found = play(mesh, made, asked)
    assert found.statuses == [200, 200, 502]
    assert (found.answers[0]["told"]["port"], found.pods[1]) == (8081, "stranger")


def test_an_app_calls_a_bound_egress_port_on_loopback(mesh: World) -> None:
    def made(own: Own) -> tuple[Document, ...]:
        ports = ({"number": own.port, "name": "tcp", "protocol": "TCP", "targetPort": 9000},)
        port = {"number": own.port, "protocol": "TCP", "name": "tcp"}
        listener = {"port": port, "captureMode": "NONE", "hosts": [f"./{own.host}"]}
        return entry(own, *ports), sidecar(own, egress=[listener], outboundTrafficPolicy=REFUSE)

    found = play(
        mesh, made, lambda own: (own.mesh(via="scoped", form="tcp", address="127.0.0.1", port=own.port),)
    )
    assert found.pods[0].startswith("echo-")


@pytest.mark.long
def test_an_app_calls_services_of_all_ports_through_an_http_proxy_that_egress_opens(mesh: World) -> None:
    def made(own: Own) -> tuple[Document, ...]:
        port = {"number": own.port, "protocol": "HTTP_PROXY", "name": "proxy"}
        proxy = {"port": port, "captureMode": "NONE", "bind": "127.0.0.1", "hosts": ["./*"]}
        return (sidecar(own, egress=[proxy, {"hosts": ["~/*"]}], outboundTrafficPolicy=REFUSE),)

    def asked(own: Own) -> tuple[Ask, ...]:
        paths = (f"http://{ECHO}:8081/", f"http://{ECHO}/", f"http://{FAR}:8080/")
        return tuple(
            own.mesh(path, via="scoped", host="proxy", address="127.0.0.1", port=own.port) for path in paths
        )

    found = play(mesh, made, asked)
    assert found.statuses == [200, 200, 502]
    assert [one["told"].get("port") for one in found.answers] == [8081, 8080, None]
