"""A Pilot on a socket, with a mesh that is written down resource by resource, and proxies to connect to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message

from meltemi.api.kind import Object
from meltemi.citadel.core.identity import Identity, Unauthenticated
from meltemi.model.facts import ACCEPTED, NACK, PODS, nack_key
from meltemi.model.views import View
from meltemi.pilot.core.resource import Origin, Resource, Roots, Rope, message_of, resource, segment
from meltemi.pilot.shell.grpc_server import GrpcServer
from meltemi.pilot.shell.judge import Judge, nothing_condemned
from meltemi.pilot.shell.options import Options
from meltemi.pilot.shell.server import PilotServer, RootsOf
from meltemi.pilot.shell.service import SERVICE
from meltemi.pilot.shell.variants import DELTA
from meltemi.pilot.wire import ads_client
from meltemi.pilot.wire.messages import Request, Response, decode_response, encode_request
from meltemi.pilot.wire.types import CDS, EDS, LDS, RDS
from meltemi.query import Change, Db, Engine, FactKind, query

THINGS: FactKind[Object[bytes]] = FactKind("things.test.istio.io")
"""One resource each: namespace is the short type, the spec is the encoded message."""

URLS = {"cds": CDS, "eds": EDS, "lds": LDS, "rds": RDS}


@query
def thing(q: Db, short: str, name: str, envoy: str) -> Resource | None:
    written = q.fact(THINGS, short, name)
    if written is None:
        return None
    made = resource(URLS[short], name, written.spec, [Origin("Thing", short, name)])
    key = nack_key(name, made.version.hex(), envoy)
    if q.fact(NACK, URLS[short], key) is None:
        return made
    before = q.fact(ACCEPTED, URLS[short], key)
    return None if before is None else resource(URLS[short], name, before.body, made.origins)


@query
def staged_roots(q: Db, view: View) -> Roots:
    def part(short: str) -> tuple[Resource, ...]:
        made = (thing(q, short, name, view.envoy_version) for name in q.names(THINGS, short))
        return tuple(each for each in made if each is not None)

    routes = tuple(
        Rope(each.name, each.version, message_of(each.entry)[1], (), each.origins) for each in part("rds")
    )
    return Roots(
        (segment(("cds",), part("cds")),),
        (segment(("eds",), part("eds")),),
        (segment(("lds",), part("lds")),),
        routes,
    )


@query
def slow_roots(q: Db, view: View) -> Roots:
    """As a cold start is: one step that takes long."""
    time.sleep(0.4)
    return staged_roots(q, view)


@query
def staged_view(q: Db, namespace: str, pod: str) -> View | None:
    found = q.fact(PODS, namespace, pod)
    return None if found is None else View(namespace, workload=found.labels.get("app", ""))


def written(short: str, name: str, message: Message | None, generation: int = 1) -> Change[Any]:
    """A resource of the mesh, or (None) its end."""
    value = None
    if message is not None:
        value = Object(
            "Thing", short, name, message.SerializeToString(deterministic=True), generation=generation
        )
    return Change(THINGS, short, name, value)


def pod(name: str, namespace: str = "default", uid: str = "", **labels: str) -> Change[Any]:
    from meltemi.api.values import Map

    return Change(PODS, namespace, name, Object("Pod", namespace, name, (), Map(labels), uid=uid))


async def authenticate(token: str) -> Identity:
    """`pod.namespace[.uid]` is who you are."""
    name, _, rest = token.partition(".")
    namespace, _, uid = rest.partition(".")
    if not namespace:
        raise Unauthenticated("this token is nobody's")
    return Identity(namespace, "default", name, uid)


# --- messages


def cluster(name: str, timeout: int = 1, *, eds: bool = True) -> cluster_pb2.Cluster:
    message = cluster_pb2.Cluster(name=name, connect_timeout={"seconds": timeout})
    if eds:
        message.type = cluster_pb2.Cluster.EDS
        source = message.eds_cluster_config.eds_config
        source.ads.SetInParent()
        source.resource_api_version = config_source_pb2.V3
    return message


def endpoints(name: str, *ports: int) -> endpoint_pb2.ClusterLoadAssignment:
    def at(port: int) -> endpoint_components_pb2.LbEndpoint:
        socket = address_pb2.SocketAddress(address="127.0.0.1", port_value=port)
        return endpoint_components_pb2.LbEndpoint(
            endpoint=endpoint_components_pb2.Endpoint(address=address_pb2.Address(socket_address=socket))
        )

    locality = endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[at(port) for port in ports])
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=[locality])


def listener(name: str, pipe: str, route: str) -> listener_pb2.Listener:
    manager = hcm_pb2.HttpConnectionManager(stat_prefix=name)
    manager.rds.route_config_name = route
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = config_source_pb2.V3
    router = any_pb2.Any()
    router.Pack(router_pb2.Router())
    manager.http_filters.append(hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=router))
    packed = any_pb2.Any()
    packed.Pack(manager)
    http = listener_components_pb2.Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=packed
    )
    return listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(pipe=address_pb2.Pipe(path=pipe)),
        filter_chains=[listener_components_pb2.FilterChain(filters=[http])],
    )


def route(name: str, target: str) -> route_pb2.RouteConfiguration:
    action = route_components_pb2.RouteAction(cluster=target)
    one = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"), route=action)
    host = route_components_pb2.VirtualHost(name="all", domains=["*"], routes=[one])
    return route_pb2.RouteConfiguration(name=name, virtual_hosts=[host])


# --- the stage


@dataclass
class Stage:
    """A running Pilot; `socket` is where it serves."""

    pilot: PilotServer
    socket: str
    _server: GrpcServer
    _run: asyncio.Task[None]

    async def put(self, *changes: Change[Any]) -> int:
        return await asyncio.wait_for(self.pilot.apply(changes), 20)

    async def stop(self) -> None:
        await self._server.stop(0.0)
        self._run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._run


QUICK = Options(quiet=0.01, longest=0.1, pod_wait=0.5, steady=0.2, overdue=0.5, linger=0.2, first_request=0.5)


async def start(
    folder: Path,
    judge: Judge = nothing_condemned,
    options: Options = QUICK,
    roots_query: RootsOf = staged_roots,
) -> Stage:
    pilot = PilotServer(
        Engine(),
        authenticate,
        steady=time.monotonic,
        clock=lambda: datetime.now(UTC),
        judge=judge,
        options=options,
        view_query=staged_view,
        roots_query=roots_query,
    )
    path = str(folder / "xds.sock")
    server = GrpcServer([pilot.handler()], options, unix=[path])
    await server.start()
    return Stage(pilot, path, server, asyncio.get_running_loop().create_task(pilot.run()))


async def until(good: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until something is so; fails if it takes too long."""
    async with asyncio.timeout(seconds):
        while not good():
            await asyncio.sleep(0.005)


