"""Real Envoys behind a real gate and relay, with a scripted control plane: Unix sockets, no port, no namespace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

from meltemi.agent.core.bootstrap import Proxy, bootstrap
from meltemi.agent.shell.accepted import Accepted
from meltemi.agent.shell.controlplane import ControlPlane
from meltemi.agent.shell.gate import Gate
from meltemi.agent.shell.identity import Identity
from meltemi.agent.shell.main import find_envoy
from meltemi.agent.shell.relay import SERVICE, PodRelay
from meltemi.pilot.wire.ads import Accepted as Took
from meltemi.pilot.wire.ads import AdsStream, Changed, Rejected, Respond, Steady, Update
from meltemi.pilot.wire.messages import Entry, decode_request, frame, response_body, with_nonce
from meltemi.pilot.wire.types import HEALTH


class Token:
    """The pod's token, as the relay asks for it."""

    async def get(self) -> str:
        return "the-pods-own-token"

    def refused(self) -> None:
        return None


def entry(message: Any, name: str, version: str) -> Entry:
    """One resource as it stands on the wire."""
    kind = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    packed = any_pb2.Any(type_url=kind, value=message.SerializeToString(deterministic=True))
    resource = discovery_pb2.Resource(name=name, version=version, resource=packed)
    return Entry(name, version, frame(resource.SerializeToString()))


def made(message: type[Any], document: dict[str, Any]) -> Any:
    """Build a message from its JSON."""
    return json_format.ParseDict(document, message())


class Upstream:
    """A control plane: one world for everybody, by the server's own machine. It may be stopped and started."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.world: dict[str, dict[str, Entry]] = {}
        self.rejected: list[Rejected] = []
        self.accepted: list[Took] = []
        self.tokens: list[str] = []
        self.streams = 0
        self.health: list[tuple[int, str | None]] = []
        """What was said of the workload's health, with the number of the stream."""
        self._queues: list[tuple[AdsStream[Entry], asyncio.Queue[bytes]]] = []
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        handler: Any = grpc.stream_stream_rpc_method_handler(self._serve)
        handlers = grpc.method_handlers_generic_handler(SERVICE, {"DeltaAggregatedResources": handler})
        self._server.add_generic_rpc_handlers((handlers,))
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
        Path(self.path).unlink(missing_ok=True)

    def set(self, type_url: str, entries: Iterable[Entry]) -> None:
        """A new world of one type, told to all streams."""
        world = {entry.name: entry for entry in entries}
        self.world[type_url] = world
        for stream, queue in self._queues:
            self._send(stream.receive(Changed((Update(type_url, world),))), queue)

    def _send(self, commands: Iterable[Any], queue: asyncio.Queue[bytes]) -> None:
        for command in commands:
            match command:
                case Respond():
                    body = response_body(
                        command.type, (e.framed for _, e in command.resources), command.removed
                    )
                    queue.put_nowait(with_nonce(body, command.nonce))
                case Rejected():
                    self.rejected.append(command)
                case Took():
                    self.accepted.append(command)

    async def _serve(self, requests: AsyncIterator[bytes], context: Any) -> None:
        self.streams += 1
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        stream: AdsStream[Entry] = AdsStream()
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        row = (stream, queue)
        self._queues.append(row)
        stream.receive(Steady())
        self._send(stream.receive(Changed(tuple(Update(t, w) for t, w in self.world.items()))), queue)

        async def read() -> None:
            async for data in requests:
                request, _ = decode_request(data)
                if request.type == HEALTH:
                    self.health.append((self.streams, request.error))
                    continue
                self._send(stream.receive(request), queue)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(read())
                while True:
                    await context.write(await queue.get())
        finally:
            self._queues.remove(row)


class Pod:
    """One pod's gate and relay, and an Envoy that may be started, killed and started again."""

    def __init__(self, folder: Path, name: str, identity: Identity) -> None:
        self.folder = folder
        self.name = name
        self.identity = identity
        self.socket = str(folder / f"{name}.sock")
        self.admin = str(folder / f"{name}.admin")
        self.log = folder / f"{name}.log"
        self.kept = str(folder / f"kept.{name}")
        self.peer: str | None = name
        self._envoy: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def fed(self, plane: ControlPlane) -> AsyncIterator[PodRelay]:
        """Run gate and relay."""
        inner = f"meltemi-test-{secrets.token_hex(8)}"
        token: Any = Token()
        made_relay = PodRelay(
            self.name, inner, plane=plane, token=token, identity=self.identity, accepted=Accepted(self.kept)
        )
        gate = Gate(self.name, self.socket, inner, lambda _: self.peer)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(made_relay.run()), group.create_task(gate.run())]
            await made_relay.serving.wait()
            yield made_relay
            for task in tasks:
                task.cancel()

    async def start_envoy(self, static: Mapping[str, Any] | None = None) -> None:
        """Start Envoy from the product's bootstrap, without its ports; `static` adds resources."""
        proxy = Proxy("sidecar", self.name, "default", "198.18.0.9", "default", self.socket)
        document = bootstrap(proxy)
        document["admin"]["address"] = {"pipe": {"path": self.admin}}
        # Marking sockets is for namespaces, and needs rights that a test need not have.
        del document["cluster_manager"]
        document["static_resources"]["listeners"] = list((static or {}).get("listeners", ()))
        document["static_resources"]["clusters"] += list((static or {}).get("clusters", ()))
        path = self.folder / f"{self.name}.json"
        path.write_text(json.dumps(document))
        Path(self.admin).unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._envoy = await asyncio.create_subprocess_exec(
                find_envoy(),
                *("-c", str(path), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
                stdout=log,
                stderr=log,
            )

    async def kill_envoy(self) -> None:
        if self._envoy is not None:
            with contextlib.suppress(ProcessLookupError):
                self._envoy.kill()
            await self._envoy.wait()
            self._envoy = None

    async def ask(self, path: str) -> tuple[int, str]:
        """Ask Envoy's admin interface; (0, "") while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.admin)) as session,
                session.get(f"http://x{path}") as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, OSError):
            return 0, ""

    async def ready(self) -> bool:
        return (await self.ask("/ready"))[0] == 200

    async def clusters(self) -> dict[str, str]:
        """Dynamic active clusters and their versions."""
        _, text = await self.ask("/config_dump?resource=dynamic_active_clusters")
        rows = json.loads(text or "{}").get("configs", ())
        return {row["cluster"]["name"]: row["version_info"] for row in rows}


@contextlib.contextmanager
def short_folder() -> Any:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="mt") as name:
        yield Path(name)


async def until(holds: Any, seconds: float = 20.0) -> None:
    """Wait until an (async) predicate holds."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.02)
