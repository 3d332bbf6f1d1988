"""A small HTTP/1.1 app: `app.py NAME PORT [ADDRESS]`. Answers JSON: who it is, who asked, what came."""

import asyncio
import json
import os
import sys


async def serve(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("peername")
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                key.lower(): value.strip()
                for key, _, value in (line.partition(":") for line in head[1:])
                if key
            }
            length = int(headers.get("content-length", "0"))
            body = await reader.readexactly(length)
            path = head[0].split(" ")[1]
            document = {
                "name": name,
                "peer": peer,
                "path": path,
                "headers": headers,
                "uid": os.getuid(),
                "length": len(body),
            }
            text = json.dumps(document).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(text)
                + text
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def main() -> None:
    name, port, address = sys.argv[1], int(sys.argv[2]), [*sys.argv, "0.0.0.0"][3]
    server = await asyncio.start_server(lambda r, w: serve(name, r, w), address, port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
