"""The grain of Envoy's messages, and what every resource must carry."""

from __future__ import annotations

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from envoy.config.listener.v3.listener_pb2 import Listener as ListenerMessage
from envoy.config.route.v3.route_components_pb2 import VirtualHost as VirtualHostMessage
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from meltemi.api.duration import Duration, seconds
from meltemi.envoy import filters, names, sockets
from meltemi.envoy.clusters import Cluster, Discovery, Http, Outlier, UpstreamProtocol, encode_cluster
from meltemi.envoy.encoding import duration, typed_struct
from meltemi.envoy.listeners import (
    Chain,
    ChainMatch,
    Direction,
    HttpChain,
    Listener,
    TcpChain,
    encode_listener,
)
from meltemi.envoy.matching import How, Text
from meltemi.envoy.routes import (
    Forward,
    HeaderTest,
    Match,
    Route,
    VirtualHost,
    WeightedTarget,
    encode_route_head,
    encode_virtual_host,
)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_durations_are_exact_and_of_one_sign(nanoseconds: int) -> None:
    made = duration(Duration(nanoseconds))
    assert made.seconds * 10**9 + made.nanos == nanoseconds
    assert made.seconds * made.nanos >= 0


def test_an_unknown_type_travels_as_a_struct_with_its_url() -> None:
    made = MessageToDict(typed_struct("type.googleapis.com/some.New", {"b": 1, "a": {"c": [True, None]}}))
    assert made["typeUrl"] == "type.googleapis.com/some.New"
    assert made["value"] == {"a": {"c": [True, None]}, "b": 1.0}


@pytest.mark.parametrize("server", [True, False])
def test_tls_of_the_mesh_has_both_bounds(server: bool) -> None:
    """Envoy's upstream default maximum is 1.2: a minimum alone could fail every handshake."""
    if server:
        made = DownstreamTlsContext()
        assert sockets.server(sockets.MutualServer()).typed_config.Unpack(made)
        assert made.require_client_certificate.value
        context = made.common_tls_context
    else:
        upstream = UpstreamTlsContext()
        assert sockets.client(sockets.MutualClient("sni", ("spiffe://x/y",))).typed_config.Unpack(upstream)
        assert upstream.sni == "sni"
        context = upstream.common_tls_context
        validation = context.combined_validation_context.default_validation_context
        assert [(one.san_type, one.matcher.exact) for one in validation.match_typed_subject_alt_names] == [
            (3, "spiffe://x/y")
        ]
    params = MessageToDict(context.tls_params)
    assert (params["tlsMinimumProtocolVersion"], params["tlsMaximumProtocolVersion"]) == (
        "TLSv1_2",
        "TLSv1_3",
    )
    secrets = [one.name for one in context.tls_certificate_sds_secret_configs]
    root = context.combined_validation_context.validation_context_sds_secret_config.name
    assert (secrets, root) == (["default"], "ROOTCA")


def test_a_server_outside_is_verified_unless_told_otherwise() -> None:
    def context(socket: sockets.FileClient) -> UpstreamTlsContext:
        made = UpstreamTlsContext()
        assert sockets.client(socket).typed_config.Unpack(made)
        return made

    verified = context(sockets.FileClient(sni="a.example", ca="/ca.pem"))
    assert verified.common_tls_context.validation_context.trusted_ca.filename == "/ca.pem"
    assert verified.auto_sni_san_validation
    careless = context(sockets.FileClient(sni="a.example", ca="/ca.pem", verify=False))
    assert not careless.common_tls_context.HasField("validation_context")


def test_filters_stand_in_the_one_order_and_the_router_last() -> None:
    made = [one.name for one in filters.http_filters(frozenset({filters.FAULT, filters.CORS}))]
    assert made == [filters.CORS, filters.FAULT, filters.ROUTER]
    assert [one.name for one in filters.http_filters(frozenset())] == [filters.ROUTER]
    assert all(reason for _name, reason in filters.ORDER)


def test_the_way_to_the_own_app_keeps_mark_and_address() -> None:
    made = ClusterMessage.FromString(
        encode_cluster(Cluster("inbound|80||", Discovery.ORIGINAL_DST, inbound=True))
    )
    bind = made.upstream_bind_config
    options = [(one.level, one.name, one.int_value) for one in bind.socket_options]
    assert (bind.source_address.address, options) == ("127.0.0.6", [(1, 36, 1337)])


def test_panic_mode_is_off_and_thresholds_of_outliers_follow() -> None:
    made = ClusterMessage.FromString(encode_cluster(Cluster("a", outlier=Outlier(consecutive_5xx=0))))
    assert made.common_lb_config.HasField("healthy_panic_threshold")
    assert made.common_lb_config.healthy_panic_threshold.value == 0
    assert made.outlier_detection.enforcing_consecutive_5xx.value == 0
    assert made.outlier_detection.HasField("enforcing_consecutive_gateway_failure")


