"""Apps with the habits of Istio's samples. Usage: sample_app.py tcp-echo|httpbin|tornado WORD PORT..."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web


async def tcp_echo(word: str, ports: list[int]) -> None:
    """Answer each line with the word before it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(f"{word} ".encode() + line)
            await writer.drain()
        writer.close()

    await asyncio.gather(*[asyncio.start_server(serve, "0.0.0.0", port) for port in ports])
    await asyncio.Event().wait()


async def http(word: str, ports: list[int]) -> None:
    """`/status/N`, `/headers`, `/productpage`, `/delay/S`; a WebSocket says the word to each text."""

    async def status(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]), text=word)

    async def headers(request: web.Request) -> web.Response:
        return web.json_response({"headers": dict(request.headers), "who": word})

    async def delay(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.match_info["seconds"]))
        return web.json_response({"who": word})

    async def chat(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        if not socket.can_prepare(request):
            return web.Response(text=word)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"{word} {message.data}")
        return socket

    app = web.Application()
    app.add_routes(
        [
            web.get("/status/{code}", status),
            web.get("/headers", headers),
            web.get("/delay/{seconds}", delay),
            web.get("/", chat),
            web.get("/ws", chat),
            web.get("/productpage", headers),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    for port in ports:
        await web.TCPSite(runner, "0.0.0.0", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    kind, said, *listed = sys.argv[1:]
    asyncio.run((tcp_echo if kind == "tcp-echo" else http)(said, [int(port) for port in listed]))
