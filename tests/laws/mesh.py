"""A small mesh of real Envoy messages, in the shape of the real translation: leaves, segments, scopes, ropes.

It is here, apart from `meltemi.pilot`, so that bugs can be seeded into it: what a law cannot find here it cannot
find there.
"""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import (
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    Rds,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from meltemi.pilot.core import push as pushing
from meltemi.pilot.core.resource import (
    CDS,
    EDS,
    LDS,
    Origin,
    Resource,
    Roots,
    Rope,
    Segment,
    resource,
    rope,
    segment,
    virtual_host,
)
from meltemi.query import Db, FactKind, query


@dataclass(frozen=True, slots=True)
class Service:
    """Ports, and whether it is called over HTTP."""

    ports: tuple[int, ...]
    http: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A destination rule for the service of its name: a timeout, and subsets by name."""

    timeout: int = 1
    subsets: tuple[str, ...] = ()
    local: bool = False


SERVICES: FactKind[Service] = FactKind("services")
ENDPOINTS: FactKind[tuple[tuple[str, str], ...]] = FactKind("endpoints")
"""Address and zone of each."""
RULES: FactKind[Rule] = FactKind("rules")
WEIGHTS: FactKind[tuple[tuple[str, int], ...]] = FactKind("weights")
"""A virtual service of the service's name: weights of subsets."""
SCOPES: FactKind[tuple[str, ...]] = FactKind("scopes")
"""What a namespace sees; absent: everything."""
SETTINGS: FactKind[int] = FactKind("settings")


@dataclass(frozen=True, slots=True)
class View:
    """What the model knows of a proxy."""

    namespace: str
    zone: str


def host_of(namespace: str, name: str) -> str:
    return f"{name}.{namespace}"


def cluster_name(namespace: str, name: str, port: int, subset: str) -> str:
    return f"outbound|{port}|{subset}|{host_of(namespace, name)}"


def encoded(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def packed(message: Message) -> AnyMessage:
    made = AnyMessage()
    made.Pack(message, deterministic=True)
    return made


@query
def rule(q: Db, namespace: str, name: str) -> Rule:
    return q.fact(RULES, namespace, name) or Rule()


@query
def subsets(q: Db, namespace: str, name: str) -> tuple[str, ...]:
    return ("", *rule(q, namespace, name).subsets)


@query
def ports(q: Db, namespace: str, name: str) -> tuple[int, ...]:
    found = q.fact(SERVICES, namespace, name)
    return () if found is None else found.ports


@query
def cluster(q: Db, namespace: str, name: str, port: int, subset: str) -> Resource:
    label = cluster_name(namespace, name, port, subset)
    message = Cluster(
        name=label,
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(
            eds_config=ConfigSource(ads=AggregatedConfigSource()), service_name=label
        ),
        connect_timeout=Duration(
            seconds=rule(q, namespace, name).timeout + (q.fact(SETTINGS, "", "slack") or 0)
        ),
    )
    return resource(CDS, label, encoded(message), (Origin("Service", namespace, name),))


@query
def assignment(q: Db, namespace: str, name: str, port: int, subset: str, zone: str) -> Resource:
    label = cluster_name(namespace, name, port, subset)
    groups: dict[str, list[LbEndpoint]] = {}
    for address, where in q.fact(ENDPOINTS, namespace, name) or ():
        at = Address(socket_address=SocketAddress(address=address, port_value=port))
        groups.setdefault(where, []).append(LbEndpoint(endpoint=Endpoint(address=at)))
    localities = [
        LocalityLbEndpoints(priority=0 if where == zone or not zone else 1, lb_endpoints=members)
        for where, members in sorted(groups.items())
    ]
    message = ClusterLoadAssignment(cluster_name=label, endpoints=localities)
    return resource(EDS, label, encoded(message))


@query
def vhost(q: Db, namespace: str, name: str, port: int) -> Resource:
    host = host_of(namespace, name)
    weights = q.fact(WEIGHTS, namespace, name) or (("", 1),)
    known = subsets(q, namespace, name)
    action = RouteAction(
        weighted_clusters=WeightedCluster(
            clusters=[
                WeightedCluster.ClusterWeight(name=cluster_name(namespace, name, port, subset))
                for subset, _ in weights
                if subset in known
            ]
        ),
        timeout=Duration(seconds=sum(weight for _, weight in weights)),
    )
    message = VirtualHost(
        name=f"{host}:{port}", domains=[host], routes=[Route(match=RouteMatch(prefix="/"), route=action)]
    )
    return virtual_host(f"{host}:{port}", encoded(message), (Origin("Service", namespace, name),))


@query
def cluster_segment(q: Db, namespace: str) -> Segment:
    return segment(
        ("ns", namespace),
        (
            cluster(q, namespace, name, port, subset)
            for name in q.names(SERVICES, namespace)
            for port in ports(q, namespace, name)
            for subset in subsets(q, namespace, name)
        ),
    )


@query
def assignment_segment(q: Db, namespace: str, zone: str) -> Segment:
    return segment(
        ("ns", namespace),
        (
            assignment(q, namespace, name, port, subset, zone if rule(q, namespace, name).local else "")
            for name in q.names(SERVICES, namespace)
            for port in ports(q, namespace, name)
            for subset in subsets(q, namespace, name)
        ),
    )


@query
def vhost_segment(q: Db, namespace: str, port: int) -> Segment:
    found = []
    for name in q.names(SERVICES, namespace):
        service = q.fact(SERVICES, namespace, name)
        if service is not None and service.http and port in service.ports:
            found.append(vhost(q, namespace, name, port))
    return segment(("ns", namespace), found)


@query
def scope(q: Db, namespace: str) -> tuple[str, ...]:
    wanted = q.fact(SCOPES, "", namespace)
    there = q.namespaces(SERVICES)
    return there if wanted is None else tuple(each for each in wanted if each in there)


@query
def http_ports(q: Db, namespace: str) -> tuple[int, ...]:
    found: set[int] = set()
    for each in scope(q, namespace):
        for name in q.names(SERVICES, each):
            service = q.fact(SERVICES, each, name)
            if service is not None and service.http:
                found.update(service.ports)
    return tuple(sorted(found))


@query
def listener(q: Db, port: int) -> Resource:
    manager = HttpConnectionManager(
        stat_prefix=str(port),
        rds=Rds(config_source=ConfigSource(ads=AggregatedConfigSource()), route_config_name=str(port)),
    )
    chain = FilterChain(
        filters=[
            Filter(
                name="envoy.filters.network.http_connection_manager",
                typed_config=packed(manager),
            )
        ]
    )
    at = Address(socket_address=SocketAddress(address="0.0.0.0", port_value=port))
    return resource(
        LDS, f"0.0.0.0_{port}", encoded(Listener(name=f"0.0.0.0_{port}", address=at, filter_chains=[chain]))
    )


@query
def clusters_root(q: Db, namespace: str) -> tuple[Segment, ...]:
    return tuple(cluster_segment(q, each) for each in scope(q, namespace))


@query
def endpoints_root(q: Db, namespace: str, zone: str) -> tuple[Segment, ...]:
    return tuple(assignment_segment(q, each, zone) for each in scope(q, namespace))


@query
def listeners_root(q: Db, namespace: str) -> tuple[Segment, ...]:
    return (segment(("outbound",), (listener(q, port) for port in http_ports(q, namespace))),)


@query
def routes_root(q: Db, namespace: str) -> tuple[Rope, ...]:
    return tuple(
        rope(
            str(port),
            encoded(RouteConfiguration(name=str(port))),
            (vhost_segment(q, each, port) for each in scope(q, namespace)),
        )
        for port in http_ports(q, namespace)
    )


@query
def roots(q: Db, view: View) -> Roots:
    return Roots(
        clusters_root(q, view.namespace),
        endpoints_root(q, view.namespace, view.zone),
        listeners_root(q, view.namespace),
        routes_root(q, view.namespace),
    )


def push(old: Roots | None, new: Roots, shared: pushing.Shared) -> pushing.Delta:
    """What is pushed; here so that bugs can be seeded."""
    return pushing.push(old, new, shared)