def test_a_cluster_by_name_refreshes_by_ttl() -> None:
    made = ClusterMessage.FromString(
        encode_cluster(Cluster("a", Discovery.STRICT_DNS, dns_refresh=seconds(60)))
    )
    assert made.cluster_type.name == "envoy.clusters.dns"


@pytest.mark.parametrize("protocol", list(UpstreamProtocol))
def test_http_options_are_whole(protocol: UpstreamProtocol) -> None:
    """Envoy refuses HttpProtocolOptions without a protocol."""
    for http in (Http(protocol), Http(protocol, idle_timeout=seconds(1))):
        made = ClusterMessage.FromString(encode_cluster(Cluster("a", http=http)))
        for packed in made.typed_extension_protocol_options.values():
            shown = MessageToDict(packed)
            assert {"explicitHttpConfig", "useDownstreamProtocolConfig"} & shown.keys()


def test_a_header_that_must_not_match_may_be_missing() -> None:
    tests = (HeaderTest("x-a", Text(How.EXACT, "1"), invert=True), HeaderTest("x-b", Text(How.PRESENT)))
    route = Route(Forward((WeightedTarget("c", 1),)), Match(headers=tests))
    made = VirtualHostMessage.FromString(encode_virtual_host(VirtualHost("v", ("*",), (route,))))
    first, second = made.routes[0].match.headers
    assert (first.invert_match, first.treat_missing_header_as_empty) == (True, True)
    assert (second.present_match, second.treat_missing_header_as_empty) == (True, False)


def test_a_timeout_is_not_turned_off_by_a_longer_word() -> None:
    """Envoy ignores a route's timeout where max_stream_duration is set, whatever is in it."""
    route = Route(Forward((WeightedTarget("c", 1),), timeout=seconds(1)))
    made = VirtualHostMessage.FromString(encode_virtual_host(VirtualHost("v", ("*",), (route,))))
    assert made.routes[0].route.timeout.seconds == 1
    assert not made.routes[0].route.HasField("max_stream_duration")


def test_a_head_without_hosts_is_a_route_configuration() -> None:
    made = RouteConfiguration.FromString(encode_route_head("80", ignore_port=False))
    assert (made.name, list(made.virtual_hosts)) == ("80", [])


def test_a_listener_waits_for_first_bytes_only_where_it_is_told_to() -> None:
    chain = Chain(
        "c", TcpChain("s", (("a", 1), ("b", 3))), ChainMatch(addresses=("198.51.100.0/24", "198.51.100.9"))
    )
    listener = Listener(
        "l",
        "0.0.0.0",
        80,
        Direction.INBOUND,
        (chain,),
        inspect_tls=True,
        inspect_http=True,
        http_ports=(80, 81),
        skip_tls_ports=(25,),
    )
    made = ListenerMessage.FromString(encode_listener(listener))
    shown = [MessageToDict(one.filter_disabled) for one in made.listener_filters]
    assert shown == [
        {"destinationPortRange": {"start": 25, "end": 26}},
        {
            "notMatch": {
                "orMatch": {
                    "rules": [
                        {"destinationPortRange": {"start": 80, "end": 81}},
                        {"destinationPortRange": {"start": 81, "end": 82}},
                    ]
                }
            }
        },
    ]
    assert made.continue_on_listener_filters_timeout
    ranges = made.filter_chains[0].filter_chain_match.prefix_ranges
    assert [(one.address_prefix, one.prefix_len.value) for one in ranges] == [
        ("198.51.100.0", 24),
        ("198.51.100.9", 32),
    ]


@pytest.mark.parametrize(("edge", "direction"), [(True, Direction.OUTBOUND), (False, Direction.INBOUND)])
def test_only_an_edge_asks_the_connection_who_the_client_is(edge: bool, direction: Direction) -> None:
    listener = Listener("l", "0.0.0.0", 80, direction, (Chain("c", HttpChain("s", rds="80", edge=edge)),))
    made = ListenerMessage.FromString(encode_listener(listener))
    manager = HttpConnectionManager()
    assert made.filter_chains[0].filters[0].typed_config.Unpack(manager)
    assert manager.use_remote_address.value is edge
    assert manager.normalize_path.value


def test_names_are_istios() -> None:
    assert names.outbound_cluster("a.b", 80, "v1") == "outbound|80|v1|a.b"
    assert names.sni("a.b", 80) == "outbound_.80_._.a.b"
    assert (names.gateway_route(8080), names.service_route("a.b", 80)) == ("http.8080", "a.b:80")
    assert names.spiffe("cluster.local", "ns", "sa") == "spiffe://cluster.local/ns/ns/sa/sa"
