"""A gRPC service that says who it is, and a client of it, both with xDS's credentials where they speak xDS.

`serve NAME PORT`; `xds-serve NAME PORT`; `call TARGET COUNT [METHOD [together]] [HEADER=VALUE...]`;
`watch TARGET [METHOD]`; `anew TARGET [METHOD]`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import grpc.experimental

SERVICE = "test.Echo"


def serve(name: str, port: str, *, xds: bool = False) -> None:
    """Answer for ever: `Who` names the server, `Peer` the client as mutual TLS does, `Certificate` the client's own."""
    failed = Counter[str]()

    def who(_request: bytes, _context: Any) -> bytes:
        return name.encode()

    def fail(_request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, f"{name} fails")
        return b""

    def flaky(_request: bytes, context: Any) -> bytes:
        """Fail each call but every third."""
        failed["calls"] += 1
        return name.encode() if failed["calls"] % 3 == 0 else fail(b"", context)

    def slow(_request: bytes, _context: Any) -> bytes:
        time.sleep(3.0)
        return name.encode()

    def peer(_request: bytes, context: Any) -> bytes:
        """Name the client: by TLS that ends here, or by what the sidecar says."""
        listed = [one.decode() for one in context.auth_context().get("x509_subject_alternative_name", ())]
        for key, value in context.invocation_metadata():
            if key == "x-forwarded-client-cert":
                listed += [part[4:] for part in value.split(";") if part.startswith("URI=")]
        return f"{name} {' '.join(listed) or 'nobody'}".encode()

    def certificate(_request: bytes, context: Any) -> bytes:
        shown = context.auth_context().get("x509_pem_cert", (b"",))[0]
        return hashlib.sha256(shown).hexdigest()[:16].encode() if shown else b"none"

    server = grpc.server(ThreadPoolExecutor(4), xds=xds)
    methods: dict[str, Any] = {
        "Who": who,
        "Fail": fail,
        "Flaky": flaky,
        "Slow": slow,
        "Peer": peer,
        "Certificate": certificate,
    }
    handlers: dict[str, Any] = {
        method: grpc.unary_unary_rpc_method_handler(function) for method, function in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if xds:
        plain = grpc.insecure_server_credentials()
        server.add_secure_port(f"0.0.0.0:{port}", grpc.xds_server_credentials(plain))
    else:
        server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    server.wait_for_termination()


def opened(target: str, *options: tuple[str, int]) -> grpc.Channel:
    """A channel: what it is encrypted with is xDS's to say, where it speaks that."""
    if not target.startswith("xds:"):
        return grpc.insecure_channel(target, options)
    plain = grpc.experimental.insecure_channel_credentials()  # type: ignore[no-untyped-call]
    return grpc.secure_channel(target, grpc.xds_channel_credentials(plain), options)


def said(channel: grpc.Channel, method: str = "Who", **metadata: str) -> str:
    """Who answered, or the code of the failure."""
    call: Any = channel.unary_unary(f"/{SERVICE}/{method}")
    try:
        return str(call(b"", timeout=10, metadata=tuple(metadata.items())).decode())
    except grpc.RpcError as error:
        return str(error.code().name)


def call(target: str, count: str, *more: str) -> None:
    """Call some times, one after the other or all `together`, and print how often who answered."""
    method, *how = [word for word in more if "=" not in word] or ["Who"]
    pairs = dict(word.split("=", 1) for word in more if "=" in word)
    with opened(target) as channel, ThreadPoolExecutor(8) as threads:
        every = threads.map if how else map
        print(json.dumps(Counter(every(lambda _: said(channel, method, **pairs), range(int(count))))))


def watch(target: str, method: str = "Who", *, anew: bool = False) -> None:
    """Call for ever, by a new connection each time if `anew`; print who answers whenever that is another one.

    What gRPC knows of the mesh it forgets with its last channel: one stays.
    """
    last = ""
    channel = opened(target)
    said(channel, method)
    while True:
        if anew:
            with opened(target, ("grpc.use_local_subchannel_pool", 1)) as another:
                now = said(another, method)
        else:
            now = said(channel, method)
        if now != last:
            print(now, flush=True)
        last = now
        time.sleep(0.02)


if __name__ == "__main__":
    commands: dict[str, Any] = {
        "serve": serve,
        "xds-serve": partial(serve, xds=True),
        "call": call,
        "watch": watch,
        "anew": partial(watch, anew=True),
    }
    commands[sys.argv[1]](*sys.argv[2:])
