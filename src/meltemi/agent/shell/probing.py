"""Probes at work: made from inside the pod by a socket that is not marked, so not captured, and safe under STRICT."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, Protocol

import grpc
import grpc.aio

from meltemi.agent.core.probes import Probe, Verdict, health_request, is_serving, judge

EAGER_SECONDS = 0.25
"""Until it is good for the first time, a probe is asked this often: on one machine that costs nothing."""

Execute = Callable[[tuple[str, ...], float], Awaitable[tuple[int, str]]]
"""Run a command in the container: exit code and output; raises TimeoutError."""


class Sockets(Protocol):
    """Where the sockets are made by which a pod is asked: `network.Network`, or `Here`."""

    def socket_in(self, pod_id: str, family: int = ..., kind: int = ...) -> socket.socket:
        """A non-blocking socket in a pod's namespace. Raises KeyError for an unknown pod."""
        ...


class Here:
    """This process's own network: what is asked runs beside it."""

    def socket_in(
        self,
        pod_id: str,  # noqa: ARG002 - the interface's
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
    ) -> socket.socket:
        """A non-blocking socket."""
        made = socket.socket(family, kind)
        made.setblocking(False)
        return made


class Prober:
    """Asks one probe over and over; `changed(verdict)` is called whenever its verdict is another one."""

    def __init__(
        self,
        probe: Probe,
        pod: str,
        network: Sockets,
        execute: Execute,
        changed: Callable[[Verdict], None],
        *,
        eager: bool = True,
    ) -> None:
        self._probe = probe
        self._pod = pod
        self._network = network
        self._execute = execute
        self._changed = changed
        self._eager = eager

    async def run(self, *, once_good: bool = False) -> None:
        """Ask for ever; with `once_good` (a startup probe) until it is good for the first time."""
        probe = self._probe
        verdict = Verdict()
        loop = asyncio.get_running_loop()
        if probe.delay:
            await asyncio.sleep(probe.delay)
        counted = loop.time() - probe.period
        while True:
            ok, message = await self.ask()
            now = loop.time()
            # Eager answers count when they are good; bad ones only once a period, lest thresholds come early.
            if ok or now - counted >= probe.period * 0.9:
                counted = now
                before, verdict = verdict, judge(probe, verdict, ok, message)
                if verdict.good is not before.good or (verdict.message != before.message and not ok):
                    self._changed(verdict)
            if once_good and verdict.good:
                return
            pause = probe.period if verdict.good or not self._eager else min(probe.period, EAGER_SECONDS)
            await asyncio.sleep(pause)

    async def ask(self) -> tuple[bool, str]:
        """Ask once: whether it is well, and if not, why."""
        probe = self._probe
        try:
            async with asyncio.timeout(probe.timeout):
                match probe.kind:
                    case "http":
                        return await self._http()
                    case "tcp":
                        with closing(await connect(self._network, self._pod, probe.host, probe.port)):
                            return True, ""
                    case "grpc":
                        return await _grpc(probe)
                    case "exec":
                        code, output = await self._execute(probe.command, probe.timeout)
                        return code == 0, "" if code == 0 else f"command ended with {code}: {output[-200:]}"
        except TimeoutError:
            return False, f"no answer within {probe.timeout:g} s"
        except (OSError, KeyError, ValueError) as error:
            return False, str(error) or type(error).__name__

    async def _http(self) -> tuple[bool, str]:
        probe = self._probe
        connection = await connect(self._network, self._pod, probe.host, probe.port)
        code = await http_status(connection, probe)
        good = 200 <= code < 400
        return good, "" if good else f"HTTP probe failed with status code {code}"


async def _grpc(probe: Probe) -> tuple[bool, str]:
    """Ask by gRPC's health protocol; its connection is made where this process is."""
    where = f"{probe.host or '127.0.0.1'}:{probe.port}"
    async with grpc.aio.insecure_channel(where, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = await call(health_request(probe.service), timeout=probe.timeout)
        except grpc.aio.AioRpcError as error:
            return False, f"{error.code().name}: {error.details()}"
    good = is_serving(answer)
    return good, "" if good else f"service {probe.service!r} does not serve"


async def connect(network: Sockets, pod: str, host: str, port: int) -> socket.socket:
    """Connect from inside a pod, to its own loopback where `host` is empty. Raises OSError, and KeyError for no pod."""
    made = network.socket_in(pod)
    try:
        await asyncio.get_running_loop().sock_connect(made, (host or "127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    return made


async def http_status(connection: socket.socket, probe: Probe) -> int:
    """Send one GET over an open connection, and read the answer's status. Raises OSError and ValueError."""
    context = None
    if probe.scheme == "HTTPS":
        # As Kubernetes: a probe asks whether it answers, not who it is.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        sock=connection, ssl=context, server_hostname=(probe.host or "localhost") if context else None
    )
    try:
        usual = {"Host": f"{probe.host or 'localhost'}:{probe.port}", "User-Agent": "kube-probe/1.37"}
        usual |= {"Accept": "*/*", "Connection": "close"}
        told = {name.lower() for name, _ in probe.headers}
        # A name may stand twice.
        headers = [*(pair for pair in usual.items() if pair[0].lower() not in told), *probe.headers]
        lines = [f"GET {probe.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise ValueError("the answer is not HTTP")
    return int(parts[1])
