"""Kubeconfigs and service accounts, against a server that speaks TLS."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import stat
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.galley.tls_server import Authority, TlsServer, proxying, serving

from meltemi.api.core.config import CONFIG_MAP
from meltemi.galley.shell.credentials import Plugin
from meltemi.galley.shell.kube import ApiError, KubeClient, UnreachableError
from meltemi.galley.shell.kubeconfig import KubeconfigError, from_kubeconfig, in_cluster
from meltemi.galley.shell.reflector import Reflector

AUTHORITY = Authority()
V1 = "client.authentication.k8s.io/v1"
BETA = "client.authentication.k8s.io/v1beta1"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


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


@pytest.fixture
async def server() -> AsyncIterator[TlsServer]:
    async with serving(AUTHORITY) as made:
        yield made


async def client_of(server: TlsServer, folder: Path, user: dict[str, Any], **cluster: Any) -> KubeClient:
    """Make a client that trusts the server's authority."""
    known = {"certificate-authority-data": encoded(server.authority.pem), **cluster}
    content = config(
        user, server.address, **{key: value for key, value in known.items() if value is not None}
    )
    return await from_kubeconfig(written(folder, content))


async def ask(client: KubeClient) -> None:
    await client.get(CONFIG_MAP, "a", "b")


async def test_a_token(server: TlsServer, tmp_path: Path) -> None:
    async with await client_of(server, tmp_path, {"token": "secret"}) as client:
        await ask(client)
    assert server.asked == [("", "secret")]


async def test_a_server_that_nobody_vouches_for_is_not_believed(server: TlsServer, tmp_path: Path) -> None:
    stranger = encoded(Authority("stranger").pem)
    user = {"token": "secret"}
    async with await client_of(server, tmp_path, user, **{"certificate-authority-data": stranger}) as client:
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            await ask(client)
    off = {"certificate-authority-data": None, "insecure-skip-tls-verify": True}
    async with await client_of(server, tmp_path, user, **off) as client:
        await ask(client)
    assert server.asked == [("", "secret")]


async def test_a_certificate_as_data_and_in_files_relative_to_the_kubeconfig(
    server: TlsServer, tmp_path: Path
) -> None:
    certificate, key = AUTHORITY.pair("alice")
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    async with await client_of(server, tmp_path, user) as client:
        await ask(client)
    certificate, key = AUTHORITY.pair("bob")
    for name, data in (("crt", certificate), ("key", key), ("ca", AUTHORITY.pem)):
        (tmp_path / name).write_bytes(data)
    files = {"client-certificate": "crt", "client-key": "key"}
    trusted = {"certificate-authority-data": None, "certificate-authority": "ca"}
    async with await client_of(server, tmp_path, files, **trusted) as client:
        await ask(client)
        # Renewed, one file after the other.
        certificate, key = AUTHORITY.pair("carol")
        (tmp_path / "crt").write_bytes(certificate)
        await ask(client)
        (tmp_path / "key").write_bytes(key)
        await ask(client)
    assert [who for who, _ in server.asked] == ["alice", "bob", "bob", "carol"]


