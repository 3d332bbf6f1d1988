"""The variants of the xDS transport protocol in which a stream may be spoken: what differs, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from meltemi.pilot.wire import messages
from meltemi.pilot.wire.ads import AdsStream, Event, Limits


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant: the RPC of `AggregatedDiscoveryService`, the machine of its streams, how bytes are read and made.

    `decode` raises `messages.Malformed`. `body` makes all of a response but what `with_nonce` adds for one stream.
    """

    method: str
    stream: Callable[[Limits], AdsStream[Any]]
    decode: Callable[[bytes], tuple[Event[Any], messages.Hint | None]]
    body: Callable[[str, Iterable[bytes], Iterable[str]], bytes]
    with_nonce: Callable[[bytes, str], bytes]


DELTA: Final = Variant(
    "DeltaAggregatedResources",
    AdsStream,
    messages.decode_request,
    messages.response_body,
    messages.with_nonce,
)

VARIANTS: Final = (DELTA,)
"""All that are served."""
