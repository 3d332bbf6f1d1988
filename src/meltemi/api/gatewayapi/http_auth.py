"""ExternalAuth of an HTTPRoute: a server that is asked whether a request may pass (experimental)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.references import BackendObjectReference


class ExternalAuthProtocol(Enum):
    """What the server speaks."""

    HTTP = "HTTP"
    GRPC = "GRPC"


@dataclass(frozen=True, slots=True)
class GRPCAuthConfig:
    """A server that speaks Envoy's ext_authz."""

    allowed_headers: tuple[str, ...] = field(
        "Headers that it is told; all if none is given.", (), max_items=64, **words.SET
    )


@dataclass(frozen=True, slots=True)
class HTTPAuthConfig:
    """A server that answers 200 if the request may pass."""

    path: str = field(
        "What is put before the request's path.", "", max_length=1024, pattern=words.PATH_PATTERN
    )
    allowed_headers: tuple[str, ...] = field(
        "Further headers that it is told.", (), max_items=64, **words.SET
    )
    allowed_response_headers: tuple[str, ...] = field(
        "Headers of its answer that the backend gets; all if none is given.", (), max_items=64, **words.SET
    )


@dataclass(frozen=True, slots=True)
class ForwardBodyConfig:
    """How much of the body the server gets."""

    max_size: int = field("Bytes at most; 0 is none.", 0, minimum=0, format="int32")


@dataclass(frozen=True, slots=True)
class HTTPExternalAuthFilter:
    """A server that is asked whether a request may pass."""

    protocol: ExternalAuthProtocol = field("What it speaks.", ExternalAuthProtocol.HTTP, required=True)
    backend_ref: BackendObjectReference = field("The server.", BackendObjectReference(), required=True)
    grpc: GRPCAuthConfig | None = field("Settings for GRPC.", None)
    http: HTTPAuthConfig | None = field("Settings for HTTP.", None)
    forward_body: ForwardBodyConfig | None = field("Tell it the body as well.", None)

    RULES = (
        Rule(
            "has(self.grpc) == (self.protocol == 'GRPC')",
            "grpc belongs to the protocol GRPC, and only there",
            lambda given: ("grpc" in given) == (given.get("protocol") is ExternalAuthProtocol.GRPC),
            "grpc",
        ),
        Rule(
            "has(self.http) == (self.protocol == 'HTTP')",
            "http belongs to the protocol HTTP, and only there",
            lambda given: ("http" in given) == (given.get("protocol") is ExternalAuthProtocol.HTTP),
            "http",
        ),
    )