async def test_a_token_in_a_file_is_followed(server: TlsServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    async with await client_of(server, tmp_path, {"tokenFile": "token", "token": "passed over"}) as client:
        await ask(client)
        file.write_text("second\n")
        await ask(client)
        file.unlink()
        await ask(client)
    assert [token for _, token in server.asked] == ["one", "second", "second"]


async def test_the_name_that_the_certificate_is_for(tmp_path: Path) -> None:
    async with serving(AUTHORITY, "kubernetes.test") as server:
        async with await client_of(server, tmp_path, {}) as client:
            with pytest.raises(UnreachableError, match=r"IP address mismatch|not valid for"):
                await ask(client)
        async with await client_of(server, tmp_path, {}, **{"tls-server-name": "kubernetes.test"}) as client:
            await ask(client)
            async for _ in client.watch(CONFIG_MAP):
                pass
        assert len(server.asked) == 2


async def test_through_a_proxy(server: TlsServer, tmp_path: Path) -> None:
    async with proxying() as (url, went):
        async with await client_of(server, tmp_path, {"token": "secret"}, **{"proxy-url": url}) as client:
            await ask(client)
        assert went == [f"127.0.0.1:{server.port}"]
        assert server.asked == [("", "secret")]


async def test_a_name_and_password_and_whom_to_act_as(server: TlsServer, tmp_path: Path) -> None:
    user = {
        "username": "alice",
        "password": "x",
        "as": "bob",
        "as-uid": "7",
        "as-groups": ["a", "b"],
        "as-user-extra": {"reason": ["test"]},
    }
    async with await client_of(server, tmp_path, user) as client:
        await ask(client)
    (headers,) = server.headers
    assert headers["Authorization"] == f"Basic {encoded(b'alice:x')}"
    assert headers["Impersonate-User"] == "bob"
    assert headers["Impersonate-Uid"] == "7"
    assert headers.getall("Impersonate-Group") == ["a", "b"]
    assert headers["Impersonate-Extra-reason"] == "test"


# --- credential plug-ins


def plugin(folder: Path, body: str) -> None:
    """Write a plug-in that prints what `body` assigns to `status`, and counts how often it was asked."""
    file = folder / "plugin"
    file.write_text(
        f"""#!/usr/bin/env python3
import json, os, pathlib, sys
here = pathlib.Path({str(folder)!r})
count = int((here / "count").read_text()) if (here / "count").exists() else 0
(here / "count").write_text(str(count + 1))
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
version, kind = info["apiVersion"], "ExecCredential"
{textwrap.dedent(body)}
print(json.dumps({{"apiVersion": version, "kind": kind, "status": status}}))
"""
    )
    file.chmod(stat.S_IRWXU)


def executed(**more: Any) -> dict[str, Any]:
    return {"exec": {"command": "./plugin", "apiVersion": V1, "interactiveMode": "Never", **more}}


def count(folder: Path) -> int:
    return int((folder / "count").read_text())


@pytest.mark.parametrize("version", [V1, BETA])
async def test_a_plug_in_gives_a_token_and_is_told_what_it_needs(
    server: TlsServer, tmp_path: Path, version: str
) -> None:
    plugin(
        tmp_path,
        """
        cluster = info["spec"]["cluster"]
        told = [os.environ["WHO"], sys.argv[1], cluster["server"], cluster["config"]["audience"]]
        assert cluster["certificate-authority-data"] and info["spec"]["interactive"] is False
        status = {"token": "|".join(told)}
        """,
    )
    user = executed(
        apiVersion=version, args=["for"], env=[{"name": "WHO", "value": "me"}], provideClusterInfo=True
    )
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "mesh"}}
    async with await client_of(server, tmp_path, user, extensions=[extension]) as client:
        await asyncio.gather(*(ask(client) for _ in range(5)))
    assert {token for _, token in server.asked} == {f"me|for|{server.address}|mesh"}
    # What does not run out is not asked for again.
    assert count(tmp_path) == 1


async def test_what_runs_out_is_asked_for_again_and_kept_while_it_is_good(
    server: TlsServer, tmp_path: Path
) -> None:
    plugin(
        tmp_path,
        """
        if (here / "broken").exists():
            sys.exit("no more\\nthe vault is shut")
        until = ["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"][min(count, 1)]
        status = {"token": f"t{count}", "expirationTimestamp": until}
        """,
    )
    start = 1767225600.0
    clock = [start]
    content = config(
        executed(), server.address, **{"certificate-authority-data": encoded(server.authority.pem)}
    )
    client = await from_kubeconfig(written(tmp_path, content), clock=lambda: clock[0])
    async with client:
        await ask(client)
        clock[0] = start + 45
        await ask(client)
        clock[0] = start + 55
        await ask(client)
        (tmp_path / "broken").touch()
        clock[0] = start + 115
        await ask(client)
        assert [token for _, token in server.asked] == ["t0", "t0", "t1", "t1"]
        clock[0] = start + 121
        with pytest.raises(UnreachableError, match="exit code 1: the vault is shut"):
            await ask(client)


async def test_what_is_refused_is_asked_for_again_once(server: TlsServer, tmp_path: Path) -> None:
    plugin(tmp_path, 'status = {"token": f"t{count}"}')
    async with await client_of(server, tmp_path, executed()) as client:
        server.tokens = ("t1",)
        await ask(client)
        assert [token for _, token in server.asked] == ["t0", "t1"]
        server.tokens = ("none",)
        with pytest.raises(ApiError) as caught:
            await ask(client)
        assert caught.value.code == 401
        assert [token for _, token in server.asked[2:]] == ["t1", "t2"]
        # A watch has no second try of its own, but the next request is with a new one.
        server.tokens = ("t3",)
        with pytest.raises(ApiError):
            async for _ in client.watch(CONFIG_MAP):
                pass
        async for _ in client.watch(CONFIG_MAP):
            pass


