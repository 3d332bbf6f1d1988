"""Discovery messages: values to bytes and back."""

from __future__ import annotations

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st

from meltemi.pilot.wire import messages
from meltemi.pilot.wire.blame import accused
from meltemi.pilot.wire.messages import Entry, Request, Response
from meltemi.pilot.wire.types import CDS, short

texts = st.text(min_size=1, max_size=12)
requests = st.builds(
    Request,
    type=texts,
    subscribe=st.lists(texts).map(tuple),
    unsubscribe=st.lists(texts).map(tuple),
    initial_resource_versions=st.dictionaries(texts, texts),
    nonce=st.text(max_size=4),
    error=st.none() | texts,
)


def framed(name: str, version: str, body: bytes = b"") -> Entry:
    resource = discovery_pb2.Resource(
        name=name, version=version, resource=any_pb2.Any(type_url=CDS, value=body)
    )
    return Entry(name, version, messages.frame(resource.SerializeToString()))


entries = st.builds(framed, texts, texts, st.binary(max_size=300))
responses = st.builds(
    Response,
    type=texts,
    nonce=texts,
    resources=st.lists(entries).map(tuple),
    removed=st.lists(texts).map(tuple),
)


@given(requests)
def test_a_request_survives_the_wire(request: Request) -> None:
    assert messages.decode_request(messages.encode_request(request)) == (request, None)


@given(responses)
def test_a_response_survives_the_wire(response: Response) -> None:
    assert messages.decode_response(messages.encode_response(response)) == response


@given(responses)
def test_a_joined_response_is_what_protobuf_would_write(response: Response) -> None:
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(messages.encode_response(response))
    assert message.type_url == response.type
    assert message.nonce == response.nonce
    assert [r.name for r in message.resources] == [entry.name for entry in response.resources]


def test_the_node_is_a_hint() -> None:
    node = base_pb2.Node(id="sidecar~x", cluster="c")
    node.metadata.update(
        {"NAMESPACE": "default", "LABELS": {"a": "b"}, "PROXY_CONFIG": {"readinessProbe": {}}}
    )
    node.locality.region = "r"
    node.locality.zone = "z"
    node.user_agent_build_version.version.major_number = 1
    node.user_agent_build_version.version.minor_number = 40
    request, hint = messages.decode_request(messages.encode_request(Request(CDS), node.SerializeToString()))
    assert request == Request(CDS)
    assert hint == messages.Hint(
        "sidecar~x", "c", "1.40.0", {"NAMESPACE": "default"}, {"a": "b"}, "r/z", probed=True
    )


def test_an_entry_can_be_opened_again() -> None:
    body = cluster_pb2.Cluster(name="a").SerializeToString()
    assert messages.unframe(framed("a", "1", body).framed) == ("a", CDS, body)


def test_a_nack_without_words_is_still_a_nack() -> None:
    message = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS, response_nonce="1")
    message.error_detail.code = 13
    assert messages.decode_request(message.SerializeToString())[0].error == "refused without a reason"


@given(st.binary(max_size=60))
def test_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for read in (messages.decode_request, messages.decode_response, messages.unframe):
        try:
            read(data)
        except messages.Malformed:
            continue


def test_garbage_is_malformed() -> None:
    for read in (messages.decode_request, messages.decode_response, messages.unframe):
        with pytest.raises(messages.Malformed):
            read(b"\xff\xff\xff")
    with pytest.raises(messages.Malformed):
        messages.unframe(b"")


def test_a_name_within_a_longer_one_is_not_accused() -> None:
    names = ["outbound|80||a", "outbound|80||a.b", "80", "0.0.0.0_80"]
    assert accused(names, "Error adding/updating cluster(s) outbound|80||a.b: no such") == (
        "outbound|80||a.b",
    )
    assert accused(names, "error adding listener '0.0.0.0_80': bad") == ("0.0.0.0_80",)
    assert accused(names, "listener 0.0.0.0_8080: bad, 127.0.0.1:80") == ()
    assert accused(names, "route 80: duplicate domain") == ("80",)


def test_types_have_short_names() -> None:
    assert short(CDS) == "CDS"
    assert short("type.googleapis.com/a.b.Secret") == "Secret"
