"""Push: from one changed endpoint to the last ACK, over real Envoys on one socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

import envoy
from bench.scoped_mesh import Mesh
from bench.table import Table
from meltemi.citadel.core.identity import Identity
from meltemi.citadel.shell.authority import CertificateAuthority, Signed, key_pem, new_key
from meltemi.citadel.shell.storage import MemoryStorage
from meltemi.envoy.names import SDS_CLUSTER, XDS_CLUSTER
from meltemi.pilot.shell.connection import Connection
from meltemi.pilot.shell.grpc_server import GrpcServer
from meltemi.pilot.shell.server import PilotServer
from meltemi.pilot.wire.ads import Accepted
from meltemi.pilot.wire.types import EDS
from meltemi.query import Engine

QUESTION = "How long from one changed endpoint to the last ACK of 50 real Envoys that see 200 services?"
ENVOYS = 50
SERVICES = 200
ROUNDS = 60
TARGET = 0.100
START = 180.0


def run() -> Table:
    """Measure; the first change after quiet goes at once, so the debounce is not in it."""
    times, converged = asyncio.run(_measure())
    middle, worst = median(times), max(times)
    p99 = quantiles(times, n=100)[98]
    row = (
        f"endpoint, {ENVOYS} Envoys",
        _ms(middle),
        _ms(p99),
        _ms(worst),
        _ms(TARGET),
        "20-32 ms (a toy's translation)",
    )
    return Table(
        ("what", "median", "p99", "max", "target (median)", "design's figure"),
        (row,),
        (
            f"{SERVICES} services in reach of each, mTLS and SDS in each cluster; {ROUNDS} changes, 150 ms apart",
            f"start of all {ENVOYS} Envoys until each has accepted everything: {converged:.1f} s",
            "from submit() of the changed EndpointSlice to the last Envoy's ACK, as read from its stream",
        ),
        () if middle < TARGET else (f"median {_ms(middle)} is not under {_ms(TARGET)}",),
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


class Watched(PilotServer):
    """A Pilot that notes when the last stream has accepted an endpoint."""

    awaited: int = 0
    last: float = 0.0
    done: asyncio.Event

    def expect(self, count: int) -> None:
        """Await so many ACKs of endpoints."""
        self.awaited, self.done = count, asyncio.Event()

    def accepted(self, connection: Connection, accepted: Accepted) -> None:
        """Note an ACK."""
        super().accepted(connection, accepted)
        if accepted.type == EDS and self.awaited:
            self.awaited -= 1
            if not self.awaited:
                self.last = time.perf_counter()
                self.done.set()


async def _measure() -> tuple[list[float], float]:
    mesh = Mesh(services=SERVICES, views=ENVOYS)
    pods = [(*mesh.place(number * SERVICES // ENVOYS),) for number in range(ENVOYS)]
    pilot = Watched(Engine(), _authenticate, steady=time.monotonic, clock=lambda: datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="meltemi-bench-") as folder:
        path = f"{folder}/xds.sock"
        server = GrpcServer([pilot.handler(), _secrets()], pilot.options, unix=[path])
        await server.start()
        task = asyncio.get_running_loop().create_task(pilot.run())
        try:
            await pilot.apply(mesh.changes())
            began = time.perf_counter()
            async with contextlib.AsyncExitStack() as stack:
                await asyncio.gather(
                    *(
                        stack.enter_async_context(_envoy(Path(folder), path, f"{service}-0.{namespace}"))
                        for namespace, service in pods
                    )
                )
                await asyncio.wait_for(_converged(pilot), START)
                converged = time.perf_counter() - began
                return [await _one(pilot, mesh, number) for number in range(1, ROUNDS + 1)], converged
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await server.stop(0)


async def _converged(pilot: PilotServer) -> None:
    calm = 0
    while calm < 10:
        await asyncio.sleep(0.1)
        whole = len(pilot.connections) == ENVOYS and all(
            each.machine.asked and each.reconciled >= pilot.transaction for each in pilot.connections
        )
        calm = calm + 1 if whole else 0


async def _one(pilot: Watched, mesh: Mesh, number: int) -> float:
    await asyncio.sleep(0.15)
    pilot.expect(ENVOYS)
    began = time.perf_counter()
    # A service with one HTTP port and no DestinationRule: one load assignment changes.
    pilot.submit([mesh.slice(4, moved=number)])
    await asyncio.wait_for(pilot.done.wait(), 30)
    return pilot.last - began


async def _authenticate(token: str) -> Identity:
    pod, _, namespace = token.partition(".")
    return Identity(namespace, "app", pod)


def _secrets() -> grpc.GenericRpcHandler:
    """SDS for all, of one identity: enough for clusters to warm."""
    authority = CertificateAuthority.open(MemoryStorage(), clock=lambda: datetime.now(UTC))
    key = new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    signed = authority.sign_workload(request.public_bytes(Encoding.PEM), Identity("bench", "app"))
    assert isinstance(signed, Signed)
    own = secret_pb2.Secret(name="default")
    own.tls_certificate.certificate_chain.inline_string = "".join(signed.chain)
    own.tls_certificate.private_key.inline_bytes = key_pem(key)
    root = secret_pb2.Secret(name="ROOTCA")
    root.validation_context.trusted_ca.inline_string = authority.bundle.pem
    known = {"default": own, "ROOTCA": root}

    async def stream(requests: AsyncIterable[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for data in requests:
            asked = discovery_pb2.DiscoveryRequest.FromString(data)
            if asked.response_nonce:
                continue
            answer = discovery_pb2.DiscoveryResponse(version_info="1", nonce="1", type_url=asked.type_url)
            for name in asked.resource_names:
                answer.resources.add().Pack(known[name])
            yield answer.SerializeToString()

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(stream)
    return grpc.method_handlers_generic_handler(
        "envoy.service.secret.v3.SecretDiscoveryService", {"StreamSecrets": method}
    )


@contextlib.asynccontextmanager
async def _envoy(folder: Path, socket: str, token: str) -> AsyncIterator[None]:
    """An Envoy in a network namespace of its own, as pods have one, if that is allowed here."""
    file = folder / f"{token}.json"
    file.write_text(json.dumps(_bootstrap(socket, token)))
    apart = ["unshare", "--map-root-user", "--net", "--"] if shutil.which("unshare") else []
    with (folder / f"{token}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *apart,
            next(_binaries()),
            *("-c", str(file), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(os.environ),
        )
    try:
        yield
        if process.returncode is not None:
            raise RuntimeError(f"an Envoy died: {(folder / f'{token}.log').read_text()[-500:]}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


def _binaries() -> Iterator[str]:
    for place in envoy.__path__:
        path = Path(place) / "_bin" / "envoy"
        if path.exists():
            yield str(path)


def _bootstrap(socket: str, token: str) -> dict[str, Any]:
    service = {
        "envoy_grpc": {"cluster_name": XDS_CLUSTER},
        "initial_metadata": [{"key": "authorization", "value": f"Bearer {token}"}],
    }
    ads = {"ads": {}, "resource_api_version": "V3"}
    kept = ("control_plane", "server")
    return {
        "node": {"id": token, "cluster": "bench"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [service],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {"clusters": [_pipe(XDS_CLUSTER, socket), _pipe(SDS_CLUSTER, socket)]},
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": each} for each in kept]}}
        },
    }


def _pipe(name: str, socket: str) -> dict[str, Any]:
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            protocol: {
                "@type": f"type.googleapis.com/{protocol}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}],
        },
    }
