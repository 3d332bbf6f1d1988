"""Resources, segments and ropes are, byte for byte, what protobuf itself would encode."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import given
from hypothesis import strategies as st

from meltemi.pilot.core.resource import (
    CDS,
    RDS,
    Origin,
    digest,
    message_of,
    resource,
    rope,
    segment,
    virtual_host,
)

ONE = Origin("Service", "shop", "cart", "spec.ports[0]")


def wire(type_url: str, name: str, message: bytes) -> bytes:
    made = DeltaDiscoveryResponse()
    entry = made.resources.add(name=name, version=digest(message).hex())
    entry.resource.CopyFrom(AnyMessage(type_url=type_url, value=message))
    return made.SerializeToString()


@given(
    st.text(min_size=1, max_size=300),
    st.sampled_from([CDS, "type.googleapis.com/some.Other"]),
    st.binary(min_size=1),
)
def test_an_entry_parses_as_what_protobuf_would_have_made(name: str, type_url: str, message: bytes) -> None:
    made = resource(type_url, name, message)
    assert DeltaDiscoveryResponse.FromString(made.entry) == DeltaDiscoveryResponse.FromString(
        wire(type_url, name, message)
    )
    assert len(made.entry) == len(wire(type_url, name, message))
    assert message_of(made.entry) == (type_url, message)
    assert made.version == digest(message)


def test_origins_are_not_compared() -> None:
    one, other = resource(CDS, "a", b"x", [ONE]), resource(CDS, "a", b"x")
    assert one == other
    assert hash(one) == hash(other)
    assert resource(CDS, "a", b"y") != one
    assert resource(CDS, "b", b"x") != one
    assert str(ONE) == "Service shop/cart spec.ports[0]"


def test_an_equal_resource_keeps_shared_bytes_and_new_origins() -> None:
    old, new = resource(CDS, "a", b"x" * 50, [ONE]), resource(CDS, "a", b"x" * 50)
    kept = new.__adopt__(old)
    assert kept.origins == ()
    assert kept.entry is old.entry
    assert resource(CDS, "a", b"x" * 50, [ONE]).__adopt__(old) is old


def test_a_segment_is_its_names_and_versions_in_order() -> None:
    a, b = resource(CDS, "a", b"1"), resource(CDS, "b", b"2")
    made = segment(("ns", "x"), [a, b])
    assert made == segment(("ns", "x"), iter([a, b]))
    assert hash(made) == hash(segment(("ns", "x"), [a, b]))
    for other in (
        segment(("ns", "y"), [a, b]),
        segment(("ns", "x"), [b, a]),
        segment(("ns", "x"), [a]),
        segment(("ns", "x"), [a, resource(CDS, "b", b"3")]),
        segment(("ns", "x"), [a, resource(CDS, "c", b"2")]),
    ):
        assert made != other
    assert made != "x"


def hosts(*names: str) -> list[VirtualHost]:
    return [VirtualHost(name=name, domains=[name]) for name in names]


def test_a_rope_joins_to_the_whole_route_configuration() -> None:
    whole = RouteConfiguration(name="80", virtual_hosts=hosts("a", "b", "c"))
    head = RouteConfiguration(name="80")
    parts = [
        segment(("ns", "x"), [virtual_host(each.name, each.SerializeToString()) for each in hosts("a", "b")]),
        segment(("ns", "y"), []),
        segment(("last",), [virtual_host(each.name, each.SerializeToString()) for each in hosts("c")]),
    ]
    made = rope("80", head.SerializeToString(), parts, [ONE])
    assert made.message() == whole.SerializeToString()
    joined = made.join()
    assert (joined.name, joined.version, joined.origins) == ("80", made.version, (ONE,))
    assert message_of(joined.entry) == (RDS, whole.SerializeToString())
    assert made == rope("80", head.SerializeToString(), parts)
    assert made != rope("80", head.SerializeToString(), parts[:1])
    assert made != rope(
        "80", RouteConfiguration(name="80", ignore_port_in_host_matching=True).SerializeToString(), parts
    )
    assert hash(made) == hash(rope("80", head.SerializeToString(), parts))
    assert made != "80"


def test_a_framed_cluster_is_read_back() -> None:
    message = Cluster(name="outbound|80||cart.shop", type=Cluster.EDS)
    made = resource(CDS, message.name, message.SerializeToString())
    assert Cluster.FromString(message_of(made.entry)[1]) == message
