"""ListenerSet: further listeners of a Gateway, kept apart from it (gateway.networking.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.gateway import LISTENER_RULES, Listener, ListenerStatus
from meltemi.api.gatewayapi.status import CONDITIONS, Condition, waiting
from meltemi.api.kind import Column, Kind
from meltemi.api.values import Json


@dataclass(frozen=True, slots=True)
class ParentGatewayReference:
    """The Gateway that listeners are added to; it must allow that."""

    group: str = field(
        "Group of its kind.", words.GROUP_NAME, filled=Json.of(words.GROUP_NAME), **words.GROUP
    )
    kind: str = field("Its kind.", "Gateway", filled=Json.of("Gateway"), **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)
    namespace: str = field("Its namespace; the set's own if empty.", "", **words.NAMESPACE)


@dataclass(frozen=True, slots=True)
class ListenerSet:
    """Further listeners of a Gateway, kept apart from it."""

    parent_ref: ParentGatewayReference = field("The Gateway.", ParentGatewayReference(), required=True)
    listeners: tuple[Listener, ...] = field(
        "The ports.", (), required=True, min_items=1, max_items=64, **words.KEYED
    )

    RULES = LISTENER_RULES


@dataclass(frozen=True, slots=True)
class ListenerSetStatus:
    """What the controller says of the set."""

    conditions: tuple[Condition, ...] = field(
        "What holds of it.", (), filled=waiting("Accepted", "Programmed"), **CONDITIONS
    )
    listeners: tuple[ListenerStatus, ...] = field(
        "What holds of its listeners.", (), max_items=64, **words.KEYED
    )


def _condition(name: str, doc: str) -> Column:
    return Column(name, "string", f'.status.conditions[?(@.type=="{name}")].status', doc)


LISTENER_SET: Kind[ListenerSet] = Kind(
    name="ListenerSet",
    group=words.GROUP_NAME,
    versions=("v1",),
    plural="listenersets",
    singular="listenerset",
    short=("lset",),
    categories=("gateway-api",),
    model=ListenerSet,
    status=ListenerSetStatus,
    columns=(
        _condition("Accepted", "Whether it is taken."),
        _condition("Programmed", "Whether it is served."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Further listeners of a Gateway, kept apart from it.",
)
