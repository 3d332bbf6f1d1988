"""Requests as data, and how they are made: by the test itself, or by a pod that is sent a list of them."""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from meltemi.samples.http import BrokenError, Connection

GATEWAY = "gateway"


@dataclass(frozen=True)
class Ask:
    """One request, or `times` of them: one after another, or without waiting for answers.

    `form` is http or tcp, or either within TLS: https or tls.

    `via` is who asks: `gateway` is the test itself, through the ingress gateway; else the name of a pod. `wait` are
    seconds before it is made. `host` is the Host header, or the server name of TLS.
    """

    via: str
    host: str
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    form: str = "http"
    address: str = ""
    """An IP address, or the path of a Unix socket."""
    port: int = 80
    times: int = 1
    every: float = 0.0
    """Seconds from one request to the next, answered or not; 0 waits for answers."""
    wait: float = 0.0
    limit: float = 4.0
    client: str = ""
    """Key and certificate of a client of TLS, as PEM."""
    newest: str = ""
    """The highest version of TLS that a client speaks, such as `TLSv1_2`."""
    ciphers: str = ""
    """What a client offers for TLS up to 1.2, as OpenSSL writes it."""


async def all_of(asked: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Make the requests of each list of `asks` in turn, of several lists at the same time: their answers in order."""
    gate = asyncio.Semaphore(6)

    async def one(asks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        async with gate:
            return [answer for ask in asks for answer in await _made(ask)]

    return await asyncio.gather(*(one(asks["asks"]) for asks in asked))


async def _made(ask: dict[str, Any]) -> list[dict[str, Any]]:
    await asyncio.sleep(ask["wait"])
    if ask["every"]:
        return await asyncio.gather(*(_answer(ask, number * ask["every"]) for number in range(ask["times"])))
    return [await _answer(ask) for _ in range(ask["times"])]


async def _answer(ask: dict[str, Any], later: float = 0.0) -> dict[str, Any]:
    await asyncio.sleep(later)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(ask["limit"]):
            made = await (_http(ask) if ask["form"] in ("http", "https") else _bytes(ask))
    except (OSError, BrokenError, TimeoutError, ssl.SSLError, asyncio.IncompleteReadError) as error:
        made = {"status": 0, "error": f"{type(error).__name__}: {error}", "headers": {}, "body": ""}
    return {**made, "seconds": time.monotonic() - begun}


async def _http(ask: dict[str, Any]) -> dict[str, Any]:
    connection = Connection(ask["address"], ask["port"])
    try:
        if ask["form"] == "https" or ask["address"].startswith("/"):
            connection.reader, connection.writer = await _connect(ask)
        headers = {**ask["headers"], **({"content-length": "0"} if ask["method"] == "POST" else {})}
        found = await connection.request(ask["method"], ask["path"], ask["host"], headers, keep=False)
    finally:
        await connection.close()
    body = found.body.decode("utf-8", "replace")
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    return {"status": found.status, "headers": found.headers, "body": body, "told": told or {}}


async def _bytes(ask: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await _connect(ask)
    try:
        writer.write(b"hello\n")
        await writer.drain()
        text = (await reader.readuntil(b"\n")).decode().strip()
    finally:
        writer.close()
    return {"status": 200, "headers": {}, "body": text, "told": {"pod": text}}


async def _connect(ask: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if ask["address"].startswith("/"):
        return await asyncio.open_unix_connection(ask["address"])
    if ask["form"] not in ("tls", "https"):
        return await asyncio.open_connection(ask["address"], ask["port"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ask["newest"]:
        context.maximum_version = ssl.TLSVersion[ask["newest"]]
    if ask["ciphers"]:
        context.set_ciphers(ask["ciphers"])
    if ask["client"]:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(ask["client"])
            file.flush()
            context.load_cert_chain(file.name)
    return await asyncio.open_connection(
        ask["address"], ask["port"], ssl=context, server_hostname=ask["host"]
    )
