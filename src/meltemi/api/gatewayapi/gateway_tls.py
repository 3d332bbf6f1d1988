"""TLS of a whole Gateway: how clients are checked, and what it shows to backends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.references import ObjectReference, SecretObjectReference
from meltemi.api.values import Json


class FrontendValidationMode(Enum):
    """What clients without a good certificate get."""

    AllowValidOnly = "AllowValidOnly"
    AllowInsecureFallback = "AllowInsecureFallback"


@dataclass(frozen=True, slots=True)
class FrontendTLSValidation:
    """How clients' certificates are checked."""

    ca_certificate_refs: tuple[ObjectReference, ...] = field(
        "Authorities that sign clients.", (), required=True, min_items=1, max_items=8, **words.WHOLE
    )
    mode: FrontendValidationMode = field(
        "What clients without a good certificate get.",
        FrontendValidationMode.AllowValidOnly,
        filled=Json.of("AllowValidOnly"),
    )


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """TLS to clients."""

    validation: FrontendTLSValidation | None = field("Clients must show certificates, checked so.", None)


@dataclass(frozen=True, slots=True)
class TLSPortConfig:
    """TLS to clients of one port."""

    port: int = field("The port.", 0, required=True, **words.PORT)
    tls: TLSConfig = field("Its TLS.", TLSConfig(), required=True)


@dataclass(frozen=True, slots=True)
class FrontendTLSConfig:
    """TLS to clients, by port."""

    default: TLSConfig = field("For all ports that are not listed.", TLSConfig(), required=True)
    per_port: tuple[TLSPortConfig, ...] = field(
        "For single ports.", (), max_items=64, list_type="map", list_keys=("port",)
    )


@dataclass(frozen=True, slots=True)
class GatewayBackendTLS:
    """TLS to backends."""

    client_certificate_ref: SecretObjectReference | None = field("Certificate that it shows.", None)


@dataclass(frozen=True, slots=True)
class GatewayTLSConfig:
    """TLS of a whole Gateway."""

    backend: GatewayBackendTLS | None = field("To backends.", None)
    frontend: FrontendTLSConfig | None = field("To clients.", None)