async def test_a_plug_in_gives_certificates_that_change(server: TlsServer, tmp_path: Path) -> None:
    for number in range(2):
        certificate, key = AUTHORITY.pair(f"pod-{number}")
        (tmp_path / f"crt{number}").write_bytes(certificate)
        (tmp_path / f"key{number}").write_bytes(key)
    plugin(
        tmp_path,
        """
        read = lambda name: (here / f"{name}{count}").read_text()
        status = {"clientCertificateData": read("crt"), "clientKeyData": read("key")}
        if count == 0:
            status["expirationTimestamp"] = "2020-01-01T00:00:00Z"
        """,
    )
    async with await client_of(server, tmp_path, executed()) as client:
        await ask(client)
    assert server.asked == [("pod-1", "")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('nonsense'); status = {}", "its answer cannot be read"),
        ("status = {}", "neither a token nor a certificate"),
        ("version = 'v9'; status = {'token': 'x'}", 'it answered in "v9"'),
        ("kind = 'Pod'; status = {'token': 'x'}", 'it answered with a "Pod"'),
        ("status = {'token': 'x', 'expirationTimestamp': 'soon'}", "its answer cannot be read"),
        ("status = []", "its answer cannot be read"),
        ("sys.exit(3)", "exit code 3"),
    ],
)
async def test_a_plug_in_that_fails_says_why(tmp_path: Path, body: str, words: str) -> None:
    plugin(tmp_path, body)
    with pytest.raises(KubeconfigError, match=words):
        await from_kubeconfig(written(tmp_path, config(executed(installHint="get it"))))


async def test_a_plug_in_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meltemi.galley.shell.credentials._EXEC_SECONDS", 0.2)
    (tmp_path / "plugin").write_text(
        "#!/bin/sh\necho $$ > pid\nexec sleep 60\n".replace("pid", f"{tmp_path}/pid")
    )
    (tmp_path / "plugin").chmod(stat.S_IRWXU)
    asked = Plugin(executed()["exec"], tmp_path, cluster={}, clock=lambda: 0.0)
    with pytest.raises(Exception, match="did not end within"):
        await asked.answer()
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_reflector_outlives_credentials_that_fail(server: TlsServer, tmp_path: Path) -> None:
    plugin(tmp_path, 'status = {"token": f"t{count}"}')
    async with await client_of(server, tmp_path, executed()) as client:
        (tmp_path / "plugin").unlink()
        server.tokens = ("new",)
        reflector = Reflector(client, CONFIG_MAP)
        task = asyncio.get_running_loop().create_task(reflector.run())
        async with asyncio.timeout(20):
            while "gave no credentials" not in reflector.error:
                await asyncio.sleep(0.02)
            plugin(tmp_path, 'status = {"token": "new"}')
            await reflector.synced.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


# --- what cannot be used


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
        (config({"exec": {"command": "/no/such/plugin", "installHint": "get it"}}), "No such file .*get it"),
        (config({"exec": {"command": "x", "apiVersion": f"{V1}alpha1"}}), "speaks .*v1 or"),
        (config(executed(interactiveMode="Always")), "wants to ask a person"),
        (config({"auth-provider": {"name": "gcp"}}), "auth-provider is gone"),
        (config({}, **{"proxy-url": "socks5://x"}), "a proxy is http"),
        (config({"tokenFile": "missing"}), "missing: No such file"),
        (
            config(
                {}, **{"insecure-skip-tls-verify": True, "certificate-authority-data": encoded(AUTHORITY.pem)}
            ),
            "exclude each other",
        ),
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


async def test_in_a_cluster_the_service_account_is_used_and_followed(
    server: TlsServer, tmp_path: Path
) -> None:
    def version(number: int, authority: Authority) -> None:
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "token").write_text(f"token-{number}")
        (folder / "ca.crt").write_bytes(authority.pem)
        (tmp_path / "..next").symlink_to(folder.name)
        (tmp_path / "..next").rename(tmp_path / "..data")

    version(1, AUTHORITY)
    for name in ("token", "ca.crt"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    async with in_cluster(environment, tmp_path) as client:
        await ask(client)
        version(2, AUTHORITY)
        await ask(client)
        assert [token for _, token in server.asked] == ["token-1", "token-2"]
        version(3, Authority("stranger"))
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            await ask(client)


def test_addresses_of_version_6_and_no_cluster_at_all(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.pem)
    (tmp_path / "token").write_text("secret")
    assert in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).address == "https://[fd00::1]:443"
    with pytest.raises(KubeconfigError):
        in_cluster({}, tmp_path)
