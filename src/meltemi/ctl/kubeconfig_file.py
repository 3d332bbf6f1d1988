"""Read a kubeconfig: which server, which CA, which credentials."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from meltemi.ctl.client import Client
from meltemi.ctl.invocation import USAGE, CtlError


@dataclass(frozen=True, slots=True)
class HttpsTransport:
    """HTTPS to a host and port."""

    host: str
    port: int
    context: ssl.SSLContext

    @property
    def name(self) -> str:
        """The address as a URL."""
        return f"https://{self.host}:{self.port}"

    def connection(self, timeout: float | None) -> http.client.HTTPConnection:
        """Make a connection, not yet open."""
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)


def client_of(kubeconfig: str = "", context: str = "") -> Client:
    """Make a client of a kubeconfig's context: its current one where none is named."""
    file = Path(
        kubeconfig
        or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        or Path.home() / ".kube" / "config"
    )
    config = _load(file)
    name = context or str(config.get("current-context") or "")
    chosen = _named(config, "contexts", "context", name, file)
    cluster = _named(config, "clusters", "cluster", str(chosen.get("cluster") or ""), file)
    user = _named(config, "users", "user", str(chosen["user"]), file) if chosen.get("user") else {}
    url = urlsplit(str(cluster.get("server") or ""))
    if url.scheme != "https" or not url.hostname:
        raise CtlError(f"{file}: the server of context {name!r} is no https address.", exit_code=USAGE)
    try:
        token, certificate, key = _credentials(user, file)
        trust = _context(cluster, file.parent)
        if certificate and key:
            _load_certificate(trust, certificate, key)
    except (OSError, ValueError) as error:
        # A file that it names is missing, base64 that is none, a certificate that is none.
        raise CtlError(f"the credentials of {file} cannot be used: {error}", exit_code=USAGE) from error
    return Client(HttpsTransport(url.hostname, url.port or 443, trust), token)


def _load(file: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CtlError(f"cannot read the kubeconfig {file}: {error.strerror}.", exit_code=USAGE) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CtlError(f"the kubeconfig {file} is no YAML: {error}", exit_code=USAGE) from error
    if not isinstance(config, dict):
        raise CtlError(f"the kubeconfig {file} holds no mapping.", exit_code=USAGE)
    return config


def _named(config: Mapping[str, Any], table: str, field: str, name: str, file: Path) -> Mapping[str, Any]:
    for row in config.get(table) or ():
        if isinstance(row, dict) and row.get("name") == name and isinstance(row.get(field), dict):
            found: Mapping[str, Any] = row[field]
            return found
    raise CtlError(f"{file} has no {field} {name!r}.", exit_code=USAGE)


def _data(section: Mapping[str, Any], field: str, folder: Path) -> bytes:
    """Give the bytes of `FIELD-data` (base64) or of the file that `FIELD` names, relative to the kubeconfig."""
    if section.get(f"{field}-data"):
        return base64.b64decode(str(section[f"{field}-data"]))
    if section.get(field):
        return (folder / str(section[field])).read_bytes()
    return b""


def _context(cluster: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    trust = ssl.create_default_context()
    authority = _data(cluster, "certificate-authority", folder)
    if authority:
        trust = ssl.create_default_context(cadata=authority.decode())
    if cluster.get("insecure-skip-tls-verify"):
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
    return trust


def _credentials(user: Mapping[str, Any], file: Path) -> tuple[str, bytes, bytes]:
    certificate = _data(user, "client-certificate", file.parent)
    key = _data(user, "client-key", file.parent)
    if user.get("token"):
        return str(user["token"]), certificate, key
    if user.get("tokenFile"):
        return Path(str(user["tokenFile"])).read_text(encoding="utf-8").strip(), certificate, key
    if user.get("exec"):
        return _of_plugin(user["exec"])
    return "", certificate, key


def _of_plugin(plugin: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """Ask the credential plugin that the kubeconfig names (client.authentication.k8s.io)."""
    command = [str(plugin.get("command") or ""), *(str(word) for word in plugin.get("args") or ())]
    extra = {str(row["name"]): str(row["value"]) for row in plugin.get("env") or ()}
    info = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    env = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        done = subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise CtlError(f"the credential plugin {command[0]!r} failed: {error}") from error
    return (
        str(status.get("token") or ""),
        str(status.get("clientCertificateData") or "").encode(),
        str(status.get("clientKeyData") or "").encode(),
    )


def _load_certificate(trust: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give the context a client certificate; ssl takes files only, so they are there for a moment (0600)."""
    with tempfile.TemporaryDirectory() as folder:
        chain, secret = Path(folder) / "chain", Path(folder) / "key"
        chain.write_bytes(certificate)
        secret.touch(0o600)
        secret.write_bytes(key)
        trust.load_cert_chain(chain, secret)
