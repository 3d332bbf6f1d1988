"""What stands for the image echo-advanced in the suite's mesh: a server that tells of requests, and a client.

`server` answers HTTP and gRPC with lines of `Name=value`. `client URL [--method=M] [--count=N] [-H NAME:VALUE]...`
follows no redirects; it prints these lines, and those of the response, with an empty line after each response.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

HTTP: Final = 8080
GRPC: Final = 7070
METHOD: Final = "/proto.EchoTestService/Echo"
SECONDS: Final = 10.0


def told(**fields: str) -> list[str]:
    """Give lines of fields, the name of this pod first."""
    return [f"Hostname={os.environ['POD_NAME']}", *(f"{name}={value}" for name, value in fields.items())]


class Handler(BaseHTTPRequestHandler):
    """Answers any request with what it was."""

    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        lines = told(
            Host=self.headers["host"] or "", Method=self.command, URL=self.path, Proto=self.request_version
        )
        lines += [f"RequestHeader={name}:{value}" for name, value in self.headers.items()]
        self.rfile.read(int(self.headers["content-length"] or 0))
        body = "\n".join(lines).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Calls(grpc.GenericRpcHandler):
    """Answers any call."""

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: Any) -> bytes:
        lines = [f"RequestHeader={key}:{value}" for key, value in context.invocation_metadata()]
        return "\n".join([*told(Proto="GRPC"), *lines]).encode()


def serve() -> None:
    """Serve until the end."""
    calls = grpc.server(ThreadPoolExecutor(4), handlers=[Calls()])
    calls.add_insecure_port(f"0.0.0.0:{GRPC}")
    calls.start()
    ThreadingHTTPServer(("0.0.0.0", HTTP), Handler).serve_forever()


def ask(url: str, method: str, headers: list[tuple[str, str]]) -> list[str]:
    """Make one request over HTTP."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=SECONDS)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    connection.request(method, target, headers=dict(headers))
    response = connection.getresponse()
    body = response.read().decode(errors="replace")
    connection.close()
    return [
        f"StatusCode={response.status}",
        *(f"ResponseHeader={name}:{value}" for name, value in response.getheaders()),
        *body.splitlines(),
    ]


def call(channel: grpc.Channel) -> list[str]:
    """Make one call over gRPC; a good one counts as 200."""
    asked: Callable[..., bytes] = channel.unary_unary(METHOD)
    answer = asked(b"", timeout=SECONDS)
    return ["StatusCode=200", *answer.decode().splitlines()]


def main(words: list[str]) -> None:
    """Be what the first word says."""
    if words[0] == "server":
        serve()
        return
    asked = argparse.ArgumentParser()
    asked.add_argument("url")
    asked.add_argument("--method", default="GET")
    asked.add_argument("--count", type=int, default=1)
    asked.add_argument("-H", action="append", default=[])
    given = asked.parse_args(words[1:])
    headers = [(name, value) for name, _, value in (one.partition(":") for one in given.H)]
    if given.url.startswith("grpc://"):
        with grpc.insecure_channel(urlsplit(given.url).netloc) as channel:
            for _ in range(given.count):
                print("\n".join(call(channel)), end="\n\n")
        return
    for _ in range(given.count):
        print("\n".join(ask(given.url, given.method, headers)), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
