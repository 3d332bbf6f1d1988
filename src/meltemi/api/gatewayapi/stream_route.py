"""TCPRoute and UDPRoute: where the connections or datagrams of a listener go (gateway.networking.k8s.io, experimental).

Their specs are the same to the letter, and so are declared once; rules of a TLSRoute are no others.
"""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.references import AttachedRoute, BackendRef
from meltemi.api.gatewayapi.status import RouteStatus
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class StreamRouteRule:
    """Where connections or datagrams go."""

    name: str = field("Its name, unique in the route.", "", **words.SECTION)
    backend_refs: tuple[BackendRef, ...] = field(
        "The backends.", (), required=True, min_items=1, max_items=16, **words.WHOLE
    )


@dataclass(frozen=True, slots=True)
class StreamRoute(AttachedRoute):
    """Where the connections or datagrams of a listener go."""

    rules: tuple[StreamRouteRule, ...] = field(
        "Where they go.", (), required=True, min_items=1, max_items=16, **words.WHOLE
    )


def _kind(name: str, doc: str) -> Kind[StreamRoute]:
    return Kind(
        name=name,
        group=words.GROUP_NAME,
        versions=("v1alpha2",),
        plural=f"{name.lower()}s",
        singular=name.lower(),
        categories=("gateway-api",),
        model=StreamRoute,
        status=RouteStatus,
        columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
        doc=doc,
    )


TCP_ROUTE = _kind("TCPRoute", "Where the connections of a listener go.")
UDP_ROUTE = _kind("UDPRoute", "Where the datagrams of a listener go.")
