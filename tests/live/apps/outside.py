"""A server outside of the mesh, which tells what came to it as JSON.

`OUTSIDE_SERVER` holds key and chain, `OUTSIDE_CLIENTS` who signs clients. HTTP on 80 and 8080, HTTPS on 443 and 8443 (a
client may show a certificate) and 8444 (it must), HTTP behind a header of the PROXY protocol on 9000, and on 3128 a
proxy for CONNECT and POST, whose targets every answer tells.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from typing import Any

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TUNNELS: list[str] = []


class Server:
    """What answers on one port, behind the header of the PROXY protocol if it is `proxied`."""

    def __init__(self, port: int, *, proxied: bool = False) -> None:
        self.port = port
        self.proxied = proxied

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every request of a connection."""
        told: dict[str, Any] = {"port": self.port, "peer": writer.get_extra_info("peername")[0]}
        tls = writer.get_extra_info("ssl_object")
        if tls is not None:
            shown = (tls.getpeercert() or {}).get("subjectAltName", ())
            told.update(tls=tls.version(), client=[name for _, name in shown], sni=NAMES.get(id(tls.context)))
        try:
            if self.proxied:
                told["proxy"] = await _proxy_header(reader)
            while head := await _head(reader):
                first, headers = head
                body = {**told, "path": first.split()[1], "headers": headers, "tunnels": TUNNELS}
                text = json.dumps(body).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


NAMES: dict[int, str] = {}


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    lines = []
    while line := (await reader.readline()).decode().strip():
        lines.append(line)
    if not lines:
        return None
    pairs = (line.partition(":") for line in lines[1:])
    return lines[0], {name.lower(): value.strip() for name, _, value in pairs}


async def _proxy_header(reader: asyncio.StreamReader) -> str:
    """Read the header of the PROXY protocol, and name its version and where the client is from."""
    begun = await reader.readexactly(12)
    if begun == SIGNATURE:
        version, family, high, low = await reader.readexactly(4)
        rest = await reader.readexactly(high * 256 + low)
        return f"v{version >> 4} {family:#x} {'.'.join(map(str, rest[:4]))}"
    line = begun + await reader.readline()
    return f"v1 {' '.join(line.decode().split()[1:3])}"


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry a connection to where its CONNECT (or POST) says; the test's own HTTP server stands for all targets."""
    head = await _head(reader)
    if head is None:
        writer.close()
        return
    first, headers = head
    method, target = first.split()[:2]
    TUNNELS.append(f"{method} {headers['host'] if method == 'POST' else target}")
    writer.write(
        b"HTTP/1.1 200 OK\r\n%s\r\n" % (b"transfer-encoding: chunked\r\n" if method == "POST" else b"")
    )
    back_reader, back_writer = await asyncio.open_connection("127.0.0.1", 8080)
    chunked = method == "POST"

    async def forth() -> None:
        while data := await (_chunk(reader) if chunked else reader.read(65536)):
            back_writer.write(data)
            await back_writer.drain()
        back_writer.close()

    async def back() -> None:
        while data := await back_reader.read(65536):
            writer.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
            await writer.drain()
        writer.close()

    await asyncio.gather(forth(), back(), return_exceptions=True)


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline()).strip() or b"0", 16)
    data = await reader.readexactly(size)
    await reader.readline()
    return data


def file(name: str) -> str:
    """Give a path under which this process reads a variable of its environment; nothing of it outlives the process."""
    number = os.memfd_create(name)
    os.write(number, os.environ[name].encode())
    return f"/proc/self/fd/{number}"


def context(server: str, clients: str, *, required: bool) -> ssl.SSLContext:
    """Make the context of a TLS port."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(server)
    made.load_verify_locations(clients)
    made.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL

    def named(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(server)
        own.load_verify_locations(clients)
        own.verify_mode = made.verify_mode
        # The context is all of a connection that the callback can mark.
        KEPT.append(own)
        NAMES[id(own)] = name or ""
        tls.context = own

    made.sni_callback = named
    return made


KEPT: list[ssl.SSLContext] = []


async def main() -> None:
    """Serve for ever."""
    files = file("OUTSIDE_SERVER"), file("OUTSIDE_CLIENTS")
    for port in (80, 8080):
        await asyncio.start_server(Server(port).answer, "0.0.0.0", port)
    for port, required in ((443, False), (8443, False), (8444, True)):
        await asyncio.start_server(
            Server(port).answer, "0.0.0.0", port, ssl=context(*files, required=required)
        )
    await asyncio.start_server(Server(9000, proxied=True).answer, "0.0.0.0", 9000)
    await asyncio.start_server(tunnel, "0.0.0.0", 3128)
    await asyncio.Event().wait()


asyncio.run(main())
