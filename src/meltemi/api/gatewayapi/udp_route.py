"""UDPRoute: where the datagrams of a listener go (gateway.networking.k8s.io, experimental)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.references import (
    PARENT_RULES,
    RULE_NAMES,
    BackendRef,
    DefaultScope,
    ParentReference,
)
from meltemi.api.gatewayapi.status import RouteStatus
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class UDPRouteRule:
    """Where datagrams go."""

    name: str = field("Its name, unique in the route.", "", **words.SECTION)
    backend_refs: tuple[BackendRef, ...] = field(
        "The backends.", (), required=True, min_items=1, max_items=16, **words.WHOLE
    )


@dataclass(frozen=True, slots=True)
class UDPRoute:
    """Where the datagrams of a listener go."""

    parent_refs: tuple[ParentReference, ...] = field(
        "Gateways or Services that it belongs to.", (), max_items=32, **words.WHOLE
    )
    use_default_gateways: DefaultScope | None = field("Belong to Gateways that take such routes.", None)
    rules: tuple[UDPRouteRule, ...] = field(
        "Where they go.", (), required=True, min_items=1, max_items=16, **words.WHOLE
    )

    RULES = (*PARENT_RULES, RULE_NAMES)


UDP_ROUTE: Kind[UDPRoute] = Kind(
    name="UDPRoute",
    group=words.GROUP_NAME,
    versions=("v1alpha2",),
    plural="udproutes",
    singular="udproute",
    categories=("gateway-api",),
    model=UDPRoute,
    status=RouteStatus,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="Where the datagrams of a listener go.",
)
