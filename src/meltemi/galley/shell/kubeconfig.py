"""Where the API server is and who we are to it: from a kubeconfig, or from within a pod of a cluster."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from meltemi.galley.core.text import parse
from meltemi.galley.shell.kube import KubeClient, Token

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EXEC_SECONDS = 60.0


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the text says which entry and why."""


def in_cluster(environment: Mapping[str, str], folder: Path = _ACCOUNT) -> KubeClient:
    """Make a client for the cluster this process runs in, by its service account; its rotated token is followed."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        raise KubeconfigError(
            "this is no pod of a cluster: there is no service account and no KUBERNETES_SERVICE_HOST"
        )
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    return KubeClient(address, token=file_token(folder / "token"), tls=tls)


def file_token(path: Path) -> Callable[[], str]:
    """Give a function that reads the token, again whenever the file has changed."""
    known: tuple[int, str] = (-1, "")

    def read() -> str:
        nonlocal known
        changed = path.stat().st_mtime_ns
        if changed != known[0]:
            known = (changed, path.read_text(encoding="utf-8").strip())
        return known[1]

    return read


async def from_kubeconfig(path: Path, context: str = "") -> KubeClient:
    """Make a client for a context of a kubeconfig, its current one if none is named.

    Tokens (also in files), client certificates and credential plug-ins (`exec`) are known. Raises KubeconfigError.
    """
    config = _load(path)
    name = context or str(config.get("current-context") or "")
    chosen = _entry(config, "contexts", name, "context")
    cluster = _entry(config, "clusters", str(chosen.get("cluster") or ""), "cluster")
    user = _entry(config, "users", str(chosen.get("user") or ""), "user") if chosen.get("user") else {}
    server = str(cluster.get("server") or "")
    if not server:
        raise KubeconfigError(f"{path}: the cluster of context {name!r} has no server")
    credentials = await _credentials(user, path)
    tls = _tls(cluster, credentials, path) if server.startswith("https://") else None
    return KubeClient(server, token=credentials.token, tls=tls)


@dataclass(slots=True)
class _Credentials:
    token: Token = ""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)


def _load(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{path}: {error.strerror}") from error
    documents, found = parse(data, str(path))
    if found:
        raise KubeconfigError(f"{found[0].position}: {found[0].message}")
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise KubeconfigError(f"{path}: a kubeconfig is one YAML mapping")
    return documents[0].value


def _entry(config: Mapping[str, Any], section: str, name: str, key: str) -> dict[str, Any]:
    entries = config.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            return dict(entry[key])
    raise KubeconfigError(f"the kubeconfig has no {key} {name!r}")


async def _credentials(user: Mapping[str, Any], path: Path) -> _Credentials:
    plugin = user.get("exec")
    if isinstance(plugin, dict):
        return await _run(plugin, path)
    made = _Credentials(
        certificate=_bytes(user, "client-certificate", path), key=_bytes(user, "client-key", path)
    )
    if user.get("tokenFile"):
        made.token = file_token(_relative(str(user["tokenFile"]), path))
    elif user.get("token"):
        made.token = str(user["token"])
    return made


async def _run(plugin: Mapping[str, Any], path: Path) -> _Credentials:
    """Ask a credential plug-in once; a token that expires is asked for again."""
    first = await asyncio.to_thread(_ask, plugin, path)
    if not first.token or not first.expires:
        return _Credentials(token=first.token, certificate=first.certificate, key=first.key)
    current = first

    def token() -> str:
        nonlocal current
        if current.expires - time.time() < 10:
            current = _ask(plugin, path)
        return current.token

    return _Credentials(token=token, certificate=first.certificate, key=first.key)


@dataclass(frozen=True, slots=True)
class _Answer:
    token: str
    certificate: bytes
    key: bytes
    expires: float


def _ask(plugin: Mapping[str, Any], path: Path) -> _Answer:
    import subprocess

    command = str(plugin.get("command") or "")
    arguments = [str(one) for one in plugin.get("args") or ()]
    if "/" in command:
        command = str(_relative(command, path))
    more = {str(one["name"]): str(one["value"]) for one in plugin.get("env") or () if isinstance(one, dict)}
    version = str(plugin.get("apiVersion") or "client.authentication.k8s.io/v1")
    wanted = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    try:
        done = subprocess.run(
            [command, *arguments],
            env={**os.environ, **more, "KUBERNETES_EXEC_INFO": json.dumps(wanted)},
            capture_output=True,
            timeout=_EXEC_SECONDS,
            check=True,
        )
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        hint = f" ({plugin['installHint']})" if plugin.get("installHint") else ""
        raise KubeconfigError(
            f"the credential plug-in {command!r} gave no credentials: {error}{hint}"
        ) from error
    stamp = status.get("expirationTimestamp")
    return _Answer(
        str(status.get("token") or ""),
        str(status.get("clientCertificateData") or "").encode(),
        str(status.get("clientKeyData") or "").encode(),
        datetime.fromisoformat(stamp).timestamp() if stamp else 0.0,
    )


def _tls(cluster: Mapping[str, Any], credentials: _Credentials, path: Path) -> ssl.SSLContext:
    authorities = _bytes(cluster, "certificate-authority", path)
    try:
        context = ssl.create_default_context(cadata=authorities.decode("ascii") if authorities else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if credentials.certificate and credentials.key:
            _load_pair(context, credentials)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(f"{path}: a certificate or key cannot be read: {error}") from error
    return context


def _load_pair(context: ssl.SSLContext, credentials: _Credentials) -> None:
    # Python's ssl reads pairs from files only; the file is ours alone, and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(credentials.certificate + b"\n" + credentials.key)
        file.flush()
        context.load_cert_chain(file.name)


def _bytes(entry: Mapping[str, Any], name: str, path: Path) -> bytes:
    """Read `NAME-data` (base64), or the file that `NAME` names."""
    try:
        if entry.get(f"{name}-data"):
            return base64.b64decode(str(entry[f"{name}-data"]), validate=True)
        if entry.get(name):
            return _relative(str(entry[name]), path).read_bytes()
    except (OSError, binascii.Error) as error:
        raise KubeconfigError(f"{path}: {name} cannot be read: {error}") from error
    return b""


def _relative(name: str, path: Path) -> Path:
    return path.parent / Path(name).expanduser()
