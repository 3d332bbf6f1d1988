from __future__ import annotations

import base64
import datetime as dt
import json
import os
import ssl
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.galley.fake_server import FakeServer, running

from meltemi.api.core.config import CONFIG_MAP
from meltemi.galley.shell.kube import KubeClient
from meltemi.galley.shell.kubeconfig import KubeconfigError, file_token, from_kubeconfig, in_cluster


def config(user: dict[str, Any], server: Any = "https://127.0.0.1:1", **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }


def written(folder: Path, content: Any) -> Path:
    path = folder / "config"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def context_of(client: KubeClient) -> ssl.SSLContext:
    assert client._tls is not None
    return client._tls


async def test_token_and_authorities(tmp_path: Path) -> None:
    certificate, key = pair()
    data = {
        "certificate-authority-data": base64.b64encode(certificate).decode(),
    }
    user = {
        "token": "secret",
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    client = await from_kubeconfig(written(tmp_path, config(user, **data)))
    assert client.address == "https://127.0.0.1:1"
    assert context_of(client).verify_mode is ssl.CERT_REQUIRED
    assert context_of(client).cert_store_stats()["x509"] == 1


async def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    certificate, _ = pair()
    (tmp_path / "ca.pem").write_bytes(certificate)
    client = await from_kubeconfig(written(tmp_path, config({}, **{"certificate-authority": "ca.pem"})))
    assert context_of(client).cert_store_stats()["x509"] == 1


async def test_verification_is_off_only_where_that_is_said(tmp_path: Path) -> None:
    client = await from_kubeconfig(written(tmp_path, config({}, **{"insecure-skip-tls-verify": True})))
    assert context_of(client).verify_mode is ssl.CERT_NONE


async def test_a_plug_in_is_asked_for_a_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text('#!/bin/sh\necho "{\\"status\\": {\\"token\\": \\"from-$WHO\\"}}"\n')
    plugin.chmod(stat.S_IRWXU)
    user = {"exec": {"command": "./plugin", "env": [{"name": "WHO", "value": "plugin"}]}}
    with tempfile.TemporaryDirectory(prefix="mk") as folder:
        async with running(FakeServer(Path(folder) / "s")) as server:
            client = await from_kubeconfig(written(tmp_path, config(user, server.address)))
            async with client:
                await client.get(CONFIG_MAP, "a", "b")
            assert server.headers[0]["Authorization"] == "Bearer from-plugin"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", "while parsing"),
        ("- a", "one YAML mapping"),
        ({"contexts": []}, "no context ''"),
        (config({}) | {"clusters": []}, "no cluster 'c'"),
        (config({}) | {"users": 5}, "no user 'u'"),
        (config({}, server=""), "has no server"),
        (config({"client-certificate": "missing"}), "client-certificate cannot be read"),
        (config({}, **{"certificate-authority-data": "!"}), "certificate-authority cannot be read"),
        (config({}, **{"certificate-authority-data": "aGk="}), "a certificate or key cannot be read"),
        (config({"exec": {"command": "/no/such/plugin", "installHint": "get it"}}), "get it"),
    ],
)
async def test_what_cannot_be_used_says_why(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(KubeconfigError, match=words):
        await from_kubeconfig(written(tmp_path, content))


async def test_a_missing_file_and_context_say_so(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="No such file"):
        await from_kubeconfig(tmp_path / "none")
    with pytest.raises(KubeconfigError, match="no context 'other'"):
        await from_kubeconfig(written(tmp_path, config({})), "other")


def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    read = file_token(path)
    assert read() == "one"
    path.write_text("two\n")
    os.utime(path, ns=(1, 1))
    assert read() == "two"


def test_in_a_cluster_the_service_account_is_used(tmp_path: Path) -> None:
    certificate, _ = pair()
    (tmp_path / "ca.crt").write_bytes(certificate)
    (tmp_path / "token").write_text("secret")
    client = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert client.address == "https://[fd00::1]:443"
    with pytest.raises(KubeconfigError):
        in_cluster({}, tmp_path)
