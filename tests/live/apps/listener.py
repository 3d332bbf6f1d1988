"""Clients of `speaker.py`, one for each protocol: `python listener.py FORM HOST PORT [WHAT [TIMES]]` prints JSON:
the answer, or a list of so many.

FORM is http, websocket, grpc, stream (a gRPC answer of several messages), web (gRPC-Web), line (bytes), greeting (a
server that speaks first), tls, or mongo.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import sys
import time
from typing import Any

import aiohttp
import grpc


async def http(host: str, port: int, what: str) -> Any:
    """Ask for a path; `authority/path` sets the authority."""
    authority, _, path = what.rpartition("/")
    headers = {"host": authority} if authority else {}
    url = f"http://{host}:{port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        told = json.loads(body) if (body := await answer.text()).startswith("{") else {}
        return {"status": answer.status, "server": answer.headers.get("server", ""), **told}


async def websocket(host: str, port: int, what: str) -> Any:
    """Send twice over a WebSocket."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://{host}:{port}/") as socket:
        await socket.send_str(what)
        await socket.send_str("again")
        return [await socket.receive_str(), await socket.receive_str()]


async def unary(host: str, port: int, what: str) -> Any:
    """Call Say; `authority/word` sets the authority."""
    authority, _, word = what.rpartition("/")
    options = [("grpc.default_authority", authority)] if authority else []
    async with grpc.aio.insecure_channel(f"{host}:{port}", options=options) as channel:
        call: Any = channel.unary_unary("/test.Echo/Say")
        return json.loads(await call(word.encode(), timeout=8))


async def stream(host: str, port: int, what: str) -> Any:
    """Call Count."""
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call: Any = channel.unary_stream("/test.Echo/Count")
        return [message.decode() async for message in call(what.encode(), timeout=8)]


async def web(host: str, port: int, what: str) -> Any:
    """Call Say as browsers do; `authority/word` sets the authority."""
    authority, _, word = what.rpartition("/")
    body = struct.pack(">BI", 0, len(word)) + word.encode()
    headers = {"content-type": "application/grpc-web+proto", **({"host": authority} if authority else {})}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{host}:{port}/test.Echo/Say", data=body, headers=headers) as answer,
    ):
        found = {"status": answer.status, "type": answer.headers.get("content-type", "")}
        rest = await answer.read()
    while len(rest) >= 5:
        flags, length = struct.unpack(">BI", rest[:5])
        text = rest[5 : 5 + length].decode()
        found["trailers" if flags & 0x80 else "message"] = text
        rest = rest[5 + length :]
    return found


async def line(host: str, port: int, what: str) -> Any:
    """Send a line and read one."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"{what}\n".encode())
    text = (await reader.readline()).decode().strip()
    writer.close()
    return text


async def greeting(host: str, port: int, what: str) -> Any:
    """Read what a server says first, then send a line and read one."""
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    first = (await reader.readline()).decode().strip()
    seconds = time.monotonic() - begun
    writer.write(f"{what}\n".encode())
    text = (await reader.readline()).decode().strip()
    writer.close()
    return {"first": first, "then": text, "seconds": seconds}


async def tls(host: str, port: int, what: str) -> Any:
    """Send a line within TLS; `name/word` asks for a name."""
    name, _, word = what.rpartition("/")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name or host)
    writer.write(f"{word}\n".encode())
    text = (await reader.readline()).decode().strip()
    writer.close()
    return text


async def mongo(host: str, port: int, what: str) -> Any:
    """Send an OP_QUERY for a collection and count the documents of the answer."""
    body = struct.pack("<i", 0) + f"test.{what}".encode() + b"\0" + struct.pack("<ii", 0, 1) + b"\x05\0\0\0\0"
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(struct.pack("<iiii", 16 + len(body), 7, 0, 2004) + body)
    length, _, answered, code = struct.unpack("<iiii", await reader.readexactly(16))
    rest = await reader.readexactly(length - 16)
    writer.close()
    return {"answered": answered, "code": code, "documents": struct.unpack("<iqii", rest[:20])[3]}


FORMS = {
    "http": http,
    "websocket": websocket,
    "grpc": unary,
    "stream": stream,
    "web": web,
    "line": line,
    "greeting": greeting,
    "tls": tls,
    "mongo": mongo,
}


async def main(form: str, host: str, port: str, what: str = "hello", times: str = "1") -> None:
    """Ask, and print."""
    found = [await asked(form, host, int(port), what) for _ in range(int(times))]
    print(json.dumps(found if len(found) > 1 else found[0]))


async def asked(form: str, host: str, port: int, what: str) -> Any:
    """Ask once."""
    try:
        async with asyncio.timeout(10):
            return await FORMS[form](host, port, what)
    except (
        OSError,
        TimeoutError,
        aiohttp.ClientError,
        grpc.aio.AioRpcError,
        asyncio.IncompleteReadError,
    ) as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
