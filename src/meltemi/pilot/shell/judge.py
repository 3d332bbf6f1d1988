"""Who is wrong when a proxy refuses a resource: `envoy --mode validate` decides.

A resource that Envoy itself calls invalid is nobody's to use, and is withdrawn from all. One that passes was refused
for what that one proxy is or has: only it is concerned. When the judge cannot tell it is asked again; until then nobody
else is touched either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import tempfile
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.message import DecodeError, Message

from meltemi.envoy import names
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS

_log = logging.getLogger(__name__)

_READ: Final = 65536
_WORDS: Final = 500
"""So many characters of what an Envoy said last are told of one that gave no verdict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`condemned`: invalid for everyone. `reason` in Envoy's words."""

    condemned: bool
    reason: str = ""


INNOCENT: Final = Verdict(condemned=False)


class Undecided(Exception):  # noqa: N818 - it says how the trial ended
    """Envoy said nothing of the configuration: it was killed, or took too long. Ask it again."""


Judge = Callable[[str, str, bytes], Awaitable[Verdict]]
"""Type URL, name and encoded message to a verdict."""

Exhibit = tuple[str, str, bytes]
"""Type URL, name and encoded message."""
Jury = Callable[[Sequence[Exhibit], Container[str]], Awaitable[Verdict]]
"""Resources of one proxy, and the names of the clusters that it has, to one verdict on all."""
_STUBS: Final = 16
"""Clusters that are put beside a resource since it names them, before the search is given up."""


async def nothing_condemned(_type_url: str, _name: str, _message: bytes) -> Verdict:
    """Judge nobody: where there is no Envoy to ask, a refusal concerns only who refused."""
    return INNOCENT


async def nothing_tried(_resources: Sequence[Exhibit], _known: Container[str]) -> Verdict:
    """Try nothing beforehand: where there is no Envoy to ask, the proxies' refusals tell."""
    return INNOCENT


class EnvoyJudge:
    """Asks an Envoy binary, one resource at a time. `timeout` in seconds.

    `cell` is put before its command line: it takes from Envoy what those who wrote the resources are not to have.
    """

    def __init__(self, binary: str, *, timeout: float = 10.0, cell: Sequence[str] = ()) -> None:
        self._argv = (*cell, binary)
        self._timeout = timeout
        self._one = asyncio.Semaphore(1)

    async def __call__(self, type_url: str, name: str, message: bytes) -> Verdict:
        """Judge a resource. Raises Undecided."""
        try:
            bootstrap = bootstrap_with(type_url, name, message)
        except DecodeError:
            return Verdict(condemned=True, reason=f"{name} is not a message of its type")
        if bootstrap is None:
            return INNOCENT
        found = _verdict(*await self._ask(bootstrap))
        # What the proxy has in its bootstrap, this Envoy has not: that says nothing about the resource.
        return INNOCENT if _CLUSTER.search(found.reason) else found

    async def jury(self, resources: Sequence[Exhibit], known: Container[str]) -> Verdict:
        """Judge resources together, before any proxy has them. A cluster that the proxy will have is put beside.

        Raises Undecided.
        """
        stubs: dict[str, None] = {}
        while True:
            try:
                bootstrap = bootstrap_of(resources, tuple(stubs))
            except DecodeError as error:
                return Verdict(condemned=True, reason=str(error))
            found = _verdict(*await self._ask(bootstrap))
            missing = _CLUSTER.search(found.reason)
            if missing is None:
                return found
            name = missing.group(1)
            if name in stubs or len(stubs) >= _STUBS:
                return INNOCENT
            if name not in known:
                return found
            stubs[name] = None

    async def whole(self, bootstrap: bytes) -> Verdict:
        """Judge a whole bootstrap, encoded; whatever an Envoy twice does not start from is condemned."""
        with contextlib.suppress(Undecided):
            return _verdict(*await self._ask(bootstrap))
        try:
            return _verdict(*await self._ask(bootstrap))
        except Undecided as error:
            return Verdict(condemned=True, reason=str(error))

    async def _ask(self, bootstrap: bytes) -> tuple[int, str]:
        """Give the exit status and what was said."""
        async with self._one:
            return await self._run(bootstrap)

    async def _run(self, bootstrap: bytes) -> tuple[int, str]:
        with tempfile.TemporaryDirectory(prefix="meltemi-judge-") as folder:
            file = Path(folder) / "bootstrap.pb"
            file.write_bytes(bootstrap)
            arguments = ("--mode", "validate", "-c", str(file), "--concurrency", "1", "--disable-hot-restart")
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                *arguments,
                "--log-level",
                "error",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            told = bytearray()
            try:
                async with asyncio.timeout(self._timeout):
                    await _read(process.stderr, told)
                    await process.wait()
            except TimeoutError:
                _log.warning("an Envoy that was asked for a verdict is ended after %s s", self._timeout)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            return process.returncode or 0, told.decode(errors="replace")


