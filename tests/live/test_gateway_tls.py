"""TLS that the ingress gateway ends, as a client outside of the mesh sees it, by the port that `status` shows."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.live import meshes
from tests.live.meshes import Mesh, until
from tests.pilot.core.certificates import Authority, Pair, opaque

from meltemi.agent.shell.net_init import Client as InitClient
from meltemi.init.wire import Hold, Process, Signal, Status, Table

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

SYSTEM = "istio-system"
INGRESS = "istio-ingressgateway"
OURS = Authority("ours")
CLIENTS = Authority("clients")


@dataclass(frozen=True)
class Told:
    """What a client saw: the body, the certificate that was shown, version and cipher of TLS."""

    body: str
    shown: str
    version: str
    cipher: str


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A mesh with nothing but its ingress gateway."""
    with meshes.mesh("tls") as made:
        yield made


def door(mesh: Mesh) -> int:
    """The port of the host that leads to 443 of the ingress gateway."""
    shown = json.loads(mesh.meltemi("status", "-o", "json").out)
    [url] = [row["url"] for row in shown["gateways"] if row["name"] == "ingress 443"]
    assert url.startswith("https://127.0.0.1:")
    return int(urlsplit(url).port or 0)


def ask(port: int, name: str, *, client: Pair | None = None, host: str = "", **limits: Any) -> Told:
    """Ask for / by TLS with a server name, the server known by our authority; OSError where that fails."""
    context = ssl.create_default_context(cadata=OURS.pem)
    for key, value in limits.items():
        if key == "ciphers":
            context.set_ciphers(value)
        else:
            setattr(context, key, value)
    if client is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(client.key + client.certificate)
            file.flush()
            context.load_cert_chain(file.name)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=name) as tls,
    ):
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {host or name}\r\nConnection: close\r\n\r\n".encode())
        whole = b""
        while more := tls.recv(65536):
            whole += more
        head, _, body = whole.partition(b"\r\n\r\n")
        if not head:
            raise ConnectionResetError("nothing came")
        shown = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")
        cipher = tls.cipher()
        return Told(body.decode(), shown, tls.version() or "", cipher[0] if cipher else "")


def answers(port: int, name: str, **more: Any) -> bool:
    """Whether a server serves a name with its own routes."""
    try:
        return ask(port, name, **more).body == name
    except OSError:
        return False


def gateway(
    gateway_name: str, *servers: tuple[str, dict[str, Any]], protocol: str = "HTTPS"
) -> list[dict[str, Any]]:
    """A Gateway of servers (host, TLS) on 443, each host with a route that answers its name."""
    rows = [
        {"port": {"number": 443, "name": f"p{at}", "protocol": protocol}, "hosts": [host], "tls": tls}
        for at, (host, tls) in enumerate(servers)
    ]
    spec: dict[str, Any] = {"selector": {"istio": "ingressgateway"}, "servers": rows}
    made = [of("Gateway", gateway_name, spec)]
    for host, _ in servers:
        name = host.replace("*", "b")
        says = {"directResponse": {"status": 200, "body": {"string": name}}}
        rules = {"hosts": [name], "gateways": [gateway_name], "http": [says]}
        made.append(of("VirtualService", name.replace(".", "-"), rules))
    return made


