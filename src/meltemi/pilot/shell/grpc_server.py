"""The gRPC server of the control plane: handlers of several rooms on Unix sockets and TCP ports."""

from __future__ import annotations

import os
from collections.abc import Sequence

import grpc
import grpc.aio

from meltemi.pilot.shell.options import Options


class GrpcServer:
    """Serves `handlers` until it is stopped.

    `unix` are socket paths (0600), `insecure` and `secure` are `host:port` (port 0 picks one; see `ports`), or
    `unix:` and a path.
    """

    def __init__(
        self,
        handlers: Sequence[grpc.GenericRpcHandler],
        options: Options,
        *,
        unix: Sequence[str] = (),
        insecure: Sequence[str] = (),
        secure: Sequence[tuple[str, grpc.ServerCredentials]] = (),
    ) -> None:
        self._server = grpc.aio.server(options=_arguments(options))
        self._server.add_generic_rpc_handlers(tuple(handlers))
        self._unix = tuple(unix)
        self.ports: list[int] = []
        """The TCP ports that were bound, insecure ones first."""
        for path in self._unix:
            self._server.add_insecure_port(f"unix:{path}")
        self.ports.extend(self._server.add_insecure_port(address) for address in insecure)
        self.ports.extend(
            self._server.add_secure_port(address, credentials) for address, credentials in secure
        )

    async def start(self) -> None:
        """Begin to serve."""
        # The socket is made when the server starts; nobody else may so much as knock.
        mask = os.umask(0o177)
        try:
            await self._server.start()
        finally:
            os.umask(mask)

    async def stop(self, grace: float = 1.0) -> None:
        """End all streams; those that do not end within `grace` seconds are cut."""
        await self._server.stop(grace)


def _arguments(options: Options) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", options.message),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", options.metadata),
        ("grpc.absolute_max_metadata_size", 2 * options.metadata),
        ("grpc.max_concurrent_streams", 1000),
        ("grpc.keepalive_time_ms", int(options.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.so_reuseport", 0),
    ]