async def _read(stream: asyncio.StreamReader | None, told: bytearray) -> None:
    """Read to the end; what was read counts though the end does not come."""
    while stream is not None and (part := await stream.read(_READ)):
        told += part


_CLUSTER: Final = re.compile(r"[Uu]nknown (?:static |gRPC )?(?:client |service )?cluster '?([^'\s]*)")


_RULE: Final = "Proto constraint validation failed"


def _verdict(status: int, told: str) -> Verdict:
    """Read what a validating Envoy said. Only an error about the configuration condemns, and only success acquits."""
    if status == 0:
        return INNOCENT
    found = re.search(r"error initializing configuration '[^']*': *(.*)", told, re.DOTALL)
    if found is None:
        raise Undecided(f"Envoy ended with {status}: {told.strip()[-_WORDS:]}")
    # One line: Envoy prints its log right behind the message.
    reason = re.split(r"\n(?=\[|$)", found.group(1).strip())[0].strip()
    if _RULE in reason:
        # Before these words stands the whole message.
        reason = reason[reason.index(_RULE) :]
    return Verdict(condemned=True, reason=reason)


def bootstrap_with(type_url: str, name: str, message: bytes) -> bytes | None:
    """Encode a bootstrap that holds just this resource; None for a type that has no static place.

    Raises DecodeError for bytes that are no message of the type.
    """
    return bootstrap_of([(type_url, name, message)]) if type_url in (CDS, EDS, LDS, RDS) else None


def bootstrap_of(resources: Sequence[Exhibit], stubs: Sequence[str] = ()) -> bytes:
    """Encode a bootstrap that holds resources, and clusters of the names of `stubs`, which lead nowhere."""
    bootstrap = bootstrap_pb2.Bootstrap()
    bootstrap.node.id = "judge"
    bootstrap.node.cluster = "judge"
    ads = bootstrap.dynamic_resources.ads_config
    ads.api_type = config_source_pb2.ApiConfigSource.DELTA_GRPC
    ads.transport_api_version = config_source_pb2.V3
    ads.grpc_services.add().envoy_grpc.cluster_name = names.XDS_CLUSTER
    static = bootstrap.static_resources
    given = {name for type_url, name, _ in resources if type_url in (CDS, EDS)}
    for known in dict.fromkeys((names.XDS_CLUSTER, names.SDS_CLUSTER, *stubs)):
        if known not in given:
            static.clusters.append(cluster_pb2.Cluster(name=known, type=cluster_pb2.Cluster.STATIC))
    for index, (type_url, name, message) in enumerate(resources):
        match type_url:
            case t if t == CDS:
                static.clusters.append(cluster_pb2.Cluster.FromString(message))
            case t if t == LDS:
                static.listeners.append(listener_pb2.Listener.FromString(message))
            case t if t == EDS:
                assignment = endpoint_pb2.ClusterLoadAssignment.FromString(message)
                cluster = cluster_pb2.Cluster(
                    name=name, type=cluster_pb2.Cluster.STATIC, load_assignment=assignment
                )
                static.clusters.append(cluster)
            case t if t == RDS:
                routes = route_pb2.RouteConfiguration.FromString(message)
                # Its clusters come by CDS.
                routes.validate_clusters.CopyFrom(wrappers_pb2.BoolValue(value=False))
                static.listeners.append(_serving(routes, index))
    return bootstrap.SerializeToString()


def _serving(routes: route_pb2.RouteConfiguration, index: int) -> listener_pb2.Listener:
    router = hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=_any(router_pb2.Router()))
    manager = hcm_pb2.HttpConnectionManager(stat_prefix="judge", route_config=routes, http_filters=[router])
    chain = listener_components_pb2.FilterChain(
        filters=[
            listener_components_pb2.Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=_any(manager)
            )
        ]
    )
    socket = address_pb2.SocketAddress(address="127.0.0.1", port_value=index + 1)
    return listener_pb2.Listener(
        name=f"judge-{index}", address=address_pb2.Address(socket_address=socket), filter_chains=[chain]
    )


def _any(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
