"""The variants of the xDS transport protocol in which a stream may be spoken: what differs, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from meltemi.pilot.core.resource import resource
from meltemi.pilot.shell.worlds import Sendable
from meltemi.pilot.wire import messages, sotw_messages
from meltemi.pilot.wire.ads import AdsStream, Limits
from meltemi.pilot.wire.sotw import SotwStream
from meltemi.pilot.wire.types import EDS


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant: the RPC of `AggregatedDiscoveryService`, the machine of its streams, how bytes are read and made.

    `decode` gives a request as its machine takes it, and raises `messages.Malformed`. `body` makes all of a response
    but what `with_nonce` adds for one stream.
    """

    method: str
    stream: Callable[[Limits], AdsStream[Sendable]]
    decode: Callable[[bytes], tuple[Any, messages.Hint | None]]
    body: Callable[[str, Iterable[bytes], Iterable[str]], bytes]
    with_nonce: Callable[[bytes, str], bytes]


def _no_endpoints(type_url: str, name: str) -> Sendable | None:
    """What stands for endpoints that are not there: state of the world has no other word for it."""
    if type_url != EDS:
        return None
    made = resource(EDS, name, ClusterLoadAssignment(cluster_name=name).SerializeToString(), ())
    return Sendable(made, made.version.hex())


DELTA: Final = Variant(
    "DeltaAggregatedResources",
    # A relay closes rather than goes on in plain text.
    lambda limits: AdsStream(limits, keeps=False),
    messages.decode_request,
    messages.response_body,
    messages.with_nonce,
)

STATE_OF_THE_WORLD: Final = Variant(
    "StreamAggregatedResources",
    lambda limits: SotwStream(limits, _no_endpoints),
    sotw_messages.decode_state_request,
    sotw_messages.state_body,
    sotw_messages.with_state_nonce,
)

VARIANTS: Final = (DELTA, STATE_OF_THE_WORLD)
"""All that are served."""
