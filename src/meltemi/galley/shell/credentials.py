"""Who we are to an API server, as it is now: tokens and certificates that are renewed while we run.

Files are read again when they change, credential plug-ins are asked again when what they gave runs out or is refused.
What cannot be renewed at this moment (a file that is being replaced, a plug-in that fails) stays as it was for as long
as the server takes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXEC_SECONDS: Final = 60.0
_EARLY: Final = 10.0
"""Seconds before a credential runs out in which the next one is asked for."""

Bytes = Callable[[], bytes]


class CredentialsError(Exception):
    """There is no credential; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Now:
    """What a request bears: `headers` may hold a name more than once."""

    headers: tuple[tuple[str, str], ...] = ()
    tls: ssl.SSLContext | None = None


class Credentials(Protocol):
    """Asked before each request."""

    async def now(self) -> Now:
        """Give what to bear; raises CredentialsError."""
        ...

    def refused(self) -> bool:
        """Say that the server answered 401; True where it is worth to ask again with a new `now`."""
        ...


class Fixed:
    """A token, or a function that gives it, and a TLS context: nothing that we renew."""

    def __init__(self, token: str | Callable[[], str] = "", tls: ssl.SSLContext | None = None) -> None:
        self._token = token
        self._tls = tls

    async def now(self) -> Now:
        """Give them."""
        token = self._token if isinstance(self._token, str) else self._token()
        return Now((bearer(token),) if token else (), self._tls)

    def refused(self) -> bool:
        """There is nothing to renew."""
        return False


def bearer(token: str) -> tuple[str, str]:
    """Give the header that bears a token."""
    return "Authorization", f"Bearer {token}"