def of(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def apply(mesh: Mesh, *documents: dict[str, Any]) -> None:
    """Apply, and wait until the gateway has it."""
    mesh.apply(*documents)
    for one in documents:
        if one["kind"] == "Gateway":
            mesh.meltemi("wait", f"gateway/{one['metadata']['name']}").good()


def told(mesh: Mesh, name: str) -> list[str]:
    """What `status` tells of a Gateway."""
    problems = json.loads(mesh.meltemi("status", "-o", "json").out)["problems"]
    return [one["message"] for one in problems if one["object"] == f"gateway default/{name}"]


def refused(port: int, name: str, **more: Any) -> None:
    with pytest.raises(OSError):
        ask(port, name, **more)


def table(mesh: Mesh) -> dict[str, Process]:
    found = InitClient(mesh.layout).ask(Status())
    assert isinstance(found, Table)
    return {row.name: row for row in found.processes}


def test_a_secret_opens_a_server_and_a_new_one_is_shown_without_a_failed_request(mesh: Mesh) -> None:
    port = door(mesh)
    first, second = OURS.pair("shop.test"), OURS.pair("shop.test", bits=2048)
    simple = {"mode": "SIMPLE", "credentialName": "shop"}
    apply(mesh, *gateway("shop", ("shop.test", simple)))
    refused(port, "shop.test")
    [words] = told(mesh, "shop")
    assert "MEL0506" in words
    assert "no secret shop" in words
    # A secret of that name in another namespace is nobody's.
    mesh.apply(first.secret("shop", "default"))
    time.sleep(0.5)
    refused(port, "shop.test")

    mesh.apply(first.secret("shop"))
    until(lambda: answers(port, "shop.test"), 5, "the server is open")
    assert ask(port, "shop.test").shown == first.certificate
    assert told(mesh, "shop") == []

    asked: list[str] = []
    rotated = threading.Event()

    def keep_asking() -> None:
        while not rotated.is_set():
            try:
                asked.append(ask(port, "shop.test").body)
            except OSError as error:
                asked.append(str(error))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        mesh.apply(second.secret("shop"))
        until(lambda: ask(port, "shop.test").shown == second.certificate, 5, "the new one is shown")
    finally:
        rotated.set()
        asking.join()
    assert set(asked) == {"shop.test"}


@pytest.mark.long
def test_what_wait_says_is_there_is_served_at_once(mesh: Mesh) -> None:
    port = door(mesh)
    mesh.apply(OURS.pair("*.once.test").secret("once"))
    for turn in range(5):
        name = f"h{turn}.once.test"
        apply(mesh, *gateway(f"once-{turn}", (name, {"mode": "SIMPLE", "credentialName": "once"})))
        mesh.meltemi("wait", f"virtualservice/h{turn}-once-test").good()
        assert ask(port, name).body == name


def test_plain_text_is_never_answered_on_a_tls_port(mesh: Mesh) -> None:
    port = door(mesh)
    apply(mesh, *gateway("plain", ("plain.test", {"mode": "SIMPLE", "credentialName": "plain"})))
    mesh.apply(OURS.pair("plain.test").secret("plain"))
    until(lambda: answers(port, "plain.test"), 5, "the server is open")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(1) == b""


def test_one_server_closes_and_others_of_the_port_go_on(mesh: Mesh) -> None:
    port = door(mesh)
    apply(
        mesh,
        *gateway(
            "two",
            ("one.two.test", {"mode": "SIMPLE", "credentialName": "one"}),
            ("*.two.test", {"mode": "SIMPLE", "credentialName": "rest"}),
        ),
    )
    mesh.apply(OURS.pair("one.two.test").secret("one"), OURS.pair("*.two.test").secret("rest"))
    until(lambda: answers(port, "one.two.test"), 5, "the first is open")
    until(lambda: answers(port, "b.two.test"), 5, "the second is open")
    broken = opaque("one", SYSTEM, "kubernetes.io/tls", **{"tls.crt": "hello", "tls.key": "world"})
    mesh.apply(broken)
    until(lambda: not answers(port, "one.two.test"), 5, "a malformed secret closes its server")
    refused(port, "one.two.test")
    assert ask(port, "b.two.test").shown
    assert any("secret istio-system/one" in words for words in told(mesh, "two"))
    mesh.apply(OURS.pair("one.two.test").secret("one"))
    until(lambda: answers(port, "one.two.test"), 5, "a good one opens it again")
    mesh.kubectl("delete", "secret", "one", "-n", SYSTEM).good()
    until(lambda: not answers(port, "one.two.test"), 5, "without its secret it is closed")
    assert ask(port, "b.two.test").shown


@pytest.mark.long
def test_clients_show_who_they_are(mesh: Mesh) -> None:
    port = door(mesh)
    apply(
        mesh,
        *gateway(
            "mutual",
            ("must.test", {"mode": "MUTUAL", "credentialName": "must"}),
            ("may.test", {"mode": "OPTIONAL_MUTUAL", "credentialName": "may"}),
        ),
    )
    good, revoked, foreign = CLIENTS.pair("a.test"), CLIENTS.pair("b.test"), OURS.pair("a.test")
    # Without authorities nobody could be told from anybody: closed.
    mesh.apply(OURS.pair("must.test").secret("must"), OURS.pair("may.test").secret("may"))
    until(lambda: len(told(mesh, "mutual")) == 2, 5, "what lacks authorities is told")
    refused(port, "must.test", client=good)
    refused(port, "may.test")
    mesh.apply(
        opaque("must-cacert", SYSTEM, **{"ca.crt": CLIENTS.pem, "crl": CLIENTS.crl(revoked)}),
        opaque("may-cacert", SYSTEM, cacert=CLIENTS.pem),
    )
    until(lambda: answers(port, "must.test", client=good), 5, "a client with a certificate is let in")
    refused(port, "must.test")
    refused(port, "must.test", client=foreign)
    refused(port, "must.test", client=revoked)
    until(lambda: answers(port, "may.test"), 5, "one without is let in where it may")
    assert answers(port, "may.test", client=good)
    refused(port, "may.test", client=foreign)
    # Who came in by one server is not served what is behind another.
    assert ask(port, "may.test", host="must.test").body == ""
    # Authorities are replaced while it runs, too.
    mesh.apply(opaque("must-cacert", SYSTEM, **{"ca.crt": OURS.pem}))
    until(lambda: answers(port, "must.test", client=foreign), 5, "new authorities are believed")
    refused(port, "must.test", client=good)


def test_clients_are_narrowed_by_names_and_hashes(mesh: Mesh) -> None:
    port = door(mesh)
    chosen, other = CLIENTS.pair("chosen.test"), CLIENTS.pair("other.test")
    parsed = x509.load_pem_x509_certificate(chosen.certificate.encode())
    whole = hashlib.sha256(parsed.public_bytes(Encoding.DER)).hexdigest()
    key = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    spki = base64.b64encode(hashlib.sha256(key).digest()).decode()
    mutual = {"mode": "MUTUAL", "credentialName": "narrow"}
    servers: dict[str, dict[str, Any]] = {
        "san.narrow.test": {**mutual, "subjectAltNames": ["chosen.test"]},
        "hash.narrow.test": {**mutual, "verifyCertificateHash": [whole]},
        "spki.narrow.test": {**mutual, "verifyCertificateSpki": [spki]},
    }
    apply(mesh, *gateway("narrow", *servers.items()))
    mesh.apply(OURS.pair("*.narrow.test").secret("narrow", SYSTEM, **{"ca.crt": CLIENTS.pem}))
    for name in servers:
        until(lambda name=name: answers(port, name, client=chosen), 5, f"{name} is open")  # type: ignore[misc]
        refused(port, name, client=other)


@pytest.mark.long
def test_versions_and_ciphers_are_those_asked_for(mesh: Mesh) -> None:
    port = door(mesh)
    simple = {"mode": "SIMPLE", "credentialName": "old"}
    cipher = "ECDHE-ECDSA-AES256-GCM-SHA384"
    servers: dict[str, dict[str, Any]] = {
        "new.old.test": {**simple, "minProtocolVersion": "TLSV1_3"},
        "old.old.test": {**simple, "maxProtocolVersion": "TLSV1_2", "cipherSuites": [cipher]},
    }
    apply(mesh, *gateway("old", *servers.items()))
    mesh.apply(OURS.pair("*.old.test").secret("old"))
    for name in servers:
        until(lambda name=name: answers(port, name), 5, f"{name} is open")  # type: ignore[misc]
    assert ask(port, "new.old.test").version == "TLSv1.3"
    refused(port, "new.old.test", maximum_version=ssl.TLSVersion.TLSv1_2)
    seen = ask(port, "old.old.test")
    assert (seen.version, seen.cipher) == ("TLSv1.2", cipher)
    refused(port, "old.old.test", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")


def test_istio_mutual_lets_in_workloads_of_the_mesh(mesh: Mesh) -> None:
    port = door(mesh)
    own = json.loads(Path(mesh.layout.pod_folder(SYSTEM, INGRESS), "identity.json").read_text())
    workload = Pair(own["chain"], own["key"])
    apply(mesh, *gateway("inner", ("mesh.test", {"mode": "ISTIO_MUTUAL"})))
    trusting = {"check_hostname": False, "verify_mode": ssl.CERT_NONE}
    until(lambda: answers(port, "mesh.test", client=workload, **trusting), 5, "a workload is let in")
    refused(port, "mesh.test", **trusting)
    refused(port, "mesh.test", client=CLIENTS.pair("a.test"), **trusting)


def test_keys_are_nowhere_but_in_files_of_the_owner_alone(mesh: Mesh) -> None:
    port = door(mesh)
    pair = OURS.pair("key.test")
    apply(mesh, *gateway("key", ("key.test", {"mode": "SIMPLE", "credentialName": "key"})))
    mesh.apply(pair.secret("key"))
    until(lambda: answers(port, "key.test"), 5, "the server is open")
    line = pair.key.splitlines()[1]
    encoded = base64.b64encode(pair.key.encode()).decode()
    # Wherever it may start in base64 of base64, this much of it is the same.
    marks = [line.encode(), encoded[40:100].encode()]
    dump = mesh.kubectl("get", "--raw", f"/debug/config_dump?proxyID={INGRESS}.{SYSTEM}").good()
    assert "key.test" in dump
    envoys = mesh.hands.envoy(SYSTEM, INGRESS, "config_dump?include_eds")
    assert "kubernetes://key" in envoys
    for shown in (dump, envoys):
        assert not any(mark.decode() in shown for mark in marks)
    held = 0
    for file in Path(mesh.layout.state).rglob("*"):
        if file.is_file() and any(mark in file.read_bytes() for mark in marks):
            assert file.suffix != ".log", file
            assert file.stat().st_mode & 0o077 == 0, file
            held += 1
    assert held >= 2
    # What the gateway shows no more is not kept on its node either.
    kept = Path(mesh.layout.pod_folder(SYSTEM, INGRESS), "accepted.Secret")
    assert any(mark in kept.read_bytes() for mark in marks)
    mesh.kubectl("delete", "secret", "key", "-n", SYSTEM).good()
    until(lambda: not any(mark in kept.read_bytes() for mark in marks), 10, "the agent lets go of it")


@pytest.mark.long
def test_it_outlives_the_control_plane(mesh: Mesh) -> None:
    port = door(mesh)
    apply(mesh, *gateway("kept", ("kept.test", {"mode": "SIMPLE", "credentialName": "kept"})))
    mesh.apply(OURS.pair("kept.test").secret("kept"))
    until(lambda: answers(port, "kept.test"), 5, "the server is open")
    init = InitClient(mesh.layout)
    own = [name for name in table(mesh) if name.startswith(f"pod/{SYSTEM}/{INGRESS}/")]
    assert own
    init.ask(Hold("daemon", 8))
    until(lambda: table(mesh)["daemon"].state == "held", 5, "the control plane is away")
    time.sleep(1.5)
    for name in own:
        init.ask(Signal(name, 9))
    until(lambda: answers(port, "kept.test"), 5, "the gateway serves from what was kept")
    assert table(mesh)["daemon"].state == "held"
    until(lambda: table(mesh)["daemon"].state == "running", 15, "the control plane is back")
    renewed = OURS.pair("kept.test")
    until(lambda: mesh.kubectl("get", "secret", "kept", "-n", SYSTEM).code == 0, 20, "the API answers")
    mesh.apply(renewed.secret("kept"))
    until(lambda: ask(port, "kept.test").shown == renewed.certificate, 10, "and is followed again")
