"""Plain text that ends where TLS is asked for, whatever Envoy says of that TLS.

An Envoy that refuses a cluster goes on with the one that it has, and may say so late: it tells nothing while another
cluster warms. Where the one that it has lets out plain text and the new one asks for TLS, that must not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from envoy.service.discovery.v3.discovery_pb2 import Resource
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from meltemi.envoy import closing
from meltemi.pilot.wire.messages import Entry, Malformed, frame, unframe
from meltemi.pilot.wire.types import CDS

CLOSED: Final = "closed"
"""The version of a cluster that leads nowhere."""


def first(type_url: str, new: Entry, before: Iterable[Entry]) -> Entry | None:
    """What Envoy is to have before `new`, where it may have one of `before`: a closed cluster, or nothing (None).

    TLS by files is what an Envoy may refuse for what it is or has. Other TLS comes without a gap.
    """
    if type_url != CDS or not any(not _says(closing.is_covered, one) for one in before):
        return None
    return _closed(new.name) if _says(closing.takes_files, new) else None


def instead(type_url: str, refused: Entry, before: Entry) -> Entry:
    """What stands in for what Envoy refused: what it accepted before, or a closed cluster where that is plain text."""
    if type_url != CDS or not _says(closing.is_covered, refused) or _says(closing.is_covered, before):
        return before
    return _closed(refused.name)


def _closed(name: str) -> Entry:
    made = Resource(name=name, version=CLOSED, resource=Any(type_url=CDS, value=closing.closed(name)))
    return Entry(name, CLOSED, frame(made.SerializeToString(deterministic=True)))


def _says(what: Callable[[bytes], bool], entry: Entry) -> bool:
    """Ask it of an entry; what cannot be read says no to everything, and is Envoy's to refuse."""
    try:
        _, _, body = unframe(entry.framed)
        return what(body)
    except (Malformed, DecodeError):
        return False
