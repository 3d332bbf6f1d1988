"""An app that speaks many protocols, each on ports of its own: `python speaker.py`.

HTTP/1.1 and WebSocket, gRPC, servers that speak first, bytes, TLS (`SPEAKER_TLS` holds key and certificate), and
enough of MongoDB's protocol to answer one query.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import struct
import tempfile
from typing import Any

import grpc
from aiohttp import WSMsgType, web

HTTP = (8080, 8081, 8082, 8083)
GRPC = (50051, 50052, 50053, 50054)
FIRST = (7000, 7001, 7002, 3306)
BYTES = (9000, 9001)
TLS = (8443, 8444, 8445)
MONGO = (27017,)


def handler(port: int) -> Any:
    """What answers HTTP on a port: what was asked, or all that a WebSocket sends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("upgrade", "").lower() == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(f"{port} {message.data}")
            return socket
        told = {key.lower(): value for key, value in request.headers.items()}
        version = f"{request.version.major}.{request.version.minor}"
        name = os.environ.get("SPEAKER", "")
        return web.json_response(
            {"name": name, "port": port, "version": version, "path": request.path, "headers": told}
        )

    return answer


def service(port: int) -> grpc.GenericRpcHandler:
    """`test.Echo`: Say answers with the port, what was sent and the metadata; Count sends three messages."""

    async def say(request: bytes, context: Any) -> bytes:
        told = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        return json.dumps({"port": port, "said": request.decode(), "metadata": told}).encode()

    async def count(request: bytes, _context: Any) -> Any:
        for number in range(3):
            yield f"{request.decode()} {number}".encode()

    methods: dict[str, Any] = {
        "Say": grpc.unary_unary_rpc_method_handler(say),
        "Count": grpc.unary_stream_rpc_method_handler(count),
    }
    return grpc.method_handlers_generic_handler("test.Echo", methods)


def label(port: int) -> str:
    """What a line's answer begins with: the name of the app in `SPEAKER`, else the port."""
    return os.environ.get("SPEAKER") or str(port)


def stream(port: int, *, first: bool) -> Any:
    """What answers a connection: a greeting before anything is asked, then each line with the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if first:
                writer.write(f"{port} welcome\n".encode())
            while line := await reader.readline():
                writer.write(f"{label(port)} ".encode() + line)
                await writer.drain()
        finally:
            writer.close()

    return talk


async def mongo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each message with an OP_REPLY of one empty document."""
    try:
        while True:
            length, asked, _, _ = struct.unpack("<iiii", await reader.readexactly(16))
            await reader.readexactly(length - 16)
            body = struct.pack("<iqii", 0, 0, 0, 1) + b"\x05\x00\x00\x00\x00"
            writer.write(struct.pack("<iiii", 16 + len(body), 1, asked, 1) + body)
            await writer.drain()
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()


def context() -> ssl.SSLContext:
    """What TLS is ended with."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(os.environ["SPEAKER_TLS"])
        file.flush()
        made.load_cert_chain(file.name)
    return made


async def main() -> None:
    """Serve for ever."""
    for port in FIRST:
        await asyncio.start_server(stream(port, first=True), "0.0.0.0", port)
    for port in BYTES:
        await asyncio.start_server(stream(port, first=False), "0.0.0.0", port)
    for port in TLS:
        await asyncio.start_server(stream(port, first=False), "0.0.0.0", port, ssl=context())
    for port in MONGO:
        await asyncio.start_server(mongo, "0.0.0.0", port)
    servers = [grpc.aio.server() for _ in GRPC]
    for port, server in zip(GRPC, servers, strict=True):
        server.add_generic_rpc_handlers((service(port),))
        server.add_insecure_port(f"0.0.0.0:{port}")
        await server.start()
    for port in HTTP:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", handler(port))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
