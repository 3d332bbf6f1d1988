"""Event and Lease: what components tell users, and who of them leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meltemi.api.core.endpoint_slice import ObjectReference
from meltemi.api.declare import field
from meltemi.api.kind import Alias, Column, Kind


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object."""

    involved_object: ObjectReference = field("The object.", ObjectReference(), required=True)
    reason: str = field("One word.", "")
    message: str = field("A sentence.", "")
    type: str = field("Normal or Warning.", "")
    count: int = field("How often.", 0)


EVENT: Kind[Event] = Kind(
    name="Event",
    group="",
    versions=("v1",),
    plural="events",
    singular="event",
    short=("ev",),
    body=True,
    has_status=False,
    model=Event,
    columns=(
        Column("Last Seen", "date", ".lastTimestamp", "When it happened last."),
        Column("Type", "string", ".type", "Normal or Warning."),
        Column("Reason", "string", ".reason", "One word."),
        Column("Object", "string", ".involvedObject.name", "What it happened to."),
        Column("Message", "string", ".message", "A sentence."),
        Column("Count", "integer", ".count", "How often.", 1),
    ),
    doc="Something that happened to an object.",
)


_TODAY: Final[Mapping[str, str]] = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_THERE: Final[Mapping[str, str]] = {core: name for name, core in _TODAY.items()}

# The same objects under a second group, with other names for some fields.
EVENT_OF_EVENTS: Alias[Event] = Alias(
    name="Event",
    group="events.k8s.io",
    versions=("v1",),
    plural="events",
    singular="event",
    body=True,
    has_status=False,
    model=Event,
    columns=EVENT.columns,
    doc=EVENT.doc,
    of=EVENT,
    ahead=lambda document: {_TODAY.get(name, name): value for name, value in document.items()},
    back=lambda document: {_THERE.get(name, name): value for name, value in document.items()},
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a lease."""

    holder_identity: str = field("Who holds it.", "")
    lease_duration_seconds: int = field("How long without renewal.", 0)
    renew_time: str = field("When it was renewed last.", "")


LEASE: Kind[Lease] = Kind(
    name="Lease",
    group="coordination.k8s.io",
    versions=("v1",),
    plural="leases",
    singular="lease",
    has_status=False,
    model=Lease,
    columns=(
        Column("Holder", "string", ".spec.holderIdentity", "Who holds it."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="A lock that must be renewed.",
)
