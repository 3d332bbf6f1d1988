"""What strangers, apps and holders of tokens try on the running mesh, and do not get."""

from __future__ import annotations

import json
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from tests.live.meshes import Mesh

from meltemi.citadel.wire import messages
from meltemi.ctl.client import ApiError, Client, UnixTransport

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ECHO = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""
TRY = """
import json, socket, sys
host, found = sys.argv[1], {}
for port in map(int, sys.argv[2:]):
    try:
        with socket.create_connection((host, port), 5) as s:
            s.settimeout(5)
            s.sendall(f"GET /config_dump HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
            found[port] = s.recv(12).decode()
    except OSError as error:
        found[port] = type(error).__name__
print(json.dumps(found))
"""
SPOOFED = {
    "x-envoy-decorator-operation": "evil",
    "x-envoy-downstream-service-cluster": "evil",
    "x-envoy-external-address": "10.1.1.1",
    "x-envoy-force-trace": "1",
    "x-envoy-internal": "true",
    "x-envoy-is-timeout-retry": "true",
    "x-envoy-original-dst-host": "198.18.0.1:9",
    "x-envoy-original-path": "/evil",
    "x-envoy-peer-metadata": "ChoK",
    "x-envoy-peer-metadata-id": "sidecar~1.1.1.1~a.b~c",
    "x-envoy-retry-on": "5xx",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-forwarded-client-cert": "By=a;URI=spiffe://cluster.local/ns/istio-system/sa/admin",
    "x-forwarded-proto": "https",
    "x-istio-attributes": "Cg==",
    "x-request-id": "evil",
}


def object_of(kind: str, name: str, spec: Any, version: str = "networking.istio.io/v1") -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def echo(world: Mesh) -> Iterator[Mesh]:
    """A server that tells the headers it got, and a Service that names Envoy's admin port as well."""
    commands = {"main": "8080", "undeclared": "9090"}
    containers = [
        {"name": name, "image": "local", "command": [sys.executable, "-c", ECHO, port]}
        for name, port in commands.items()
    ]
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "tcp", "port": 15000}]
    world.apply(
        object_of("Pod", "echo", {"containers": containers, "terminationGracePeriodSeconds": 1}, "v1"),
        object_of("Service", "echo", {"selector": {"app": "echo"}, "ports": ports}, "v1"),
        object_of(
            "VirtualService",
            "echo",
            {
                "hosts": ["echo.example"],
                "gateways": ["helloworld-gateway"],
                "http": [{"route": [{"destination": {"host": "echo", "port": {"number": 80}}}]}],
            },
        ),
    )
    world.ready("echo")
    world.meltemi("wait", "virtualservice/echo", "service/echo").good()
    yield world
    world.kubectl("delete", "pod/echo", "service/echo", "virtualservice/echo").good()


def headers_at_the_app(mesh: Mesh) -> dict[str, str]:
    port = urlsplit(mesh.hands.ingress).port
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(5)
        lines = ["GET / HTTP/1.1", "Host: echo.example", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in SPOOFED.items()]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        with client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return dict(json.loads(body))


def test_what_proxies_tell_each_other_is_not_taken_from_a_foreign_client(echo: Mesh) -> None:
    arrived = headers_at_the_app(echo)
    assert {name for name, value in SPOOFED.items() if arrived.get(name) == value} == set()
    assert "URI=spiffe://cluster.local/ns/istio-system/sa/" in arrived["x-forwarded-client-cert"]
    assert "sa/admin" not in arrived["x-forwarded-client-cert"]
    assert arrived["x-forwarded-proto"] == "http"


def tried(mesh: Mesh, pod: str, host: str, *ports: int) -> dict[int, str]:
    done = mesh.meltemi("exec", pod, "--", sys.executable, "-c", TRY, host, *map(str, ports))
    return {int(port): said for port, said in json.loads(done.good()).items()}


