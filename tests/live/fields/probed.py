"""What probes of the ledger's WorkloadGroups ask: servers on this machine, beside which the workloads' agents are."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import yaml
from tests.live.fields.certificates import pem
from tests.live.fields.dropping import DROP, without
from tests.live.outside import Outside

from meltemi.agent.core import vm
from meltemi.agent.core.probes import Probe, Verdict
from meltemi.agent.shell.probing import Here, Prober
from meltemi.agent.shell.vm import execute
from meltemi.ctl.workload_files import Wanted, files

OTHER = "127.0.0.9"
SERVICE = "shop"
_SLOW = 1.6


class Handler(http.server.BaseHTTPRequestHandler):
    """By path: `/well`; `/slow`; `/header`; `/there` on the other address; `/fifth/X` from the fifth request on;
    `/once/X` the first time only."""

    seen: Counter[str] = Counter()

    def do_GET(self) -> None:
        self.seen[self.path] += 1
        _, what, *_ = self.path.split("/")
        if what == "slow":
            time.sleep(_SLOW)
        good = {
            "well": True,
            "slow": True,
            "header": self.headers.get("x-probe") == "yes",
            "there": self.connection.getsockname()[0] == OTHER,
            "fifth": self.seen[self.path] > 4,
            "once": self.seen[self.path] == 1,
        }.get(what, False)
        with contextlib.suppress(OSError):
            self.send_response(200 if good else 404)
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def port(pods: Mapping[str, str], name: str) -> int:
    """A server's port: `http`, `https`, `tcp` (on the other address only), `grpc`."""
    return int(pods.get(f"probed-{name}", "1"))


@contextlib.contextmanager
def servers(folder: str) -> Iterator[dict[str, str]]:
    """Serve; give the ports for `Own.pods`."""
    file = Path(folder, "probed.pem")
    file.write_text(pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(_http("127.0.0.1", 0))
        stack.enter_context(_http(OTHER, plain))
        secure = stack.enter_context(_http("127.0.0.1", 0, context))
        listening = stack.enter_context(socket.create_server((OTHER, 0)))
        health = stack.enter_context(_grpc())
        yield {
            "probed-http": str(plain),
            "probed-https": str(secure),
            "probed-tcp": str(listening.getsockname()[1]),
            "probed-grpc": str(health),
        }


@contextlib.contextmanager
def _http(address: str, number: int, context: ssl.SSLContext | None = None) -> Iterator[int]:
    made = http.server.ThreadingHTTPServer((address, number), Handler)
    if context is not None:
        made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    made.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made.server_address[1]
    finally:
        made.shutdown()
        made.server_close()
        thread.join(10)


@contextlib.contextmanager
def _grpc() -> Iterator[int]:
    """gRPC's health service: one service of it serves."""

    def check(request: bytes, _context: Any) -> bytes:
        return b"\x08\x01" if request.endswith(SERVICE.encode()) else b"\x08\x02"

    method: Any = grpc.unary_unary_rpc_method_handler(check)
    made = grpc.server(futures.ThreadPoolExecutor(2))
    made.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),)
    )
    number = made.add_insecure_port("127.0.0.1:0")
    made.start()
    try:
        yield number
    finally:
        made.stop(None).wait(10)


def agent_of(group: dict[str, Any]) -> vm.Outside:
    """Read what `x workload entry configure` writes for a group, without what the group's annotation names."""
    dropped = (group["metadata"].get("annotations") or {}).get(DROP)
    if dropped:
        without(group, dropped)
    made = files(group, {}, "", "", Wanted(register=True))
    return vm.read(made["cluster.env"], yaml.safe_load(made["mesh.yaml"]))


class Agent:
    """What the agent beside a workload does about its health."""

    def __init__(self, probe: Probe, workload: Outside, entry: str) -> None:
        self._workload = workload
        self.entry = entry
        self.good: bool | None = None
        """What it has told last."""
        self._prober = Prober(probe, "", Here(), execute, self._judged, eager=False)

    async def run(self) -> None:
        """Probe, for ever."""
        await self._prober.run()

    def _judged(self, verdict: Verdict) -> None:
        self._workload.health("" if verdict.good else verdict.message or "the probe failed")
        self.good = bool(verdict.good)
