"""What gRPC's own xDS client and servers are served: the part of Envoy's API that they know (gRFC A27-A29, A31-A44).

It refuses a resource whole for one thing in it that it does not know, so what is served to it says only what it reads.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.base_pb2 import RoutingPriority, TransportSocket
from envoy.config.listener.v3.api_listener_pb2 import ApiListener
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    NonForwardingAction,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    Rds,
)
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateProviderPluginInstance,
    CertificateValidationContext,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meltemi.envoy import ext_authz, filters, names, sockets
from meltemi.envoy.encoding import boolean, encode, pack, uint32, uint64
from meltemi.envoy.endpoints import Assignment, assignment_message
from meltemi.envoy.listeners import HTTP_CONNECTION_MANAGER

KNOWN_FILTERS = frozenset({filters.FAULT})
"""HTTP filters that gRPC's client has, besides the router."""

MOST_INVERTED = 4
"""How many headers a route may ask not to have a value: gRPC needs two routes for the first, four for two."""
MOST_RING = 8 * 1024 * 1024
"""The largest ring that gRPC takes."""


def encode_api_listener(name: str, route: str) -> bytes:
    """Encode the listener that a target `xds:///NAME` asks for: its calls go by the RouteConfiguration `route`."""
    manager = HttpConnectionManager(
        rds=Rds(config_source=sockets.ads(), route_config_name=route),
        http_filters=filters.http_filters(KNOWN_FILTERS),
    )
    return encode(Listener(name=name, api_listener=ApiListener(api_listener=pack(manager))))


def encode_known_host(message: bytes) -> bytes:
    """Encode a VirtualHost as gRPC's client reads it: the same calls take the same routes, for as long."""
    host = VirtualHost.FromString(message)
    _without_unknown_filters(host.typed_per_filter_config)
    routes = [made for route in host.routes for made in _known_routes(route)]
    del host.routes[:]
    host.routes.extend(routes)
    return encode(host)


def _known_routes(route: Route) -> list[Route]:
    if any(name.startswith(ext_authz.NAME) for name in route.typed_per_filter_config):
        # It can ask nobody whether a call may pass: so none does.
        route.non_forwarding_action.CopyFrom(NonForwardingAction())
    _without_unknown_filters(route.typed_per_filter_config)
    if route.route.HasField("timeout") and route.route.timeout.ToNanoseconds() > 0:
        # Envoy's own limit it does not read (gRFC A31).
        route.route.max_stream_duration.max_stream_duration.CopyFrom(route.route.timeout)
    if route.match.WhichOneof("path_specifier") == "path_separated_prefix":
        route.match.prefix = f"{route.match.path_separated_prefix}/"
        if route.match.prefix.count("/") > 2:
            # There is nothing below a method: it is the whole path.
            route.match.path = route.match.prefix.removesuffix("/")
    return _apart(route)


def _without_unknown_filters(options: MutableMapping[str, Any]) -> None:
    for name in tuple(options):
        if name not in KNOWN_FILTERS:
            del options[name]


def _apart(route: Route) -> list[Route]:
    """Tell apart that a header is not there and that it is another: to gRPC only the latter is "not this value"."""
    inverted = [
        index
        for index, test in enumerate(route.match.headers)
        if test.invert_match and not test.HasField("present_match")
    ]
    if len(inverted) > MOST_INVERTED:
        return []
    made: list[Route] = []
    for absent in product((True, False), repeat=len(inverted)):
        one = Route()
        one.CopyFrom(route)
        for index in (index for index, gone in zip(inverted, absent, strict=True) if gone):
            name = route.match.headers[index].name
            one.match.headers[index].CopyFrom(HeaderMatcher(name=name, present_match=True, invert_match=True))
        made.append(one)
    return made


