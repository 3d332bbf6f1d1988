"""Two stock Envoys with what is translated: mutual TLS between them, identities, and what PeerAuthentication says."""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.pilot.core.bootstraps import bootstrap
from tests.pilot.core.meshes import Mesh
from tests.pilot.core.test_envoy_obeys import App, Proxy, free_port

from meltemi.envoy import names

pytestmark = pytest.mark.live

HOST = "helloworld.default.svc.cluster.local"


class Authority:
    """A root of the mesh, for the length of a test."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test")])
        self.certificate = self._sign(
            self.key.public_key(), self.name, x509.BasicConstraints(True, None), critical=True
        )

    def _sign(self, key: Any, subject: x509.Name, extension: Any, *, critical: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(extension, critical=critical)
            .sign(self.key, hashes.SHA256())
        )

    def secrets(self, account: str) -> list[dict[str, Any]]:
        """Make the two secrets that a workload of an account gets."""
        key = ec.generate_private_key(ec.SECP256R1())
        uri = x509.UniformResourceIdentifier(names.spiffe("cluster.local", "default", account))
        leaf = self._sign(key.public_key(), x509.Name([]), x509.SubjectAlternativeName([uri]), critical=True)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = serialization.Encoding.PEM
        chain = {"inline_string": leaf.public_bytes(pem).decode()}
        root = {"inline_string": self.certificate.public_bytes(pem).decode()}
        own = {"certificate_chain": chain, "private_key": {"inline_string": private.decode()}}
        return [
            {"name": "default", "tls_certificate": own},
            {"name": "ROOTCA", "validation_context": {"trusted_ca": root}},
        ]


def with_secrets(config: dict[str, Any], secrets: list[dict[str, Any]]) -> dict[str, Any]:
    """Give a bootstrap its secrets by hand: no agent is there to ask."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(one) for key, one in value.items() if key != "sdsConfig"}
        return [strip(one) for one in value] if isinstance(value, list) else value

    config["static_resources"] = {**strip(config["static_resources"]), "secrets": secrets}
    return config


class Pair:
    """A client's and a server's proxy, and the app behind the latter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.port = free_port()
        self.app = ThreadingHTTPServer(("127.0.0.1", 0), type("v1", (App,), {"version": "v1"}))
        threading.Thread(target=self.app.serve_forever, daemon=True).start()
        self.mesh = Mesh()
        self.mesh.service("helloworld", ports={"http": (5000, self.port)})
        self.mesh.pod("helloworld", ip="127.0.0.1", labels={"app": "helloworld"}, account="helloworld")
        self.mesh.pod("sleep", ip="127.0.0.4", account="sleep")
        self.running: list[Proxy] = []

    def server(self, account: str = "helloworld") -> Proxy:
        """Start the server's proxy, which shows the certificate of an account."""
        config = bootstrap(self.mesh.roots("helloworld"), inline_endpoints=True)
        for cluster in config["static_resources"]["clusters"]:
            if cluster["name"] == names.inbound_cluster(self.port):
                # Nothing is redirected here, so the app is not at the connection's own destination.
                del cluster["upstreamBindConfig"]
                cluster["type"] = "STATIC"
                cluster["lbPolicy"] = "ROUND_ROBIN"
                address = {"address": "127.0.0.1", "portValue": self.app.server_port}
                endpoint = {"endpoint": {"address": {"socketAddress": address}}}
                cluster["loadAssignment"] = {"clusterName": "app", "endpoints": [{"lbEndpoints": [endpoint]}]}
        return self.start(config, names.VIRTUAL_INBOUND, "server", account, self.port)

    def client(self) -> Proxy:
        """Start the client's proxy."""
        config = bootstrap(self.mesh.roots("sleep"), inline_endpoints=True)
        return self.start(config, "0.0.0.0_5000", "client", "sleep")

    def start(self, config: dict[str, Any], listener: str, name: str, account: str, port: int = 0) -> Proxy:
        """Start one proxy with the secrets of an account."""
        folder = self.folder / name
        folder.mkdir()
        made = Proxy(with_secrets(config, self.authority.secrets(account)), listener, folder, port)
        self.running.append(made)
        return made

    def mode(self, mode: str) -> None:
        """Say what the server takes."""
        self.mesh.apply(
            f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default}}
spec: {{mtls: {{mode: {mode}}}}}
"""
        )

    def stop(self) -> None:
        """End everything."""
        for one in self.running:
            one.stop()
        self.app.shutdown()
        self.app.server_close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Make a pair."""
    made = Pair(tmp_path)
    yield made
    made.stop()


def plainly(port: int) -> bytes:
    """Ask in plain text; b"" where the connection is ended without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        try:
            one.sendall(b"GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: one.recv(4096), b""))
        except ConnectionError:
            return b""


def test_identity_arrives_and_strict_refuses_plain_text(pair: Pair) -> None:
    pair.mode("STRICT")
    server, client = pair.server(), pair.client()
    status, _headers, body = client.get(
        "/", "helloworld", x_forwarded_client_cert="URI=spiffe://cluster.local/ns/x/sa/admin"
    )
    told = {name.lower(): value for name, value in body["headers"].items()}["x-forwarded-client-cert"]
    assert status == 200
    assert "URI=spiffe://cluster.local/ns/default/sa/sleep" in told
    assert "admin" not in told
    assert plainly(server.port) == b""


def test_permissive_takes_both_and_plain_text_bears_no_identity(pair: Pair) -> None:
    server, client = pair.server(), pair.client()
    assert client.get("/", "helloworld")[0] == 200
    answer = plainly(server.port)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"x-forwarded-client-cert" not in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == "/plain"


def test_a_server_of_another_account_is_not_believed(pair: Pair) -> None:
    pair.server(account="impostor")
    client = pair.client()
    assert client.get("/", "helloworld")[0] == 503


def test_without_a_sidecar_the_server_is_called_in_plain_text(pair: Pair) -> None:
    pair.mesh.pod("helloworld", ip="127.0.0.1", labels={"app": "helloworld"}, sidecar=False)
    app = ThreadingHTTPServer(("127.0.0.1", pair.port), type("plain", (App,), {"version": "plain"}))
    threading.Thread(target=app.serve_forever, daemon=True).start()
    try:
        assert pair.client().get("/", "helloworld")[2]["version"] == "plain"
    finally:
        app.shutdown()
        app.server_close()