# --- a proxy in Python


@dataclass
class Proxy:
    """A client that speaks delta ADS by `ads_client`, accepts all but `bad` names, and keeps what it got."""

    socket: str
    token: str
    bad: dict[str, str] = field(default_factory=dict)
    machine: ads_client.AdsClient = field(default_factory=ads_client.AdsClient)
    responses: list[Response] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)

    def has(self, type_url: str) -> dict[str, str]:
        return {name: entry.version for name, entry in self.machine.held(type_url).items()}

    @contextlib.asynccontextmanager
    async def connected(self, *subscriptions: tuple[str, tuple[str, ...]]) -> AsyncIterator[Proxy]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            call: Any = channel.stream_stream(f"/{SERVICE}/{DELTA.method}")(
                metadata=(("authorization", f"Bearer {self.token}"),)
            )
            task = asyncio.get_running_loop().create_task(self._speak(call, subscriptions))
            try:
                yield self
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                    await task
                self.machine.receive(ads_client.Disconnected())

    async def _speak(self, call: Any, subscriptions: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
        for type_url, names in subscriptions:
            await self._do(call, self.machine.receive(ads_client.Subscribe(type_url, names)))
        await self._do(call, self.machine.receive(ads_client.Connected()))
        async for data in call:
            response = decode_response(data)
            self.responses.append(response)
            await self._do(call, self.machine.receive(response))
            words = next((self.bad[each.name] for each in response.resources if each.name in self.bad), None)
            answer: Any = ads_client.Accept(response.type, response.nonce)
            if words is not None:
                answer = ads_client.Refuse(response.type, response.nonce, words)
            await self._do(call, self.machine.receive(answer))

    async def _do(self, call: Any, commands: tuple[ads_client.Command, ...]) -> None:
        for command in commands:
            if isinstance(command, ads_client.Send):
                if command.request.error is not None:
                    self.refused.append(command.request)
                await call.write(encode_request(command.request))


EVERYTHING = ((CDS, ("*",)), (EDS, ("*",)), (LDS, ("*",)), (RDS, ("*",)))
