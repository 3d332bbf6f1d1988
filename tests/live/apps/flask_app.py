"""A Flask app as its user wrote it: it knows of no mesh."""

from __future__ import annotations

import os
import socket

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index() -> dict[str, str]:
    return {"framework": "flask", "caller": request.headers.get("x-forwarded-client-cert", "")}


@app.get("/database/<host>")
def database(host: str) -> dict[str, str]:
    with socket.create_connection((host, int(os.environ["DATABASE_PORT"])), timeout=5) as link:
        link.sendall(b"ping")
        link.shutdown(socket.SHUT_WR)
        return {"said": link.makefile().read()}
