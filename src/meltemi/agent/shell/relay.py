"""A pod's gRPC at work: its Envoy on one side, the control plane on the other, `wire.relay` in between.

Envoy's stream is never ended because upstream ended, nor upstream's because Envoy did.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2

from meltemi.agent.shell.accepted import Accepted
from meltemi.agent.shell.controlplane import AwayError, ControlPlane
from meltemi.agent.shell.identity import Identity, Tokens
from meltemi.agent.shell.isolation import heed_cancellation
from meltemi.agent.shell.secrets import SecretService
from meltemi.agent.wire import relay
from meltemi.pilot.wire.messages import (
    Malformed,
    Request,
    decode_request,
    decode_response,
    encode_request,
    response_body,
    with_nonce,
)
from meltemi.pilot.wire.types import CDS, HEALTH, short

log = logging.getLogger(__name__)

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
TICK_SECONDS = 30.0
WRITE_SECONDS = 1.0
"""What was accepted is written at most this often per pod; the first change after quiet at once."""
OVERDUE_SECONDS = 4.5
"""So long LDS and RDS wait for clusters that do not warm."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 3.0
STEADY_SECONDS = 3.0
"""After so long an Envoy has asked for every type that it uses."""

Context = grpc.aio.ServicerContext[bytes, bytes]

_SERVER_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


