"""xDS for a pod whose gRPC needs no proxy: each stream is passed on to the control plane, with the pod's token.

The port is on the loopback of the pod's network namespace, so nobody else reaches it. Whoever's stream ends keeps what
it has and comes again, so nothing is kept of resources here. Key and certificates are files that the pod's apps see.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from meltemi.agent.core.plan import Place
from meltemi.agent.core.pod import Pod
from meltemi.agent.core.proxyless import PORT, certificates_folder
from meltemi.agent.shell.controlplane import SERVICE, STATE_OF_THE_WORLD, AwayError, ControlPlane, Token, Who
from meltemi.agent.shell.gate import MOST_CONNECTIONS, carry
from meltemi.agent.shell.identity_files import IdentityFiles
from meltemi.agent.shell.isolation import lasting
from meltemi.agent.shell.network import Network
from meltemi.agent.shell.sidecar import identity_of
from meltemi.agent.shell.site import Site

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[bytes, bytes]


class Proxyless:
    """One pod's feeding. `run()` works until cancelled; its parts fail and begin again each on its own."""

    def __init__(self, site: Site, pod: Pod, place: Place) -> None:
        token = Token(site.kube, Who(pod.namespace, pod.name, pod.uid, pod.service_account), site.seconds)
        inner = f"meltemi-{place.id}-{secrets.token_hex(16)}"
        self._key = pod.key
        self.identity = identity_of(site, pod, token)
        self.files = IdentityFiles(certificates_folder(pod, site.node.layout), self.identity)
        self._passing = Passing(pod.key, inner, site.plane, token)
        self._port = PodPort(site.network, place.id, inner)

    async def run(self) -> None:
        """Serve, for ever."""
        self.identity.load()
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting(f"identity of {self._key}", self.identity.run))
            group.create_task(lasting(f"certificates of {self._key}", self.files.run))
            group.create_task(lasting(f"xDS of {self._key}", self._passing.run))
            group.create_task(lasting(f"port {PORT} of {self._key}", self._port.run))


class Passing:
    """Passes streams from an abstract socket on to the control plane. `run()` works until cancelled."""

    def __init__(self, label: str, address: str, plane: ControlPlane, token: Token) -> None:
        self._label = label
        self._address = address
        self._plane = plane
        self._token = token

    async def run(self) -> None:
        """Serve for ever."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        methods: dict[str, Any] = {STATE_OF_THE_WORLD: grpc.stream_stream_rpc_method_handler(self._pass)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        server.add_insecure_port(f"unix-abstract:{self._address}")
        await server.start()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop(grace=None)

    async def _pass(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Pass one stream on, both ways, to its end."""
        try:
            call = self._plane.stream(await self._token.get(), STATE_OF_THE_WORLD)
        except AwayError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        asking = asyncio.get_running_loop().create_task(_ask(requests, call))
        try:
            while isinstance(data := await call.read(), bytes):  # else it is EOF
                await context.write(data)
            code, details = await call.code(), str(await call.details())
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), str(error.details())
        finally:
            asking.cancel()
            call.cancel()
        if code is grpc.StatusCode.UNAUTHENTICATED:
            self._token.refused()
        if code is not grpc.StatusCode.OK:
            log.info("%s: the control plane ended a stream: %s", self._label, details)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the control plane is away: {details}")


async def _ask(requests: AsyncIterator[bytes], call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
    """Write what the client asks for; what breaks is told by the other way."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        async for data in requests:
            await call.write(data)
        await call.done_writing()


class PodPort:
    """The port in the pod, whose connections are carried to an abstract socket. `run()` works until cancelled."""

    def __init__(self, network: Network, place: str, inner: str) -> None:
        self._network = network
        self._place = place
        self._inner = inner
        self._carried: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept for ever. Raises OSError while the port is taken."""
        loop = asyncio.get_running_loop()
        with self._network.socket_in(self._place) as outer:
            outer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            outer.bind(("127.0.0.1", PORT))
            outer.listen(64)
            try:
                while True:
                    connection, _ = await loop.sock_accept(outer)
                    if len(self._carried) >= MOST_CONNECTIONS:
                        connection.close()
                        continue
                    task = loop.create_task(self._carry(connection))
                    self._carried.add(task)
                    task.add_done_callback(self._carried.discard)
            finally:
                for task in self._carried:
                    task.cancel()

    async def _carry(self, connection: socket.socket) -> None:
        try:
            await carry(connection, self._inner)
        except OSError as error:
            log.debug("a connection to port %d of pod %s broke: %s", PORT, self._place, error)
