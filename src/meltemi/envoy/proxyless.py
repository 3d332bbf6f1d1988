"""What gRPC's own xDS client is served: the part of Envoy's API that it knows (gRFC A27, A28, A29, A37, A42).

It refuses a resource whole for one thing in it that it does not know, so what is served to it says only what it reads.
"""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.api_listener_pb2 import ApiListener
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    Rds,
)

from meltemi.envoy import filters, sockets
from meltemi.envoy.encoding import encode, pack

KNOWN_FILTERS = frozenset({filters.FAULT})
"""HTTP filters that gRPC's client has, besides the router."""


def encode_api_listener(name: str, route: str) -> bytes:
    """Encode the listener that a target `xds:///NAME` asks for: its calls go by the RouteConfiguration `route`."""
    manager = HttpConnectionManager(
        rds=Rds(config_source=sockets.ads(), route_config_name=route),
        http_filters=filters.http_filters(KNOWN_FILTERS),
    )
    return encode(Listener(name=name, api_listener=ApiListener(api_listener=pack(manager))))


def encode_known_host(message: bytes) -> bytes:
    """Encode a VirtualHost without what configures filters that gRPC's client does not have."""
    host = VirtualHost.FromString(message)
    for options in (host.typed_per_filter_config, *(route.typed_per_filter_config for route in host.routes)):
        for name in tuple(options):
            if name not in KNOWN_FILTERS:
                del options[name]
    return encode(host)


def encode_known_cluster(message: bytes) -> bytes:
    """Encode what gRPC's client knows of a cluster, its endpoints by EDS."""
    given = Cluster.FromString(message)
    made = Cluster(
        name=given.name,
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(eds_config=sockets.ads()),
        lb_policy=Cluster.ROUND_ROBIN,
    )
    if given.lb_policy == Cluster.RING_HASH:
        made.lb_policy = Cluster.RING_HASH
        made.ring_hash_lb_config.CopyFrom(given.ring_hash_lb_config)
    for field in ("circuit_breakers", "outlier_detection"):
        if given.HasField(field):
            getattr(made, field).CopyFrom(getattr(given, field))
    return encode(made)


def encode_known_assignment(message: bytes) -> bytes:
    """Encode a load assignment in which every locality has a name, be it empty, and a weight: gRPC skips others."""
    made = ClusterLoadAssignment.FromString(message)
    for group in made.endpoints:
        group.locality.SetInParent()
        if not group.load_balancing_weight.value:
            group.load_balancing_weight.value = max(1, len(group.lb_endpoints))
    return encode(made)