class PodRelay:
    """One pod's relay. `run()` serves it at `address` until cancelled: an abstract socket, or a path from `/` on."""

    def __init__(
        self,
        label: str,
        address: str,
        *,
        plane: ControlPlane,
        token: Tokens,
        identity: Identity,
        accepted: Accepted,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._label = label
        self._address = address
        self._plane = plane
        self._token = token
        self._accepted = accepted
        self._dice = dice
        self._secrets = SecretService(identity)
        self._relay = relay.Relay(accepted.load())
        self._envoy: asyncio.Queue[bytes | None] | None = None
        self._upstream: asyncio.Queue[bytes] | None = None
        self._node = b""
        self._introduced = False
        self._away = False
        self._node_known = asyncio.Event()
        self._health: tuple[str | None] | None = None
        self._dirty: dict[str, None] = {}
        self._write = asyncio.Event()
        self.serving = asyncio.Event()
        """Set once the socket takes connections."""

    @property
    def envoy_connected(self) -> bool:
        """Whether the pod's Envoy has its ADS stream."""
        return self._relay.envoy_connected

    @property
    def upstream_connected(self) -> bool:
        """Whether the control plane's stream is open."""
        return self._relay.upstream_connected

    async def run(self) -> None:
        """Serve Envoy, follow upstream, write down what is accepted; for ever."""
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        methods: dict[str, Any] = {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._serve)
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, methods), self._secrets.handler())
        )
        by_path = self._address.startswith("/")
        server.add_insecure_port(f"unix:{self._address}" if by_path else f"unix-abstract:{self._address}")
        await server.start()
        self.serving.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._keep())
                group.create_task(self._tick())
        finally:
            self.serving.clear()
            await server.stop(grace=None)

    def report(self, fault: str | None) -> None:
        """Tell the control plane that the workload serves (None) or what is wrong, now and whenever it comes back.

        As Istio's agent does it (pilot/pkg/xds, `istio.v1.HealthInformation`): a request of the proxy's stream.
        """
        self._health = (fault,)
        if self._introduced:
            self._tell_health()

    def _tell_health(self) -> None:
        if self._health is not None and self._upstream is not None:
            (fault,) = self._health
            self._upstream.put_nowait(encode_request(Request(HEALTH, error=fault)))

    # --- Envoy

    async def _serve(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """One stream of Envoy's; a newer one takes its place."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if self._envoy is not None:
            self._envoy.put_nowait(None)
        self._envoy = queue
        self._feed(relay.EnvoyConnected())
        steady = asyncio.get_running_loop().call_later(STEADY_SECONDS, self._say, queue, relay.EnvoySteady())
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read_envoy(requests, queue))
                while (data := await queue.get()) is not None:
                    await context.write(data)
                reader.cancel()
        except* (grpc.aio.AioRpcError, grpc.aio.InternalError, grpc.aio.UsageError) as errors:
            log.debug("%s: Envoy's stream broke: %s", self._label, errors.exceptions[0])
        finally:
            steady.cancel()
            if self._envoy is queue:
                self._envoy = None
                self._feed(relay.EnvoyDisconnected())

    async def _read_envoy(self, requests: AsyncIterator[bytes], queue: asyncio.Queue[bytes | None]) -> None:
        try:
            async for data in requests:
                if self._envoy is not queue:
                    return
                try:
                    request, hint = decode_request(data)
                except Malformed as error:
                    log.warning("%s: Envoy sent %s", self._label, error)
                    return
                if hint is not None:
                    self._learn_node(data)
                self._feed(relay.EnvoyAsked(request))
        finally:
            queue.put_nowait(None)

    def _learn_node(self, data: bytes) -> None:
        """Keep what Envoy says of itself, for upstream; it tells it in the first request of a stream only."""
        self._node = discovery_pb2.DeltaDiscoveryRequest.FromString(data).node.SerializeToString()
        self._node_known.set()

    # --- upstream

    async def _follow(self) -> None:
        await self._node_known.wait()
        pause = FIRST_PAUSE
        while True:
            try:
                token = await self._token.get()
                if await self._stream(token):
                    pause = FIRST_PAUSE
            except AwayError as error:
                self._lost(str(error))
            heed_cancellation()
            await asyncio.sleep(pause * (0.5 + self._dice()))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _stream(self, token: str) -> bool:
        """Follow one stream to its end; True if anything came over it."""
        call = self._plane.stream(token)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        heard = False
        try:
            await call.wait_for_connection()
            self._upstream, self._introduced = queue, False
            self._feed(relay.UpstreamConnected())
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(_pump(queue, call))
                try:
                    while isinstance(data := await call.read(), bytes):  # else it is EOF
                        heard = True
                        self._found()
                        self._feed(relay.UpstreamAnswered(decode_response(data)))
                finally:
                    writer.cancel()
            self._lost(f"it ended the stream: {await call.details()}")
            if await call.code() is grpc.StatusCode.UNAUTHENTICATED:
                self._token.refused()
        except* (grpc.aio.AioRpcError, Malformed, asyncio.InvalidStateError) as errors:
            self._lost(_words(errors.exceptions[0]))
            if _unauthenticated(errors.exceptions[0]):
                self._token.refused()
        finally:
            call.cancel()
            if self._upstream is queue:
                self._upstream = None
                self._feed(relay.UpstreamDisconnected())
        return heard

    def _lost(self, words: str) -> None:
        """Say once that the control plane is away; the attempts that follow are nobody's news."""
        if not self._away:
            self._away = True
            log.info("%s: the control plane is away: %s", self._label, words)

    def _found(self) -> None:
        if self._away:
            self._away = False
            log.info("%s: the control plane is back", self._label)

    # --- the machine

    def _feed(self, event: relay.Event) -> None:
        for command in self._relay.receive(event):
            match command:
                case relay.ToEnvoy():
                    self._to_envoy(command)
                case relay.ToUpstream():
                    if self._upstream is not None:
                        first, self._introduced = not self._introduced, True
                        node = self._node if first else b""
                        self._upstream.put_nowait(encode_request(command.request, node))
                        if first:
                            self._tell_health()
                case relay.Keep():
                    self._dirty[command.type] = None
                    self._write.set()
                case relay.Refused():
                    log.warning(
                        "%s: Envoy refused %s %s: %s",
                        self._label,
                        short(command.type),
                        ", ".join(command.names),
                        command.reason,
                    )
                case relay.EndEnvoy():
                    log.warning("%s: Envoy's stream is ended: %s", self._label, command.reason)
                    if self._envoy is not None:
                        self._envoy.put_nowait(None)

    def _to_envoy(self, command: relay.ToEnvoy) -> None:
        if self._envoy is None:
            return
        body = response_body(command.type, (entry.framed for entry in command.resources), command.removed)
        self._envoy.put_nowait(with_nonce(body, command.nonce))
        if command.type == CDS:
            overdue = relay.EnvoyOverdue(command.type, command.nonce)
            asyncio.get_running_loop().call_later(OVERDUE_SECONDS, self._say, self._envoy, overdue)

    def _say(self, stream: asyncio.Queue[bytes | None], event: relay.Event) -> None:
        """Tell the machine something of a stream, if it is still the present one."""
        if self._envoy is stream:
            self._feed(event)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._feed(relay.Tick())

    async def _keep(self) -> None:
        """Write down what was accepted, a type at a time, not too often."""
        while True:
            await self._write.wait()
            self._write.clear()
            types, self._dirty = tuple(self._dirty), {}
            for type_url in types:
                try:
                    await self._accepted.save(type_url, self._relay.kept(type_url))
                except OSError as error:
                    log.warning("%s: %s could not be kept: %s", self._label, short(type_url), error)
                    self._dirty[type_url] = None
            await asyncio.sleep(WRITE_SECONDS)
            if self._dirty:
                self._write.set()


async def _pump(queue: asyncio.Queue[bytes], call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
    """Write requests until the stream breaks; the reader learns why it did."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        while True:
            await call.write(await queue.get())


def _words(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__


def _unauthenticated(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNAUTHENTICATED
