"""A gRPC client that is its own data plane (`xds:///`): it follows what Pilot serves, with no Envoy.

It asks for listeners and clusters by name, and cannot be told of its token: something beside it must add that, as the
relay here does. What it is served is written down by hand: translation is tried in `tests/live`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from tests.pilot.shell.stage import Stage, cluster, endpoints, listener, pod, route, until, written

from meltemi.pilot.shell import debug
from meltemi.pilot.shell.service import SERVICE
from meltemi.pilot.shell.variants import STATE_OF_THE_WORLD
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS

pytestmark = pytest.mark.live

CLIENT = """
import grpc, sys, time
with grpc.insecure_channel("xds:///echo.default.svc.cluster.local:7070") as channel:
    call = channel.unary_unary("/test.Echo/Who")
    last = None
    while True:
        try:
            said = call(b"", timeout=5).decode()
        except grpc.RpcError as error:
            said = error.code().name
        if said != last:
            print(said, flush=True)
        last = said
        time.sleep(0.01)
"""


def echo(name: str) -> grpc.GenericRpcHandler:
    async def who(_request: bytes, _context: Any) -> bytes:
        return name.encode()

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(who)
    return grpc.method_handlers_generic_handler("test.Echo", {"Who": method})


def relay(socket: str, token: str) -> grpc.GenericRpcHandler:
    """Pass a stream on to Pilot, with the token that the client has no way to send."""

    async def stream(requests: AsyncIterable[bytes], _context: Any) -> AsyncIterator[bytes]:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            method: Any = channel.stream_stream(f"/{SERVICE}/{STATE_OF_THE_WORLD.method}")
            async for response in method(requests, metadata=(("authorization", f"Bearer {token}"),)):
                yield response

    served: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(stream)
    return grpc.method_handlers_generic_handler(SERVICE, {STATE_OF_THE_WORLD.method: served})


@contextlib.asynccontextmanager
async def serving(handler: grpc.GenericRpcHandler, address: str) -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def client(socket: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The client's process: it prints who answers whenever that is another one."""
    bootstrap = {
        "xds_servers": [
            {
                "server_uri": f"unix:{socket}",
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {
            "id": "sidecar~198.18.0.2~a.default~default.svc.cluster.local",
            "metadata": {"GENERATOR": "grpc"},
        },
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def until_said(process: asyncio.subprocess.Process, wanted: str) -> list[str]:
    """Wait for an answer; gives all that was said until then."""
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(20):
        while not said or said[-1] != wanted:
            line = await process.stdout.readline()
            assert line, "the client is dead"
            said.append(line.decode().strip())
    return said


def api_listener(name: str, route_name: str) -> listener_pb2.Listener:
    manager = listener(name, "", route_name).filter_chains[0].filters[0].typed_config
    return listener_pb2.Listener(name=name, api_listener=api_listener_pb2.ApiListener(api_listener=manager))


def weighted(name: str, port: int) -> ClusterLoadAssignment:
    """The endpoints as gRPC wants them: a locality without a name or a weight is none to it."""
    made = endpoints(name, port)
    made.endpoints[0].locality.region = "local"
    made.endpoints[0].load_balancing_weight.value = 1
    return made


async def test_a_client_without_a_proxy_follows_endpoints_and_routes(stage: Stage, tmp_path: Path) -> None:
    host = "echo.default.svc.cluster.local:7070"
    socket = str(tmp_path / "relay.sock")
    async with (
        serving(echo("one"), "127.0.0.1:0") as one,
        serving(echo("two"), "127.0.0.1:0") as two,
        serving(relay(stage.socket, "a.default"), f"unix:{socket}"),
    ):
        await stage.put(
            pod("a"),
            written("cds", "first", cluster("first")),
            written("cds", "not asked for", cluster("not asked for")),
            written("eds", "first", weighted("first", one)),
            written("lds", host, api_listener(host, "r")),
            written("rds", "r", route("r", "first")),
        )
        async with client(socket) as process:
            assert await until_said(process, "one") == ["one"]
            machine = stage.pilot.connections[0].machine
            await until(lambda: [set(machine.state(url).has) for url in (CDS, EDS)] == [{"first"}, {"first"}])
            assert [set(machine.state(url).has) for url in (LDS, RDS)] == [{host}, {"r"}]
            # An endpoint moves; then the route goes to a cluster that is new, and the old one goes.
            await stage.put(written("eds", "first", weighted("first", two)))
            assert await until_said(process, "two") == ["two"]
            await stage.put(
                written("cds", "second", cluster("second")),
                written("eds", "second", weighted("second", one)),
                written("rds", "r", route("r", "second")),
                written("cds", "first", None),
                written("eds", "first", None),
            )
            assert await until_said(process, "one") == ["one"]
            assert {each.status for each in debug.streams(stage.pilot)[0].types} == {debug.SYNCED}
            # What is gone is told by its absence.
            await stage.put(written("lds", host, None), written("rds", "r", None))
            assert await until_said(process, "UNAVAILABLE") == ["UNAVAILABLE"]