@dataclass(frozen=True, slots=True)
class KnownCluster:
    """What gRPC's client knows of a cluster. Its endpoints come by EDS.

    `ring_size` 0 means each in turn; `requests` are as many as may be under way at once. `peers` are the SPIFFE ids
    of which the server must show one, in mutual TLS: () means any of the mesh, None plain text.
    """

    name: str
    requests: int
    ring_size: int = 0
    peers: tuple[str, ...] | None = None


def encode_known_cluster(cluster: KnownCluster) -> bytes:
    """Encode a cluster. Without a number of its own gRPC would have 1,024 requests at most."""
    limit = CircuitBreakers.Thresholds(
        priority=RoutingPriority.DEFAULT, max_requests=uint32(cluster.requests)
    )
    made = Cluster(
        name=cluster.name,
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(eds_config=sockets.ads()),
        lb_policy=Cluster.RING_HASH if cluster.ring_size else Cluster.ROUND_ROBIN,
        circuit_breakers=CircuitBreakers(thresholds=[limit]),
    )
    if cluster.ring_size:
        size = uint64(min(cluster.ring_size, MOST_RING))
        made.ring_hash_lb_config.CopyFrom(Cluster.RingHashLbConfig(minimum_ring_size=size))
    if cluster.peers is not None:
        context = UpstreamTlsContext(common_tls_context=_certificates(cluster.peers))
        made.transport_socket.CopyFrom(TransportSocket(name=sockets.TLS, typed_config=pack(context)))
    return encode(made)


def _certificates(peers: tuple[str, ...]) -> CommonTlsContext:
    """Say whose certificates are shown and believed: by name, for the files are the bootstrap's (gRFC A29)."""
    instance = names.CERTIFICATE_PROVIDER
    believed = CertificateValidationContext(
        ca_certificate_provider_instance=CertificateProviderPluginInstance(
            instance_name=instance, certificate_name=names.ROOT_CERTIFICATE
        ),
        # Not the newer field for names, which gRPC does not read.
        match_subject_alt_names=[StringMatcher(exact=peer) for peer in peers],
    )
    return CommonTlsContext(
        tls_certificate_provider_instance=CertificateProviderPluginInstance(
            instance_name=instance, certificate_name=names.WORKLOAD_CERTIFICATE
        ),
        validation_context=believed,
    )


def encode_server_listener(address: str, port: int, *, mutual: bool) -> tuple[str, bytes]:
    """Encode what a gRPC server at an address is told (gRFC A36), with the name by which it asks for that.

    `mutual` ends the mesh's TLS and takes nothing else; without it there is no TLS.
    """
    host = f"[{address}]" if ":" in address else address
    name = f"{names.SERVER_LISTENER}{host}:{port}"
    every = Route(match=RouteMatch(prefix="/"), non_forwarding_action=NonForwardingAction())
    manager = HttpConnectionManager(
        stat_prefix="inbound",
        route_config=RouteConfiguration(
            name="inbound", virtual_hosts=[VirtualHost(name="inbound", domains=["*"], routes=[every])]
        ),
        http_filters=filters.http_filters(frozenset()),
    )
    chain = FilterChain(
        name="inbound-mtls" if mutual else "inbound-plaintext",
        filters=[Filter(name=HTTP_CONNECTION_MANAGER, typed_config=pack(manager))],
    )
    if mutual:
        # Whom a client may be is not asked here: gRPC's servers know no names to ask for.
        context = DownstreamTlsContext(
            common_tls_context=_certificates(()), require_client_certificate=boolean(True)
        )
        chain.transport_socket.CopyFrom(TransportSocket(name=sockets.TLS, typed_config=pack(context)))
    where = Address(socket_address=SocketAddress(address=address, port_value=port))
    return name, encode(Listener(name=name, address=where, filter_chains=[chain]))


def encode_known_assignment(assignment: Assignment) -> bytes:
    """Encode a load assignment in which every locality has a name, be it empty, and a weight: gRPC skips others."""
    made = assignment_message(assignment)
    for group in made.endpoints:
        group.locality.SetInParent()
        if not group.load_balancing_weight.value:
            group.load_balancing_weight.value = 1
    return encode(made)
