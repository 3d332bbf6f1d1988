"""GRPCRoute: which gRPC calls go where (gateway.networking.k8s.io)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.http_filter import HTTPHeaderFilter, HTTPRequestMirrorFilter, once, union
from meltemi.api.gatewayapi.http_route import MatchType, most_matches
from meltemi.api.gatewayapi.references import (
    AttachedRoute,
    BackendRef,
    LocalObjectReference,
)
from meltemi.api.gatewayapi.session import SessionPersistence
from meltemi.api.gatewayapi.status import RouteStatus
from meltemi.api.kind import Column, Kind
from meltemi.api.values import Json

_SERVICE: Final = r"^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$"
_METHOD: Final = "^[A-Za-z_][A-Za-z_0-9]*$"


def _exactly(pattern: str, name: str, given: Mapping[str, Any]) -> bool:
    exact = given.get("type", MatchType.Exact) is MatchType.Exact
    return not exact or name not in given or bool(re.search(pattern, given[name], re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class GRPCMethodMatch:
    """A service, a method, or both."""

    type: MatchType = field("How they are compared.", MatchType.Exact, filled=Json.of("Exact"))
    service: str = field("The service; any if not given.", "", max_length=1024)
    method: str = field("The method; any if not given.", "", max_length=1024)

    RULES = (
        Rule(
            "has(self.service) || has(self.method)",
            "service or method must be given, or both",
            lambda given: "service" in given or "method" in given,
        ),
        Rule(
            f"(has(self.type) && self.type != 'Exact') || !has(self.service) || "
            f"self.service.matches(r'{_SERVICE}')",
            "a service is words of letters, digits and _, with dots between them",
            lambda given: _exactly(_SERVICE.replace("(?i)", ""), "service", given),
            "service",
        ),
        Rule(
            f"(has(self.type) && self.type != 'Exact') || !has(self.method) || "
            f"self.method.matches(r'{_METHOD}')",
            "a method is a word of letters, digits and _",
            lambda given: _exactly(_METHOD, "method", given),
            "method",
        ),
    )


@dataclass(frozen=True, slots=True)
class GRPCHeaderMatch:
    """A header."""

    type: MatchType = field("How it is compared.", MatchType.Exact, filled=Json.of("Exact"))
    name: str = field("Its name, in any case.", "", required=True, **words.HEADER)
    value: str = field("Its value, or an RE2 expression.", "", required=True, min_length=1, max_length=4096)


@dataclass(frozen=True, slots=True)
class GRPCRouteMatch:
    """Calls: all that is given must hold."""

    method: GRPCMethodMatch | None = field("Their service and method; any if not given.", None)
    headers: tuple[GRPCHeaderMatch, ...] = field("Their headers.", (), max_items=16, **words.KEYED)


class GRPCFilterType(Enum):
    """What a filter of a GRPCRoute does."""

    RequestHeaderModifier = "RequestHeaderModifier"
    ResponseHeaderModifier = "ResponseHeaderModifier"
    RequestMirror = "RequestMirror"
    ExtensionRef = "ExtensionRef"


@dataclass(frozen=True, slots=True)
class GRPCRouteFilter:
    """One thing that is done with a call."""

    type: GRPCFilterType = field("What.", GRPCFilterType.RequestHeaderModifier, required=True)
    request_header_modifier: HTTPHeaderFilter | None = field("Change the request's headers.", None)
    response_header_modifier: HTTPHeaderFilter | None = field("Change the response's headers.", None)
    request_mirror: HTTPRequestMirrorFilter | None = field("Send a copy elsewhere.", None)
    extension_ref: LocalObjectReference | None = field("Something of the controller's own.", None)

    RULES = (
        union("RequestHeaderModifier", "requestHeaderModifier", "request_header_modifier"),
        union("ResponseHeaderModifier", "responseHeaderModifier", "response_header_modifier"),
        union("RequestMirror", "requestMirror", "request_mirror"),
        union("ExtensionRef", "extensionRef", "extension_ref"),
    )


_ONCE: Final = once("RequestHeaderModifier", "ResponseHeaderModifier")


@dataclass(frozen=True, slots=True)
class GRPCBackendRef(BackendRef):
    """A backend, its share of the calls, and what is done with those."""

    filters: tuple[GRPCRouteFilter, ...] = field(
        "What is done with calls to this backend.", (), max_items=16, **words.WHOLE
    )

    RULES = (*BackendRef.RULES, _ONCE)


@dataclass(frozen=True, slots=True)
class GRPCRouteRule:
    """Calls, and what is done with them."""

    name: str = field("Its name, unique in the route.", "", **words.SECTION)
    matches: tuple[GRPCRouteMatch, ...] = field(
        "The calls: any of these; every call if none is given.", (), max_items=64, **words.WHOLE
    )
    filters: tuple[GRPCRouteFilter, ...] = field("What is done with them.", (), max_items=16, **words.WHOLE)
    backend_refs: tuple[GRPCBackendRef, ...] = field("Where they go.", (), max_items=16, **words.WHOLE)
    session_persistence: SessionPersistence | None = field("Calls of one session go to one endpoint.", None)

    RULES = (_ONCE,)


@dataclass(frozen=True, slots=True)
class GRPCRoute(AttachedRoute):
    """Which gRPC calls go where."""

    hostnames: tuple[str, ...] = field(
        "Hosts that it is for; the listener's if none is given.",
        (),
        max_items=16,
        **words.WHOLE,
        **words.each(words.HOSTNAME),
    )
    rules: tuple[GRPCRouteRule, ...] = field(
        "Calls, and what is done with them.", (), max_items=16, **words.WHOLE
    )

    RULES = (*AttachedRoute.RULES, most_matches(filled=False))


GRPC_ROUTE: Kind[GRPCRoute] = Kind(
    name="GRPCRoute",
    group=words.GROUP_NAME,
    versions=("v1",),
    plural="grpcroutes",
    singular="grpcroute",
    categories=("gateway-api",),
    model=GRPCRoute,
    status=RouteStatus,
    columns=(
        Column("Hostnames", "string", ".spec.hostnames", "Hosts that it is for."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Which gRPC calls go where.",
)
