"""Where the API server is and who we are to it: from a kubeconfig, or from within a pod of a cluster."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from meltemi.galley.core.text import parse
from meltemi.galley.shell.credentials import Bytes, CredentialsError, Plugin, Renewed, Trust, followed
from meltemi.galley.shell.kube import KubeClient

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_TOLD: Final = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
"""What a plug-in is told of the cluster as the kubeconfig has it."""


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the text says which entry and why."""


def in_cluster(environment: Mapping[str, str], folder: Path = _ACCOUNT) -> KubeClient:
    """Make a client for the cluster this process runs in, by its service account, whose files are followed."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        raise KubeconfigError(
            "this is no pod of a cluster: there is no service account and no KUBERNETES_SERVICE_HOST"
        )
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    trust = Trust(followed(folder / "ca.crt"))
    return KubeClient(address, credentials=Renewed(trust, secure=True, token=followed(folder / "token")))


async def from_kubeconfig(
    path: Path, context: str = "", *, clock: Callable[[], float] = time.time
) -> KubeClient:
    """Make a client for a context of a kubeconfig, its current one if none is named.

    Known are tokens (also in files), client certificates, credential plug-ins (`exec`), names and passwords,
    impersonation, proxies and server names; files are followed, plug-ins asked again. `clock` is in seconds since the
    epoch. Raises KubeconfigError, also where the credentials are not there now.
    """
    config = _load(path)
    name = context or str(config.get("current-context") or "")
    chosen = _entry(config, "contexts", name, "context")
    cluster = _entry(config, "clusters", str(chosen.get("cluster") or ""), "cluster")
    user = _entry(config, "users", str(chosen.get("user") or ""), "user") if chosen.get("user") else {}
    server = str(cluster.get("server") or "")
    if not server:
        raise KubeconfigError(f"{path}: the cluster of context {name!r} has no server")
    try:
        credentials = _credentials(cluster, user, path, secure=server.startswith("https://"), clock=clock)
        # What cannot work is told now, not by whoever asks first.
        await credentials.now()
    except CredentialsError as error:
        raise KubeconfigError(f"{path}: {error}") from error
    return KubeClient(
        server,
        credentials=credentials,
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=_proxy(cluster, path),
    )


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


def _credentials(
    cluster: Mapping[str, Any],
    user: Mapping[str, Any],
    path: Path,
    *,
    secure: bool,
    clock: Callable[[], float],
) -> Renewed:
    if user.get("auth-provider"):
        raise KubeconfigError(
            f"{path}: auth-provider is gone from Kubernetes: a user has a credential plug-in (exec)"
        )
    authorities = _bytes(cluster, "certificate-authority", path)
    verified = not cluster.get("insecure-skip-tls-verify")
    if not verified and authorities():
        raise KubeconfigError(
            f"{path}: insecure-skip-tls-verify, and authorities to verify with, exclude each other"
        )
    plugin = user.get("exec")
    token = str(user.get("token") or "").encode()
    return Renewed(
        Trust(authorities, verified),
        secure=secure,
        token=followed(_relative(str(user["tokenFile"]), path)) if user.get("tokenFile") else lambda: token,
        certificate=_bytes(user, "client-certificate", path),
        key=_bytes(user, "client-key", path),
        plugin=Plugin(plugin, path.parent, cluster=_told(cluster, authorities), clock=clock)
        if isinstance(plugin, dict)
        else None,
        headers=tuple(_headers(user)),
    )


def _told(cluster: Mapping[str, Any], authorities: Bytes) -> dict[str, Any]:
    """Give what a plug-in is told of the cluster."""
    told = {name: cluster[name] for name in _TOLD if cluster.get(name)}
    data = authorities()
    if data:
        told["certificate-authority-data"] = base64.b64encode(data).decode()
    for extension in cluster.get("extensions") or ():
        if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
            told["config"] = extension.get("extension")
    return told


def _headers(user: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the headers of a name and password, and of whom to act as."""
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password') or ''}"
        yield "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"
    if user.get("as"):
        yield "Impersonate-User", str(user["as"])
    if user.get("as-uid"):
        yield "Impersonate-Uid", str(user["as-uid"])
    for group in user.get("as-groups") or ():
        yield "Impersonate-Group", str(group)
    for name, values in (user.get("as-user-extra") or {}).items():
        for value in values or ():
            yield f"Impersonate-Extra-{name}", str(value)


def _proxy(cluster: Mapping[str, Any], path: Path) -> str:
    found = str(cluster.get("proxy-url") or "")
    if found and urlsplit(found).scheme not in ("http", "https"):
        raise KubeconfigError(f"{path}: proxy-url: a proxy is http:// or https://, not {found!r}")
    return found


def _bytes(entry: Mapping[str, Any], name: str, path: Path) -> Bytes:
    """Read `NAME-data` (base64), or follow the file that `NAME` names."""
    try:
        if entry.get(f"{name}-data"):
            data = base64.b64decode("".join(str(entry[f"{name}-data"]).split()), validate=True)
            return lambda: data
        if entry.get(name):
            read = followed(_relative(str(entry[name]), path))
            read()
            return read
    except (CredentialsError, binascii.Error) as error:
        raise KubeconfigError(f"{path}: {name} cannot be read: {error}") from error
    return bytes


def _relative(name: str, path: Path) -> Path:
    return path.parent / Path(name).expanduser()