def followed(path: Path) -> Bytes:
    """Give a function that reads a file, again whenever it has changed; what was read last where it cannot be."""
    known: tuple[tuple[int, ...], bytes] | None = None

    def read() -> bytes:
        nonlocal known
        try:
            found = path.stat()
            mark = (found.st_ino, found.st_size, found.st_mtime_ns)
            if known is None or known[0] != mark:
                known = (mark, path.read_bytes())
        except OSError as error:
            if known is None:
                raise CredentialsError(f"{path}: {error.strerror}") from error
        return known[1]

    return read


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe that they are the server; empty authorities are those of the system."""

    authorities: Bytes = bytes
    verified: bool = True

    def context(self) -> ssl.SSLContext:
        """Make a context without a certificate of our own; raises ssl.SSLError or ValueError."""
        text = self.authorities().decode("ascii")
        context = ssl.create_default_context(cadata=text or None)
        # Newer Pythons refuse authorities that lack what old releases of Kubernetes did not write into them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Answer:
    """What a credential plug-in gave; `expires` in seconds since the epoch, 0.0 where it does not run out."""

    token: str = field(default="", repr=False)
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    expires: float = 0.0


class Plugin:
    """A credential plug-in (`exec`), by the protocol of client.authentication.k8s.io.

    `cluster` is what it is told of the cluster, where the kubeconfig wants that.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        folder: Path,
        *,
        cluster: Mapping[str, Any],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._cluster = cluster
        self._clock = clock
        self._lock = asyncio.Lock()
        self._answer: Answer | None = None
        self.version = str(settings.get("apiVersion") or EXEC_VERSIONS[0])
        if self.version not in EXEC_VERSIONS:
            raise CredentialsError(
                f'a credential plug-in speaks {" or ".join(EXEC_VERSIONS)}, not "{self.version}"'
            )
        if settings.get("interactiveMode") == "Always":
            raise CredentialsError("the credential plug-in wants to ask a person, and there is none here")

    def spoil(self) -> None:
        """Ask anew next time."""
        self._answer = None

    async def answer(self) -> Answer:
        """Give what it said, asked again where that has run out."""
        async with self._lock:
            held = self._answer
            if held is None or (held.expires and held.expires - self._clock() < _EARLY):
                try:
                    held = self._answer = await self._ask()
                except CredentialsError:
                    if held is None or held.expires <= self._clock():
                        raise
            return held

    async def _ask(self) -> Answer:
        command = str(self._settings.get("command") or "")
        argv = [_command(command, self._folder), *map(str, self._settings.get("args") or ())]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise self._failed(f"{error.strerror}") from error
        try:
            async with asyncio.timeout(_EXEC_SECONDS):
                out, said = await process.communicate()
        except TimeoutError as error:
            raise self._failed(f"it did not end within {_EXEC_SECONDS:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise self._failed(f"exit code {process.returncode}: {last}")
        return self._read(out)

    def _environment(self) -> dict[str, str]:
        rows = self._settings.get("env") or ()
        more = {
            str(row["name"]): str(row.get("value") or "")
            for row in rows
            if isinstance(row, dict) and "name" in row
        }
        spec: dict[str, Any] = {"interactive": False}
        if self._settings.get("provideClusterInfo"):
            spec["cluster"] = dict(self._cluster)
        told = {"apiVersion": self.version, "kind": "ExecCredential", "spec": spec}
        return {**os.environ, **more, "KUBERNETES_EXEC_INFO": json.dumps(told)}

    def _read(self, out: bytes) -> Answer:
        try:
            document = json.loads(out)
            if document.get("kind", "ExecCredential") != "ExecCredential":
                raise self._failed(f'it answered with a "{document["kind"]}"')
            if document.get("apiVersion", self.version) != self.version:
                raise self._failed(f'it answered in "{document["apiVersion"]}", not "{self.version}"')
            status = document["status"]
            stamp = status.get("expirationTimestamp")
            made = Answer(
                str(status.get("token") or ""),
                str(status.get("clientCertificateData") or "").encode(),
                str(status.get("clientKeyData") or "").encode(),
                _moment(str(stamp)) if stamp else 0.0,
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._failed(f"its answer cannot be read: {error}") from error
        if not made.token and not (made.certificate and made.key):
            raise self._failed("it gave neither a token nor a certificate with its key")
        return made

    def _failed(self, words: str) -> CredentialsError:
        hint = f" ({self._settings['installHint']})" if self._settings.get("installHint") else ""
        return CredentialsError(
            f"the credential plug-in {str(self._settings.get('command'))!r} gave no credentials: {words}{hint}"
        )


def _moment(stamp: str) -> float:
    moment = datetime.fromisoformat(stamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _command(command: str, folder: Path) -> str:
    """Find a command as kubectl does: a path is relative to the kubeconfig, a name is looked for in PATH."""
    return str(folder / Path(command).expanduser()) if "/" in command else command


class Renewed:
    """Everything a kubeconfig's user and cluster say, kept up to date. `secure`: the server speaks TLS."""

    def __init__(
        self,
        trust: Trust,
        *,
        secure: bool,
        token: Bytes = bytes,
        certificate: Bytes = bytes,
        key: Bytes = bytes,
        plugin: Plugin | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._trust = trust
        self._secure = secure
        self._token = token
        self._certificate = certificate
        self._key = key
        self._plugin = plugin
        self._headers = tuple(headers)
        self._made_of: tuple[bytes, bytes, bytes] | None = None
        self._context: ssl.SSLContext | None = None

    async def now(self) -> Now:
        """Give the newest of everything."""
        answer = Answer() if self._plugin is None else await self._plugin.answer()
        token = answer.token or self._token().decode("utf-8", "replace").strip()
        headers = (*self._headers, bearer(token)) if token else self._headers
        if not self._secure:
            return Now(headers)
        return Now(headers, self._tls(answer.certificate or self._certificate(), answer.key or self._key()))

    def refused(self) -> bool:
        """Let a plug-in be asked anew; files are read anew anyway."""
        if self._plugin is None:
            return False
        self._plugin.spoil()
        return True

    def _tls(self, certificate: bytes, key: bytes) -> ssl.SSLContext:
        made_of = (self._trust.authorities(), certificate, key)
        if self._context is None or made_of != self._made_of:
            try:
                context = self._trust.context()
                if certificate and key:
                    load_pair(context, certificate, key)
            except (ssl.SSLError, ValueError) as error:
                # A pair of which only one half is replaced yet.
                if self._context is None:
                    raise CredentialsError(f"a certificate or key cannot be read: {error}") from error
            else:
                self._context, self._made_of = context, made_of
        return self._context


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give a context a certificate of our own; raises ssl.SSLError where the two do not belong together."""
    # Python's ssl reads pairs from files only; the file is ours alone, and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)
