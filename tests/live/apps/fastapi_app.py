"""A FastAPI app as its user wrote it: it knows of no mesh."""

from __future__ import annotations

import asyncio
import os

from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/")
async def index(request: Request) -> dict[str, str]:
    return {"framework": "fastapi", "caller": request.headers.get("x-forwarded-client-cert", "")}


@app.get("/database/{host}")
async def database(host: str) -> dict[str, str]:
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, int(os.environ["DATABASE_PORT"]))
        writer.write(b"ping")
        writer.write_eof()
        said = await reader.read()
        writer.close()
    return {"said": said.decode()}
