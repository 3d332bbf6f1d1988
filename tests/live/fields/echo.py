"""The app of the ledger's mesh: answers what it was asked, counts, and asks others when told to.

Usage: python echo.py NAME. HTTP on 8080 and 8081, bytes on 9000 (a line in, its name out), TLS on 8443 (`ECHO_TLS`
holds key and certificate) and, for clients that `ECHO_CLIENTS` has signed, on 9443; HTTP on the Unix socket NAME in the
folder `ECHO_SOCKETS`; on 9001 the pod `client` speaks Envoy's ext_authz by gRPC, and says no to whatever has the
header `x-status`. Headers of a request: `x-status`
to answer with (by the pod `x-only` alone, if given), `x-delay` seconds to wait, `x-count` key to count under, `x-fail`
how many of that key's requests are answered 503 first, `x-slow` how many of them take 1 s. `GET /_count?key=` tells a
count; `POST /_call` takes a JSON list of `{"asks": [...]}`, each an `asking.Ask` as a dict, and answers with their
answers.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.append(str(Path(__file__).resolve().parents[3]))
from tests.live.fields import asking

COUNTS: Counter[str] = Counter()


def handler(name: str, port: int) -> Any:
    """What answers on a port."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/_count":
            return web.json_response({"pod": name, "count": COUNTS[request.query["key"]]})
        if request.path == "/_call":
            return web.json_response(await asking.all_of(await request.json()))
        key = request.headers.get("x-count", "")
        COUNTS[key] += 1
        COUNTS[f"{key}@{port}"] += 1
        status = int(request.headers.get("x-status", "200"))
        if request.headers.get("x-only", name) != name:
            status = 200
        if COUNTS[key] <= int(request.headers.get("x-fail", "0")):
            status = 503
        slow = COUNTS[key] <= int(request.headers.get("x-slow", "0"))
        await asyncio.sleep(1.0 if slow else float(request.headers.get("x-delay", "0")))
        told = {
            "pod": name,
            "port": port,
            "method": request.method,
            "path": request.path_qs,
            "headers": {key.lower(): value for key, value in request.headers.items()},
            "all": [[key.lower(), value] for key, value in request.headers.items()],
            "count": COUNTS[key],
        }
        return web.json_response(told, status=status, headers={"x-pod": name, "x-old": "1"})

    return answer


async def authorize() -> None:
    """Serve Envoy's ext_authz."""
    # Of no use to the other pods, and dear to import.
    import grpc
    from envoy.config.core.v3.base_pb2 import HeaderValue
    from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

    async def check(request: CheckRequest, _context: Any) -> CheckResponse:
        answer = CheckResponse()
        if "x-status" in request.attributes.request.http.headers:
            answer.status.code = grpc.StatusCode.PERMISSION_DENIED.value[0]
        else:
            answer.ok_response.headers.add().header.MergeFrom(HeaderValue(key="x-asked", value="1"))
        return answer

    method = grpc.unary_unary_rpc_method_handler(
        check, CheckRequest.FromString, CheckResponse.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": method}),)
    )
    server.add_insecure_port("0.0.0.0:9001")
    await server.start()
    await server.wait_for_termination()


def secured() -> ssl.SSLContext:
    """TLS with the key and certificate of `ECHO_TLS`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(os.environ["ECHO_TLS"])
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def main(name: str) -> None:
    """Serve for ever."""

    async def bytes_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"{name}\n".encode())
        await writer.drain()
        writer.close()

    await asyncio.start_server(bytes_in, "0.0.0.0", 9000)
    if "ECHO_TLS" in os.environ:
        await asyncio.start_server(bytes_in, "0.0.0.0", 8443, ssl=secured())
    if "ECHO_CLIENTS" in os.environ:
        checked = secured()
        checked.verify_mode = ssl.CERT_REQUIRED
        checked.load_verify_locations(cadata=os.environ["ECHO_CLIENTS"])
        await asyncio.start_server(bytes_in, "0.0.0.0", 9443, ssl=checked)
    for port in (8081, 8080):
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", handler(name, port))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
    if "ECHO_SOCKETS" in os.environ:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", handler(name, 0))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, f"{os.environ['ECHO_SOCKETS']}/{name}").start()
    await (authorize() if name == "client" else asyncio.Event().wait())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
