"""The gRPC face of Pilot: `AggregatedDiscoveryService`, bytes in and bytes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Final, Protocol

import grpc
import grpc.aio

from meltemi.citadel.core.identity import Authenticate, Identity
from meltemi.citadel.shell.gate import Context, Gate
from meltemi.pilot.shell.connection import Connection, Ended
from meltemi.pilot.shell.options import Options
from meltemi.pilot.shell.outside import again
from meltemi.pilot.shell.variants import VARIANTS, Variant
from meltemi.pilot.wire.messages import Hint, Malformed

_log = logging.getLogger(__name__)

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Refused(Exception):  # noqa: N818 - it says what the call is
    """A caller is known, but gets no stream."""

    def __init__(self, status: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Desk(Protocol):
    """Where streams are let in and out."""

    @property
    def welcomes(self) -> bool:
        """Whether workloads are let in that are no Pods."""
        ...

    async def enter(self, identity: Identity, variant: Variant, node: Hint | None = None) -> Connection:
        """Let a stream in, bound to the View of its pod, or of the workload that `node` says it is. Raises Refused."""
        ...

    def leave(self, connection: Connection) -> None:
        """A stream has ended."""
        ...


class AdsService:
    """Serves streams of every variant; one without a valid token is UNAUTHENTICATED before a byte of it is read."""

    def __init__(self, desk: Desk, authenticate: Authenticate, options: Options) -> None:
        self._desk = desk
        self._options = options
        self._gate = Gate(authenticate, timeout=options.authentication, at_once=options.authenticating)

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to give to a gRPC server."""
        methods = {variant.method: self._method(variant) for variant in VARIANTS}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _method(self, variant: Variant) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def serve(requests: AsyncIterable[bytes], context: Context) -> None:
            await self._stream(variant, requests, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _stream(self, variant: Variant, requests: AsyncIterable[bytes], context: Context) -> None:
        """Serve one stream until either side ends it."""
        identity = await self._gate.who(context)
        try:
            node = None
            if not identity.pod and self._desk.welcomes:
                # Which workload of its account it is, only itself can say.
                node, requests = await self._introduced(variant, requests)
            connection = await self._desk.enter(identity, variant, node)
        except Refused as refused:
            await context.abort(refused.status, str(refused))
        try:
            await self._serve(connection, requests, context.write)
        except Ended as ended:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(ended))
        finally:
            connection.close()
            self._desk.leave(connection)

    async def _introduced(
        self, variant: Variant, requests: AsyncIterable[bytes]
    ) -> tuple[Hint, AsyncIterable[bytes]]:
        """Read the first request, for what it says of the client; give all requests."""
        rest = aiter(requests)
        try:
            async with asyncio.timeout(self._options.first_request):
                first = await anext(rest)
            _, node = variant.decode(first)
        except (StopAsyncIteration, TimeoutError, Malformed) as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"nobody introduced itself: {error}") from None
        return node or Hint(), again(first, rest)

    async def _serve(
        self,
        connection: Connection,
        requests: AsyncIterable[bytes],
        write: Callable[[bytes], Awaitable[None]],
    ) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(connection.write(write))
                await connection.read(requests)
                writer.cancel()
        except* Ended as group:
            raise group.exceptions[0] from None
        except* (grpc.aio.UsageError, grpc.aio.AioRpcError, grpc.RpcError) as group:
            _log.debug(
                "%s went while something was being written: %s", connection.peer.proxy, group.exceptions[0]
            )