def test_envoys_admin_is_closed_to_other_pods_even_where_a_service_names_it(echo: Mesh) -> None:
    ip = echo.object("pod", "echo")["status"]["podIP"]
    for pod in ("outsider", "sleep"):
        found = {**tried(echo, pod, ip, 9090, 15000), -1: tried(echo, pod, "echo", 15000)[15000]}
        assert found[9090] == "HTTP/1.1 200"
        assert not {found[15000], found[-1]} & {"HTTP/1.1 200"}, found


def test_strict_covers_ports_that_nobody_declared(echo: Mesh) -> None:
    ip = echo.object("pod", "echo")["status"]["podIP"]
    strict = object_of(
        "PeerAuthentication",
        "strict",
        {"selector": {"matchLabels": {"app": "echo"}}, "mtls": {"mode": "STRICT"}},
        "security.istio.io/v1",
    )
    echo.apply(strict)
    try:
        echo.meltemi("wait", "peerauthentication/strict").good()
        refused = tried(echo, "outsider", ip, 8080, 9090, 15000, 15001, 15006)
        assert not [port for port, said in refused.items() if said.startswith("HTTP/")], refused
        assert tried(echo, "sleep", "echo", 80)[80] == "HTTP/1.1 200"
    finally:
        echo.kubectl("delete", "peerauthentication/strict").good()


def test_files_of_the_mesh_are_its_owners_alone(world: Mesh) -> None:
    for folder in (Path(world.layout.state), Path(world.layout.run)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    secret = ("*.pem", "tokens/*", "identity.json", "kubeconfig", "store.db*", "*.log", "plan.json")
    found = {path for pattern in secret for path in Path(world.layout.state).rglob(pattern) if path.is_file()}
    found |= set(Path(world.layout.run).rglob("*.sock"))
    assert len(found) > 25
    assert {str(path) for path in found if path.lstat().st_mode & 0o077} == set()


def code(mesh: Mesh, token: str, method: str, path: str, body: Any = None) -> int:
    """The API's answer to this token."""
    client = Client(UnixTransport(mesh.layout.api_socket), token, mesh.name, mesh.layout.init_socket)
    try:
        client.json(method, path, None, body)
    except ApiError as error:
        return error.code
    finally:
        client.close()
    return 200


def stream(mesh: Mesh, token: str) -> str:
    """Ask for clusters in another pod's name; the control plane's answer to this token."""
    request = DeltaDiscoveryRequest(type_url=CLUSTERS)
    request.node.id = "sidecar~198.18.0.3~helloworld-v1.default~default.svc.cluster.local"
    with grpc.insecure_channel(f"unix:{mesh.layout.xds_socket}") as channel:
        call: Any = channel.stream_stream(
            ADS, request_serializer=bytes, response_deserializer=DeltaDiscoveryResponse.FromString
        )
        waiting = threading.Event()

        def said() -> Iterator[bytes]:
            yield request.SerializeToString()
            waiting.wait(10)

        try:
            first = next(call(said(), metadata=(("authorization", f"Bearer {token}"),), timeout=10))
        except grpc.RpcError as error:
            return str(error.code().name)
        finally:
            waiting.set()
        names = [resource.name for resource in first.resources]
        return "helloworld-v1's" if any(name.startswith("inbound|5000") for name in names) else "its own"


def certificate_for(mesh: Mesh, token: str, wanted: str) -> list[str]:
    """Ask for a certificate in another's name; the names in the one that comes."""
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(wanted)])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(uri, critical=False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    with grpc.insecure_channel(f"unix:{mesh.layout.xds_socket}") as channel:
        call: Any = channel.unary_unary(f"/{messages.SERVICE}/{messages.METHOD}")
        metadata = (("authorization", f"Bearer {token}"),)
        asked = messages.encode_request(messages.CertificateRequest(request))
        leaf = messages.decode_response(call(asked, metadata=metadata, timeout=10))[0]
    found = x509.load_pem_x509_certificate(leaf.encode()).extensions
    return found.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    )


