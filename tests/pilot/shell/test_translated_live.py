"""Pilot with real translation and a real Envoy in a network namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterable, AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from tests.pilot.core.meshes import Mesh
from tests.pilot.shell.envoys import DELTA, STATE_OF_THE_WORLD, binary, envoy_at
from tests.pilot.shell.stage import authenticate, until

from meltemi.citadel.core.identity import Identity
from meltemi.citadel.shell.authority import CertificateAuthority, Signed, key_pem, new_key
from meltemi.citadel.shell.storage import MemoryStorage
from meltemi.pilot.shell import debug
from meltemi.pilot.shell.grpc_server import GrpcServer
from meltemi.pilot.shell.judge import EnvoyJudge, Verdict
from meltemi.pilot.shell.progress import Progress
from meltemi.pilot.shell.server import PilotServer
from meltemi.pilot.wire.ads import Rejected
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS
from meltemi.query import Change

pytestmark = pytest.mark.live

ROUTING = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: helloworld, generation: 1}
spec:
  host: helloworld
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: helloworld, generation: 1}
spec:
  hosts: [helloworld]
  http:
  - route:
    - {destination: {host: helloworld, subset: v1}, weight: 90}
    - {destination: {host: helloworld, subset: v2}, weight: 10}
"""


def shifted(first: int, generation: int) -> str:
    """The same with other weights."""
    text = ROUTING.replace("90", str(first)).replace("10}", f"{100 - first}}}")
    return text.replace("generation: 1", f"generation: {generation}")


