"""Kinds of gateway.networking.k8s.io: the Gateway API v1.5, with its experimental fields."""

from typing import Any, Final

from meltemi.api.gatewayapi.backend_tls_policy import BACKEND_TLS_POLICY, BackendTLSPolicy
from meltemi.api.gatewayapi.gateway import GATEWAY, Gateway, Listener
from meltemi.api.gatewayapi.gateway_class import GATEWAY_CLASS, GatewayClass
from meltemi.api.gatewayapi.grpc_route import GRPC_ROUTE, GRPCRoute
from meltemi.api.gatewayapi.http_route import HTTP_ROUTE, HTTPRoute
from meltemi.api.gatewayapi.listener_set import LISTENER_SET, ListenerSet
from meltemi.api.gatewayapi.reference_grant import REFERENCE_GRANT, ReferenceGrant
from meltemi.api.gatewayapi.stream_route import TCP_ROUTE, UDP_ROUTE, StreamRoute
from meltemi.api.gatewayapi.tls_route import TLS_ROUTE, TLSRoute
from meltemi.api.kind import Kind

KINDS: Final[tuple[Kind[Any], ...]] = (
    GATEWAY_CLASS,
    GATEWAY,
    LISTENER_SET,
    REFERENCE_GRANT,
    HTTP_ROUTE,
    GRPC_ROUTE,
    TLS_ROUTE,
    TCP_ROUTE,
    UDP_ROUTE,
    BACKEND_TLS_POLICY,
)

__all__ = [
    "KINDS",
    "BackendTLSPolicy",
    "GRPCRoute",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "Listener",
    "ListenerSet",
    "ReferenceGrant",
    "StreamRoute",
    "TLSRoute",
]
