"""A TLS API server for tests of credentials: one authority, server and client certificates of it, and a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)


class Authority:
    """Signs certificates. Its own lacks the key identifiers that old releases of Kubernetes did not write."""

    def __init__(self, name: str = "test-ca") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            self._builder(self._name)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def pair(self, name: str, *names: str) -> tuple[bytes, bytes]:
        """A certificate for a common name and (as a server) for DNS names and addresses; and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).public_key(
            key.public_key()
        )
        if names:
            others = [
                x509.IPAddress(ipaddress.ip_address(one)) if one[0].isdigit() else x509.DNSName(one)
                for one in names
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _builder(self, subject: x509.Name) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=1))
        )


@dataclass
class TlsServer:
    """Answers every request; says who asked. `tokens`, where set, are those that it takes."""

    authority: Authority
    port: int = 0
    tokens: tuple[str, ...] = ()
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    through: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        certificate = request.transport.get_extra_info("peercert") or {}
        names = {key: value for part in certificate.get("subject", ()) for key, value in part}
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked.append((names.get("commonName", ""), token))
        self.headers.append(request.headers)
        if self.tokens and token not in self.tokens:
            return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)
        if request.query.get("watch") == "true":
            response = web.StreamResponse()
            await response.prepare(request)
            return response
        return web.json_response({"kind": "ConfigMap", "metadata": {"resourceVersion": "1"}})


def server_context(authority: Authority, *names: str) -> ssl.SSLContext:
    """Speak TLS as a server of some names, and ask who the client is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority.pem.decode())
    certificate, key = authority.pair("server", *(names or ("127.0.0.1",)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pair").write_bytes(certificate + key)
        context.load_cert_chain(Path(folder, "pair"))
    return context


@contextlib.asynccontextmanager
async def serving(authority: Authority, *names: str) -> AsyncIterator[TlsServer]:
    made = TlsServer(authority)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(authority, *names))
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


class Carrier:
    """Takes connections and carries each to where `target` says, after it has read what tells it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def target(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise NotImplementedError

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await self.target(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(inner, writer))
                both.create_task(_pump(reader, outer))
        except asyncio.CancelledError:
            writer.transport.abort()
            outer.transport.abort()
        finally:
            self._tasks.discard(task)


class Terminator(Carrier):
    """Ends TLS and carries what is said to a Unix socket."""

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self._socket = socket

    async def target(
        self, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._socket)


class Proxy(Carrier):
    """Carries CONNECTs; `went` is where to."""

    def __init__(self) -> None:
        super().__init__()
        self.went: list[str] = []

    async def target(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        head = await reader.readuntil(b"\r\n\r\n")
        where = head.split()[1].decode()
        self.went.append(where)
        host, _, port = where.rpartition(":")
        made = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return made


@contextlib.asynccontextmanager
async def proxying() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that carries CONNECTs: its URL, and where they went."""
    proxy = Proxy()
    await proxy.start()
    try:
        yield f"http://127.0.0.1:{proxy.port}", proxy.went
    finally:
        await proxy.stop()
