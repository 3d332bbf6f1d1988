"""A blocking client of the Kubernetes-style API, on http.client alone: quick commands must start quickly.

One client, two ways in: the local mesh's Unix socket with the owner's token, or any kubeconfig over HTTPS.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from meltemi.ctl.invocation import FINDINGS, CtlError, NoMeshError

if TYPE_CHECKING:
    from meltemi.ctl.invocation import Invocation

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

PATIENCE = 5.0
"""Seconds to ride over a restart of the control plane while `init` is alive."""


class ApiError(CtlError):
    """An answer of the API server that is no success: its Status."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        # A Status has a message; the agent's answers have an error.
        words = status.get("message") or status.get("error") or f"the server answered {code}"
        super().__init__(str(words), exit_code=FINDINGS)
        self.code = code
        self.reason = str(status.get("reason", ""))
        self.status = dict(status)

    @property
    def causes(self) -> tuple[Mapping[str, Any], ...]:
        """The Status' causes: each with `field`, `message`, `reason`."""
        return tuple((self.status.get("details") or {}).get("causes") or ())


class LostError(CtlError):
    """The connection ended before the answer did: what was asked may have been done or not."""

    def __init__(self, name: str, error: Exception) -> None:
        words = str(error) or type(error).__name__
        super().__init__(f"the connection to {name} broke: {words}", "try again; meltemi status")


@dataclass(frozen=True, slots=True)
class Request:
    """A question: `path` is sent as it is, `query` is encoded."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON


@dataclass(frozen=True, slots=True)
class Response:
    """An answer read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode the body; CtlError where it is no JSON."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError as error:
            shown = self.body[:200].decode(errors="replace")
            raise CtlError(f"the server's answer is no JSON: {shown}") from error


class Transport(Protocol):
    """How to reach a server."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    def connection(self, timeout: float | None) -> http.client.HTTPConnection:
        """Make a connection, not yet open."""
        ...


@dataclass(frozen=True, slots=True)
class UnixTransport:
    """Plain HTTP over a Unix socket."""

    path: str

    @property
    def name(self) -> str:
        """The socket's path."""
        return self.path

    def connection(self, timeout: float | None) -> http.client.HTTPConnection:
        """Make a connection, not yet open."""
        return _UnixConnection(self.path, timeout)