def secrets() -> grpc.GenericRpcHandler:
    """SDS for one identity."""
    authority = CertificateAuthority.open(MemoryStorage(), clock=lambda: datetime.now(UTC))
    key = new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    signed = authority.sign_workload(request.public_bytes(Encoding.PEM), Identity("default", "sleep"))
    assert isinstance(signed, Signed)
    own = secret_pb2.Secret(name="default")
    own.tls_certificate.certificate_chain.inline_string = "".join(signed.chain)
    own.tls_certificate.private_key.inline_bytes = key_pem(key)
    root = secret_pb2.Secret(name="ROOTCA")
    root.validation_context.trusted_ca.inline_string = authority.bundle.pem

    async def stream(requests: AsyncIterable[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for data in requests:
            asked = discovery_pb2.DiscoveryRequest.FromString(data)
            if asked.response_nonce:
                continue
            answer = discovery_pb2.DiscoveryResponse(version_info="1", nonce="1", type_url=asked.type_url)
            for name in asked.resource_names:
                answer.resources.add().Pack({"default": own, "ROOTCA": root}[name])
            yield answer.SerializeToString()

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(stream)
    name = "envoy.service.secret.v3.SecretDiscoveryService"
    return grpc.method_handlers_generic_handler(name, {"StreamSecrets": method})


def mesh() -> Mesh:
    made = Mesh()
    made.service("helloworld", ports={"http": 5000})
    made.service("plain", ports={"tcp": 9000})
    made.pod("helloworld-v1", ip="198.18.0.2", labels={"app": "helloworld", "version": "v1"})
    made.pod("helloworld-v2", ip="198.18.0.3", labels={"app": "helloworld", "version": "v2"})
    made.pod("sleep", ip="198.18.0.4")
    return made


@contextlib.asynccontextmanager
async def served(folder: Path, made: Mesh, judge: Any = None) -> AsyncIterator[PilotServer]:
    pilot = PilotServer(
        made.engine,
        authenticate,
        steady=time.monotonic,
        clock=lambda: datetime.now(UTC),
        judge=judge or EnvoyJudge(binary()),
    )
    server = GrpcServer([pilot.handler(), secrets()], pilot.options, unix=[str(folder / "xds.sock")])
    await server.start()
    task = asyncio.get_running_loop().create_task(pilot.run())
    try:
        yield pilot
    finally:
        await server.stop(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def put(pilot: PilotServer, made: Mesh, text: str) -> None:
    changes: list[Change[Any]] = []
    for document in yaml.safe_load_all(text):
        changes += made.changes(document)
    await asyncio.wait_for(pilot.apply(changes), 20)


async def reconciled(pilot: PilotServer, resource: str, generation: int) -> Progress:
    def good(seen: Progress | None) -> bool:
        return (
            seen is not None
            and seen.generation == generation
            and (seen.done or bool(seen.rejected))
            and seen.m > 0
        )

    async with asyncio.timeout(20):
        seen = await pilot.progress.wait(resource, "default", "helloworld", good)
    assert seen is not None
    return seen


VS = "virtualservices.networking.istio.io"
DR = "destinationrules.networking.istio.io"


@pytest.mark.parametrize("api_type", [DELTA, STATE_OF_THE_WORLD])
async def test_a_sidecar_takes_translation_and_a_shifted_route(tmp_path: Path, api_type: str) -> None:
    made = mesh()
    socket = str(tmp_path / "xds.sock")
    async with (
        served(tmp_path, made) as pilot,
        envoy_at(tmp_path, socket, "sleep.default", apart=True, api_type=api_type) as envoy,
    ):
        await envoy.until_live()
        await until(lambda: [each.status for each in debug.streams(pilot)[0].types] == [debug.SYNCED] * 4)
        stats = await envoy.stats()
        assert stats["cluster_manager.cds.update_rejected"] == 0
        assert stats["listener_manager.lds.update_rejected"] == 0
        assert stats["cluster_manager.warming_clusters"] == 0
        await put(pilot, made, ROUTING)
        assert (await reconciled(pilot, VS, 1)) == Progress(1, 1, 1)
        assert (await reconciled(pilot, DR, 1)) == Progress(1, 1, 1)
        assert pilot.progress.missing(VS, "default", "helloworld") == ()
        assert await weights(envoy) == [90, 10]
        await put(
            pilot,
            made,
            ROUTING.replace("90", "50").replace("10}", "50}").replace("generation: 1", "generation: 2"),
        )
        assert (await reconciled(pilot, VS, 2)).done
        assert await weights(envoy) == [50, 50]
        machine = pilot.connections[0].machine
        assert all(not machine.state(url).rejected for url in (CDS, EDS, LDS, RDS))
        # The dump shows every type in full, nested Anys included.
        dump = debug.config_dump(pilot, "sleep.default")
        assert dump is not None
        assert "error" not in {key for section in dump["configs"] for key in section}
        assert "outbound|5000|v2|helloworld.default.svc.cluster.local" in json.dumps(dump)


async def weights(envoy: Any) -> list[int]:
    dump = json.loads(await envoy.get("/config_dump?resource=dynamic_route_configs"))
    for config in dump["configs"]:
        for host in config["route_config"].get("virtual_hosts", ()):
            if host["name"].startswith("helloworld."):
                clusters = host["routes"][0]["route"]["weighted_clusters"]["clusters"]
                return [cluster["weight"] for cluster in clusters]
    return []


async def test_a_refused_translation_is_quarantined_and_told_on_its_object(tmp_path: Path) -> None:
    made = mesh()

    async def condemn(_type: str, name: str, _message: bytes) -> Verdict:
        return Verdict(condemned=name == "5000", reason="this route is bad")

    async with (
        served(tmp_path, made, condemn) as pilot,
        envoy_at(tmp_path, str(tmp_path / "xds.sock"), "sleep.default", apart=True) as envoy,
    ):
        await envoy.until_live()
        await put(pilot, made, ROUTING)
        assert (await reconciled(pilot, VS, 1)).done
        before = pilot.connections[0].machine.state(RDS).has["5000"]
        # The proxy's word is put into its mouth: nothing that this Envoy refuses passes validation.
        await put(pilot, made, shifted(70, 2))
        held = pilot.connections[0].held
        refused = held.worlds[RDS]["5000"].version
        assert refused != before
        pilot.rejected(pilot.connections[0], Rejected(RDS, {"5000": refused}, "no"))
        await until(lambda: held.worlds[RDS]["5000"].version == before)
        seen = await reconciled(pilot, VS, 2)
        assert seen.rejected == (("sleep.default", "this route is bad"),)
        assert not seen.done
        await until(lambda: pilot.connections[0].machine.state(RDS).has["5000"] == before)
        assert await weights(envoy) == [90, 10]
        await put(pilot, made, shifted(20, 3))
        assert (await reconciled(pilot, VS, 3)).done
        assert await weights(envoy) == [20, 80]
