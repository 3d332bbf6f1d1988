"""What is put together by hand is, byte for byte, what the typed builders give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from envoy.config.core.v3.address_pb2 import Address, Pipe
from envoy.config.core.v3.base_pb2 import Locality, Metadata
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.route.v3.route_components_pb2 import VirtualHost as VirtualHostMessage
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api.duration import Duration
from meltemi.envoy import routes, sockets
from meltemi.envoy.clusters import (
    Balancing,
    Cluster,
    Discovery,
    Http,
    Outlier,
    Thresholds,
    UpstreamProtocol,
    _usual,
    cluster_message,
    encode_cluster,
)
from meltemi.envoy.encoding import encode, struct, uint32
from meltemi.envoy.endpoints import (
    Assignment,
    Group,
    LoadEndpoint,
    assignment_message,
    encode_endpoint,
    encode_place,
    join_assignment,
    join_group,
)
from meltemi.envoy.matching import How, Text
from meltemi.envoy.sockets import MutualClient

words = st.text("abc.|_", max_size=8)
numbers = st.integers(0, 2**32 - 1)
mutual = st.builds(
    MutualClient,
    words,
    st.lists(words, max_size=3).map(tuple),
    st.sampled_from([(), ("istio",), ("istio-http/1.1", "istio")]),
)


def cluster(**given: Any) -> Cluster:
    """Make a cluster: of a NamedTuple hypothesis would make up what is not given, too."""
    return Cluster(**given)


clusters = st.builds(
    cluster,
    name=words,
    discovery=st.sampled_from([Discovery.EDS, Discovery.EDS, Discovery.STATIC]),
    connect_timeout=st.none() | st.integers(0, 10**12).map(Duration),
    balancing=st.sampled_from([Balancing.LEAST_REQUEST, Balancing.LEAST_REQUEST, Balancing.ROUND_ROBIN]),
    thresholds=st.none() | st.just(Thresholds()) | st.builds(Thresholds, numbers, numbers, numbers, numbers),
    outlier=st.none() | st.just(Outlier()),
    auto_mtls=st.none() | mutual,
    http=st.builds(Http, st.sampled_from(UpstreamProtocol), st.none() | st.just(Duration(10**9))),
    services=st.lists(st.tuples(words, words, words), max_size=2).map(tuple),
    config=words,
    subset=words,
)


@given(clusters)
def test_clusters(made: Cluster) -> None:
    assert encode_cluster(made) == encode(cluster_message(made))


def test_the_usual_cluster_is_put_together_by_hand() -> None:
    assert _usual(
        Cluster("a", thresholds=Thresholds(), auto_mtls=MutualClient("b"), services=(("a", "b", "c"),))
    )
    assert not _usual(Cluster("a", thresholds=Thresholds()))


def built(one: LoadEndpoint) -> LbEndpoint:
    filters = {}
    if one.workload:
        filters["istio"] = struct({"workload": one.workload})
    if one.mtls:
        filters["envoy.transport_socket_match"] = struct({"tlsMode": "istio"})
    where = sockets.address(one.address, one.port) if one.port else Address(pipe=Pipe(path=one.address))
    return LbEndpoint(
        endpoint=Endpoint(address=where),
        health_status=HealthStatus.UNKNOWN if one.healthy else HealthStatus.UNHEALTHY,
        load_balancing_weight=uint32(one.weight),
        metadata=Metadata(filter_metadata=filters) if filters else None,
    )


@given(
    st.lists(
        st.builds(
            LoadEndpoint,
            words,
            st.integers(0, 65535),
            st.booleans(),
            words,
            st.integers(0, 90),
            st.booleans(),
        ),
        max_size=4,
    ),
    st.tuples(words, words, words),
    st.integers(0, 2),
)
def test_endpoints(listed: list[LoadEndpoint], place: tuple[str, str, str], priority: int) -> None:
    weight = sum(one.weight for one in listed)
    message = ClusterLoadAssignment(
        cluster_name="a",
        endpoints=[
            LocalityLbEndpoints(
                locality=Locality(region=place[0], zone=place[1], sub_zone=place[2]) if any(place) else None,
                lb_endpoints=[built(one) for one in listed],
                load_balancing_weight=uint32(weight or None),
                priority=priority,
            )
        ],
    )
    group = join_group(encode_place(place), [encode_endpoint(*one) for one in listed], weight, priority)
    assert join_assignment("a", [group]) == encode(message)
    assert assignment_message(Assignment("a", (Group(place, tuple(listed), priority),))) == message


forwards = st.builds(
    routes.Forward,
    targets=st.lists(
        st.builds(
            routes.WeightedTarget,
            words,
            st.integers(0, 100),
            st.just(routes.NO_CHANGES) | st.just(routes.HeaderChanges(remove=("x",))),
            authority=st.sampled_from(["", "", "b"]),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    timeout=st.sampled_from([0, 0, 10**9, 1, -1]).map(Duration),
    retry=st.sampled_from([routes.USUAL_RETRY, routes.USUAL_RETRY, None]),
    prefix_rewrite=st.sampled_from(["", "", "/x"]),
    authority=st.sampled_from(["", "", "a"]),
    hash_keys=st.sampled_from([(), (), (routes.HashKey(routes.HashBy.SOURCE_IP),)]),
)
listed_routes = st.lists(
    st.builds(
        routes.Route,
        forwards | st.just(routes.Direct(502)),
        match=st.builds(routes.Match, st.builds(Text, st.sampled_from(How), words, st.booleans()))
        | st.just(routes.Match(headers=(routes.HeaderTest("a", Text(How.EXACT, "b")),))),
        name=words,
        operation=words,
        config=st.sampled_from(["", "", "a"]),
    ),
    max_size=3,
).map(tuple)


@given(words, st.lists(words, max_size=2).map(tuple), listed_routes, st.booleans(), st.booleans())
def test_virtual_hosts(
    name: str, domains: tuple[str, ...], listed: tuple[routes.Route, ...], counted: bool, tls: bool
) -> None:
    built = VirtualHostMessage(
        name=name,
        domains=domains,
        routes=[routes._route(route) for route in listed],
        include_request_attempt_count=counted,
        require_tls=VirtualHostMessage.ALL if tls else VirtualHostMessage.NONE,
    )
    host = routes.VirtualHost(name, domains, listed, attempt_count=counted, require_tls=tls)
    assert routes.encode_virtual_host(host) == encode(built)


def test_the_usual_route_is_put_together_by_hand() -> None:
    forward = routes.Forward((routes.WeightedTarget("a", 1),), retry=routes.USUAL_RETRY)
    usual = routes.Route(forward, name="default", operation="a:80/*")
    assert routes._usual(usual, forward)
    assert routes.straight_route("a", "a:80/*") == routes.encode_route(usual)
    assert not routes._usual(usual, replace(forward, authority="b"))