def token_of(mesh: Mesh, who: str, pod: str, account: str, *audiences: str) -> str:
    """A token of a pod, as its agent gets one."""
    reference = {"kind": "Pod", "name": pod, "uid": mesh.object("pod", pod)["metadata"]["uid"]}
    client = Client(UnixTransport(mesh.layout.api_socket), who, mesh.name, mesh.layout.init_socket)
    path = f"/api/v1/namespaces/default/serviceaccounts/{account}/token"
    spec = {"boundObjectRef": reference, "audiences": list(audiences)}
    answer = client.json("POST", path, None, {"spec": spec})
    client.close()
    return str(answer["status"]["token"])


def test_a_token_is_good_for_its_own_pod_and_its_own_purpose(world: Mesh) -> None:
    admin, node = (Path(world.layout.tokens_folder, name).read_text().strip() for name in ("admin", "node"))
    proxy = token_of(world, node, "sleep", "sleep", "istio-ca")
    general = token_of(world, node, "sleep", "sleep")
    assert stream(world, proxy) == "its own"
    assert certificate_for(world, proxy, "spiffe://cluster.local/ns/default/sa/default") == [
        "spiffe://cluster.local/ns/default/sa/sleep"
    ]
    for other in (general, admin, node, f"{proxy[:-4]}AAAA", "x" * 9000):
        assert stream(world, other) == "UNAUTHENTICATED"
    pods = "/api/v1/namespaces/default/pods"
    assert code(world, proxy, "GET", pods) == 401
    pod = {"metadata": {"name": "x"}, "spec": {"hostNetwork": True, "containers": [{"name": "a"}]}}
    for method, path, body in (
        ("GET", pods, None),
        ("GET", "/api/v1/secrets", None),
        ("GET", "/debug/config_dump?proxyID=sleep.default", None),
        ("GET", f"{pods}/sleep/log", None),
        ("POST", pods, pod),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/sleep/token", {"spec": {}}),
        ("PATCH", f"{pods}/outsider/status", {"status": {}}),
    ):
        assert code(world, general, method, path, body) == 403, path
    account = "/api/v1/namespaces/default/serviceaccounts/sleep/token"
    for path, body in ((account, {"spec": {}}), (pods, pod), (f"{pods}/sleep/exec?command=id", {})):
        assert code(world, node, "POST", path, body) == 403, path


def test_the_token_of_a_pod_ends_with_it(world: Mesh) -> None:
    node = Path(world.layout.tokens_folder, "node").read_text().strip()
    short = {
        "containers": [{"name": "a", "command": ["/bin/sleep", "9"]}],
        "terminationGracePeriodSeconds": 0,
    }
    document = object_of("Pod", "short", short, "v1")
    world.apply(document)
    world.ready("short")
    proxy = token_of(world, node, "short", "default", "istio-ca")
    assert stream(world, proxy) == "its own"
    world.kubectl("delete", "pod/short").good()
    assert stream(world, proxy) == "UNAUTHENTICATED"
    world.apply(document)
    try:
        # A new pod of that name is another pod.
        assert stream(world, proxy) == "UNAUTHENTICATED"
    finally:
        world.kubectl("delete", "pod/short").good()


def test_names_that_become_files_lead_nowhere_else(world: Mesh) -> None:
    admin = Path(world.layout.tokens_folder, "admin").read_text().strip()
    pods = "/api/v1/namespaces/default/pods"
    for pod, container in (("..", "a"), ("a/b", "a"), ("x", "../../../x"), ("x", "a/b"), ("x", "..")):
        spec = {"containers": [{"name": container, "command": ["/bin/true"]}]}
        assert code(world, admin, "POST", pods, {"metadata": {"name": pod}, "spec": spec}) == 422, container
    assert code(world, admin, "GET", f"{pods}/..%2f..%2ftokens/log") == 404
