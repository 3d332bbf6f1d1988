"""TLSRoute: which TLS connections go where, by the name that the client asks for (gateway.networking.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.gateway import is_ip
from meltemi.api.gatewayapi.references import AttachedRoute
from meltemi.api.gatewayapi.status import RouteStatus
from meltemi.api.gatewayapi.stream_route import StreamRouteRule
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class TLSRoute(AttachedRoute):
    """Which TLS connections go where, by the name that the client asks for.

    Earlier versions let a route have several rules, and the first one also no hostname.
    """

    hostnames: tuple[str, ...] = field(
        "Names that the client asks for (SNI).",
        (),
        required=True,
        min_items=1,
        max_items=1024,
        earlier=((("v1alpha2",), (("required", False), ("min_items", None))),),
        **words.WHOLE,
        **words.each(words.HOSTNAME),
    )
    rules: tuple[StreamRouteRule, ...] = field(
        "Where they go.",
        (),
        required=True,
        min_items=1,
        max_items=1,
        earlier=((("v1alpha3", "v1alpha2"), (("max_items", 16),)),),
        **words.WHOLE,
    )

    RULES = (
        *AttachedRoute.RULES,
        Rule(
            "!has(self.hostnames) || self.hostnames.all(h, !isIP(h))",
            "hostnames are DNS names: a client does not ask for an IP address",
            lambda given: not any(is_ip(one) for one in given.get("hostnames", ())),
            "hostnames",
        ),
    )


TLS_ROUTE: Kind[TLSRoute] = Kind(
    name="TLSRoute",
    group=words.GROUP_NAME,
    versions=("v1", "v1alpha3", "v1alpha2"),
    storage="v1",
    plural="tlsroutes",
    singular="tlsroute",
    categories=("gateway-api",),
    model=TLSRoute,
    status=RouteStatus,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="Which TLS connections go where, by the name that the client asks for.",
)
