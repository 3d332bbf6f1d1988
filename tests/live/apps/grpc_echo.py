"""A gRPC service that says who it is, and a client of it. `serve NAME PORT`; `call TARGET COUNT`; `watch TARGET`."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

SERVICE = "test.Echo"


def serve(name: str, port: str) -> None:
    """Answer for ever; `Fail` answers with UNAVAILABLE."""

    def who(_request: bytes, _context: Any) -> bytes:
        return name.encode()

    def fail(_request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, f"{name} fails")
        return b""

    server = grpc.server(ThreadPoolExecutor(4))
    methods = {"Who": who, "Fail": fail}
    handlers: dict[str, Any] = {
        method: grpc.unary_unary_rpc_method_handler(function) for method, function in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    server.wait_for_termination()


def said(channel: grpc.Channel, method: str = "Who", **metadata: str) -> str:
    """Who answered, or the code of the failure."""
    call: Any = channel.unary_unary(f"/{SERVICE}/{method}")
    try:
        return str(call(b"", timeout=10, metadata=tuple(metadata.items())).decode())
    except grpc.RpcError as error:
        return str(error.code().name)


def call(target: str, count: str, *metadata: str) -> None:
    """Call some times, and print how often who answered."""
    with grpc.insecure_channel(target) as channel:
        pairs = dict(pair.split("=", 1) for pair in metadata)
        print(json.dumps(Counter(said(channel, **pairs) for _ in range(int(count)))))


def watch(target: str) -> None:
    """Call for ever, and print who answers whenever that is another one."""
    last = ""
    with grpc.insecure_channel(target) as channel:
        while True:
            now = said(channel)
            if now != last:
                print(now, flush=True)
            last = now
            time.sleep(0.02)


if __name__ == "__main__":
    commands: dict[str, Any] = {"serve": serve, "call": call, "watch": watch}
    commands[sys.argv[1]](*sys.argv[2:])
