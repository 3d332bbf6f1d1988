"""Two pods, their hand-written Envoys and the edges: who reaches whom, and by which way."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest
from tests.harness.mesh import Pod, ThrowawayMesh
from tests.harness.outside import Outside

pytestmark = pytest.mark.live

SERVICE = "server.default.svc.cluster.local"
GET = """
import http.client, json, sys
host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
c = http.client.HTTPConnection(host, port, timeout=5)
c.request("GET", path, headers={"host": sys.argv[4]} if len(sys.argv) > 4 else {})
r = c.getresponse()
print(json.dumps({"status": r.status, "server": r.getheader("server"), "body": r.read().decode()}))
"""


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with Outside() as server:
        yield server


@pytest.fixture(scope="module")
def pods(outside: Outside) -> list[Pod]:
    port = outside.port
    return [
        Pod("client", "198.18.0.2", port=9000, host_ports=(port,)),
        Pod("server", "198.18.0.3", port=8080, address="127.0.0.1"),
        Pod("plain", "198.18.0.4", sidecar=False, port=8080, host_ports=(port,)),
        Pod("local", "198.18.0.5", sidecar=False, port=8080, address="127.0.0.1"),
    ]


@pytest.fixture(scope="module")
def mesh(pods: list[Pod]) -> Iterator[ThrowawayMesh]:
    services = {
        (SERVICE, "198.19.0.10", 80): ("server",),
        ("plain.default.svc.cluster.local", "198.19.0.11", 80): ("plain",),
        ("local.default.svc.cluster.local", "198.19.0.12", 80): ("local",),
    }
    with ThrowawayMesh(pods, services, {"ingress/80": ("server",), "nodeport/plain": ("plain",)}) as running:
        yield running


def get(mesh: ThrowawayMesh, pod: Pod, host: str, port: int, *header: str) -> dict[str, object]:
    code, said = mesh.run_in(pod, "-c", GET, host, str(port), "/x", *header)
    assert code == 0, said
    found: dict[str, object] = json.loads(said)
    return found


def body(answer: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = json.loads(str(answer["body"]))
    return found


def test_http_goes_through_both_envoys_to_an_app_on_loopback_only(
    mesh: ThrowawayMesh, pods: list[Pod]
) -> None:
    answer = get(mesh, pods[0], "198.19.0.10", 80, SERVICE)
    assert answer["server"] == "envoy"
    assert body(answer)["name"] == "server"
    # The app sees its own Envoy's inbound source, so 15006 was passed, and delivery went to 127.0.0.1.
    assert body(answer)["peer"][0] == "127.0.0.6"  # type: ignore[index]
    assert "x-envoy-expected-rq-timeout-ms" in str(body(answer)["headers"]) or "x-request-id" in str(
        body(answer)["headers"]
    )


def test_a_pod_without_sidecar_reaches_a_cluster_ip_and_is_captured_inbound(
    mesh: ThrowawayMesh, pods: list[Pod]
) -> None:
    answer = get(mesh, pods[2], "198.19.0.10", 80)
    assert answer["server"] is None
    assert body(answer)["peer"][0] == "127.0.0.6"  # type: ignore[index]


def test_a_pod_without_sidecar_reaches_itself_through_its_cluster_ip(
    mesh: ThrowawayMesh, pods: list[Pod]
) -> None:
    assert body(get(mesh, pods[2], "198.19.0.11", 80))["name"] == "plain"


def test_an_app_on_loopback_only_is_served_without_a_sidecar_too(
    mesh: ThrowawayMesh, pods: list[Pod]
) -> None:
    assert body(get(mesh, pods[2], "198.19.0.12", 80))["peer"][0] == "198.18.0.4"  # type: ignore[index]
    assert body(get(mesh, pods[0], "198.19.0.12", 80, "local.default.svc.cluster.local"))["name"] == "local"


def test_a_pod_reaches_itself_through_its_own_service(mesh: ThrowawayMesh, pods: list[Pod]) -> None:
    answer = get(mesh, pods[1], "198.19.0.10", 80, SERVICE)
    assert body(answer)["name"] == "server"
    assert answer["server"] == "envoy"


def test_pod_address_and_unknown_ports(mesh: ThrowawayMesh, pods: list[Pod]) -> None:
    assert body(get(mesh, pods[0], "198.18.0.4", 8080))["name"] == "plain"
    code, said = mesh.run_in(pods[2], "-c", GET, "198.19.0.99", "80", "/")
    assert code != 0
    assert "Connection refused" in said


def test_the_ways_in_lead_to_pods(mesh: ThrowawayMesh) -> None:
    for way, name in (("ingress/80", "server"), ("nodeport/plain", "plain")):
        client = http.client.HTTPConnection("127.0.0.1", mesh.ports[way], timeout=5)
        client.request("GET", "/")
        assert json.loads(client.getresponse().read())["name"] == name
        client.close()


HALF_CLOSE = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
s.sendall(b"x" * 100000); s.shutdown(socket.SHUT_WR)
n = 0
while d := s.recv(65536): n += len(d)
print(n)
"""


@pytest.mark.parametrize("pod", [0, 2])
@pytest.mark.parametrize("address", ["198.18.255.254", "127.0.0.1"])
def test_the_host_is_reached_and_half_closes_arrive(
    mesh: ThrowawayMesh, pods: list[Pod], outside: Outside, pod: int, address: str
) -> None:
    port = outside.port
    code, said = mesh.run_in(pods[pod], "-c", HALF_CLOSE, address, str(port))
    assert (code, said.strip()) == (0, "100005")


MANY = """
import asyncio, resource, sys
async def one():
    r, w = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    w.write(b"a"); await w.drain(); await barrier.wait(); w.write_eof()
    assert await r.read() == b"host:a"; w.close()
async def main():
    global barrier
    barrier = asyncio.Barrier(2000)
    await asyncio.wait_for(asyncio.gather(*(one() for _ in range(2000))), 50)
    print("all")
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
asyncio.run(main())
"""


def test_two_thousand_connections_to_the_outside_at_once(
    mesh: ThrowawayMesh, pods: list[Pod], outside: Outside
) -> None:
    port = outside.port
    code, said = mesh.run_in(pods[0], "-c", MANY, "198.18.255.254", str(port), timeout=60)
    assert (code, said.strip()) == (0, "all")


UDP = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect((sys.argv[1], 53)); s.send(b"x")
try: s.recv(1)
except ConnectionRefusedError: print("refused")
except TimeoutError: print("silent")
"""


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("192.0.2.77", "refused"),
        ("198.18.9.9", "refused"),
        ("198.19.9.9", "refused"),
        # The mesh's own name server: while nobody answers there, resolvers must ask again and not give up.
        ("169.254.1.1", "silent"),
    ],
)
def test_udp_is_refused_unless_it_asks_for_names(
    mesh: ThrowawayMesh, pods: list[Pod], address: str, outcome: str
) -> None:
    assert mesh.run_in(pods[0], "-c", UDP, address) == (0, f"{outcome}\n")