class _UnixConnection(http.client.HTTPConnection):
    """http.client over a Unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.connect(self._path)
        except BaseException:
            made.close()
            raise
        self.sock = made


@dataclass(slots=True)
class Client:
    """Requests to one API server. Paths start with a slash and are sent as they are: quote with `path`."""

    transport: Transport
    token: str = ""
    mesh: str = "default"
    init_socket: str = ""
    timeout: float = 30.0
    patience: float = PATIENCE
    _idle: http.client.HTTPConnection | None = field(default=None, repr=False)

    def request(self, ask: Request) -> Response:
        """Ask once, whatever the status; LostError where the answer does not come whole.

        A kept connection that the server has closed is replaced, and what only reads is asked once more.
        """
        kept, self._idle = self._idle, None
        if kept is not None:
            with contextlib.suppress(http.client.BadStatusLine, ConnectionError):
                # If nothing of an answer comes, the server had closed the idle connection before it read the request.
                return self._exchange(kept, ask)
        if ask.method == "GET":
            with contextlib.suppress(http.client.HTTPException, ConnectionError):
                return self._exchange(self._open(self.timeout), ask)
        try:
            return self._exchange(self._open(self.timeout), ask)
        except (http.client.HTTPException, OSError) as error:
            raise LostError(self.transport.name, error) from error

    def json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        document: Any = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Any:
        """Send and receive JSON; ApiError where the answer is no success."""
        body = None if document is None else json.dumps(document).encode()
        answer = self.request(Request(method, path, query, body, content_type, accept))
        if answer.status >= 300:
            raise api_error(answer.status, answer.body)
        return answer.json()

    def lines(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        timeout: float | None = None,
    ) -> Iterator[bytes]:
        """Read a stream line by line, on a connection of its own.

        TimeoutError after `timeout` seconds of silence, LostError where it ends in the middle.
        """
        connection = self._open(timeout)
        try:
            connection.request("GET", _target(path, query), headers=self._headers(None, JSON, accept))
            answer = connection.getresponse()
            if answer.status >= 300:
                raise api_error(answer.status, answer.read())
            while line := answer.readline():
                yield line
        except (http.client.HTTPException, ConnectionError) as error:
            raise LostError(self.transport.name, error) from error
        finally:
            connection.close()

    def upgrade(self, path: str, query: Mapping[str, str] | None, protocol: str) -> socket.socket:
        """Ask for another protocol on a new connection and hand its socket over after 101."""
        connection = self._open(self.timeout)
        headers = {
            "Host": "localhost",
            "Connection": "Upgrade",
            "Upgrade": protocol,
            **self._headers(None, JSON, JSON),
        }
        lines = [
            f"GET {_target(path, query)} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        taken, connection.sock = connection.sock, None
        try:
            taken.sendall("\r\n".join([*lines, "", ""]).encode())
            _expect_switch(taken)
            taken.settimeout(None)
        except BaseException as error:
            taken.close()
            if isinstance(error, OSError):
                raise LostError(self.transport.name, error) from error
            raise
        return taken

    def close(self) -> None:
        """Close the kept connection."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def _exchange(self, connection: http.client.HTTPConnection, ask: Request) -> Response:
        try:
            headers = self._headers(ask.body, ask.content_type, ask.accept)
            connection.request(ask.method, _target(ask.path, ask.query), body=ask.body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except TimeoutError as error:
            connection.close()
            raise CtlError(
                f"{self.transport.name} did not answer in {self.timeout:g} s.", "meltemi status"
            ) from error
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._idle = connection
        return Response(answer.status, dict(answer.getheaders()), content)

    def _headers(self, body: bytes | None, content_type: str, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": "meltemi"}
        if body is not None:
            headers["Content-Type"] = content_type
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def _open(self, timeout: float | None) -> http.client.HTTPConnection:
        deadline = time.monotonic() + self.patience
        while True:
            connection = self.transport.connection(timeout)
            try:
                connection.connect()
            except (FileNotFoundError, ConnectionRefusedError) as error:
                connection.close()
                if not self.init_socket:
                    raise CtlError(f"{self.transport.name} refuses connections.") from error
                if not answers(self.init_socket):
                    raise NoMeshError(self.mesh) from error
                if time.monotonic() > deadline:
                    raise CtlError(
                        "the mesh is up, but its control plane does not answer.",
                        "see its log: meltemi status; it is restarted on its own",
                    ) from error
                time.sleep(0.1)
            except OSError as error:
                connection.close()
                raise CtlError(f"cannot reach {self.transport.name}: {error}") from error
            else:
                return connection


def connect(call: Invocation) -> Client:
    """Make the client that the command line asks for; NoMeshError where the local mesh is not up."""
    if call.kubeconfig or call.context:
        from meltemi.ctl.kubeconfig_file import client_of

        return client_of(call.kubeconfig, call.context)
    layout = call.layout
    if not answers(layout.init_socket) and not answers(layout.api_socket):
        raise NoMeshError(call.mesh)
    return Client(
        UnixTransport(layout.api_socket),
        owner_token(Path(layout.tokens_folder) / "admin"),
        call.mesh,
        layout.init_socket,
    )


def owner_token(file: Path) -> str:
    """Read the owner's token; a mesh that is just starting writes it within moments."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise CtlError(
                    f"the owner's token {file} is missing.", "meltemi down, then meltemi up"
                ) from None
            time.sleep(0.1)
        except OSError as error:
            raise CtlError(f"cannot read the owner's token {file}: {error.strerror}.") from error


def answers(path: str) -> bool:
    """Say whether something listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def path(*parts: str) -> str:
    """Join parts to a path, each quoted; empty ones are left out."""
    return "/" + "/".join(quote(part, safe="") for part in parts if part)


def _target(where: str, query: Mapping[str, str] | None) -> str:
    return f"{where}?{urlencode(query)}" if query else where


def api_error(code: int, body: bytes) -> ApiError:
    """Make the error of an answer, whether its body is a Status or not."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        text = body.decode(errors="replace").strip()
        status = {"message": f"the API server answered {code}: {text[:500]}" if text else ""}
    if code == http.HTTPStatus.UNAUTHORIZED and not status.get("message"):
        status["message"] = "the API server does not know this token."
    return ApiError(code, status)


def _expect_switch(taken: socket.socket) -> None:
    code, length = _read_head(taken)
    if code != http.HTTPStatus.SWITCHING_PROTOCOLS:
        raise api_error(code, _read_exactly(taken, min(length, 1 << 20)))


def _read_head(taken: socket.socket) -> tuple[int, int]:
    """Read an answer's head and not a byte more; give its status and Content-Length."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < 1 << 16:
        byte = taken.recv(1)
        if not byte:
            raise CtlError("the connection ended before an answer came.")
        head += byte
    first, *fields = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    lengths = [field.partition(":")[2] for field in fields if field.lower().startswith("content-length:")]
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0, int(lengths[0]) if lengths else 0


def _read_exactly(taken: socket.socket, count: int) -> bytes:
    body = b""
    while len(body) < count:
        more = taken.recv(count - len(body))
        if not more:
            break
        body += more
    return body
