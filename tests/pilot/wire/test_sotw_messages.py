"""State-of-the-world messages: values to bytes and back."""

from __future__ import annotations

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st

from meltemi.pilot.core.resource import resource
from meltemi.pilot.wire import sotw_messages as messages
from meltemi.pilot.wire.messages import Entry, Hint, Malformed, frame
from meltemi.pilot.wire.sotw import StateRequest
from meltemi.pilot.wire.types import CDS

texts = st.text(min_size=1, max_size=12)
requests = st.builds(
    StateRequest,
    type=texts,
    names=st.lists(texts).map(tuple),
    nonce=st.text(max_size=4),
    error=st.none() | texts,
)


def framed(name: str, version: str, body: bytes) -> Entry:
    packed = any_pb2.Any(type_url=CDS, value=body)
    made = discovery_pb2.Resource(name=name, version=version, resource=packed, aliases=[name])
    return Entry(name, version, frame(made.SerializeToString()))


entries = st.builds(framed, texts, texts, st.binary(max_size=40_000))


@given(requests)
def test_a_request_survives_the_wire(request: StateRequest) -> None:
    assert messages.decode_state_request(messages.encode_state_request(request)) == (request, None)


@given(st.lists(st.tuples(texts, texts, st.binary(max_size=20_000)), max_size=4), texts, texts)
def test_a_response_is_what_protobuf_would_read(
    parts: list[tuple[str, str, bytes]], type_url: str, nonce: str
) -> None:
    body = messages.state_body(type_url, [framed(*part).framed for part in parts], ())
    message = discovery_pb2.DiscoveryResponse.FromString(messages.with_state_nonce(body, nonce))
    assert (message.type_url, message.nonce, message.version_info) == (type_url, nonce, nonce)
    assert [(each.type_url, each.value) for each in message.resources] == [
        (CDS, body) for _, _, body in parts
    ]


def test_entries_of_translation_are_cut_as_well() -> None:
    made = resource(CDS, "a", b"x" * 300, ())
    body = messages.state_body(CDS, [made.entry], ())
    (only,) = discovery_pb2.DiscoveryResponse.FromString(body).resources
    assert (only.type_url, only.value) == (CDS, b"x" * 300)


def test_the_node_is_a_hint() -> None:
    node = base_pb2.Node(id="sidecar~x", cluster="c")
    data = messages.encode_state_request(StateRequest(CDS), node.SerializeToString())
    assert messages.decode_state_request(data) == (StateRequest(CDS), Hint("sidecar~x", "c"))


def test_a_nack_without_words_is_still_a_nack() -> None:
    message = discovery_pb2.DiscoveryRequest(type_url=CDS, response_nonce="1")
    message.error_detail.code = 13
    request, _ = messages.decode_state_request(message.SerializeToString())
    assert request.error == "refused without a reason"


@given(st.binary(max_size=60))
def test_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for read in (messages.decode_state_request, messages.any_of):
        try:
            read(data)
        except Malformed:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"\x12", b"\x12\x02\x0a", b"\x12\x04\x08\x01\x08\x01", b"\x12\x05\x12\x09ab"]
)
def test_an_entry_without_a_resource_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        messages.any_of(data)
