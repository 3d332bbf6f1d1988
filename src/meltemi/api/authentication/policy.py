"""Policy and MeshPolicy: how callers prove who they are (authentication.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Kind


class MutualTlsMode(Enum):
    """What is accepted of callers."""

    STRICT = 0
    PERMISSIVE = 1


class PrincipalBinding(Enum):
    """Whose identity is the request's."""

    USE_PEER = 0
    USE_ORIGIN = 1


@dataclass(frozen=True, slots=True)
class MutualTls:
    """Mutual TLS with Istio's certificates."""

    allow_tls: bool = field("Plain text is accepted too.", False, deprecated="use mode: PERMISSIVE")
    mode: MutualTlsMode = field("What is accepted.", MutualTlsMode.STRICT)


@dataclass(frozen=True, slots=True)
class Jwt:
    """Tokens of an issuer."""

    issuer: str = field("Who issued the token.", "")
    audiences: tuple[str, ...] = field("Whom it is for; the service's own names if empty.", ())
    jwks_uri: str = field("Where the issuer's keys are; found by OpenID discovery if empty.", "")
    jwt_headers: tuple[str, ...] = field("Headers that bear the token.", ())
    jwt_params: tuple[str, ...] = field("Query parameters that bear the token.", ())


@dataclass(frozen=True, slots=True)
class PeerAuthenticationMethod:
    """How the calling workload may prove who it is."""

    mtls: MutualTls | None = field("By mutual TLS.", None, oneof="params")
    jwt: Jwt | None = field("By a token.", None, oneof="params")


@dataclass(frozen=True, slots=True)
class OriginAuthenticationMethod:
    """How the user may prove who they are."""

    jwt: Jwt | None = field("By a token.", None)


@dataclass(frozen=True, slots=True)
class PortSelector:
    """A port by its number or name."""

    number: int | None = field("The number.", None, oneof="port", format="uint32")
    name: str | None = field("The name.", None, oneof="port")


@dataclass(frozen=True, slots=True)
class TargetSelector:
    """A service that a policy is for."""

    name: str = field("Short name of the service, in the policy's namespace.", "", required=True)
    ports: tuple[PortSelector, ...] = field("Ports it is for; all if empty.", ())


@dataclass(frozen=True, slots=True)
class Policy:
    """How callers prove who they are; the narrowest policy counts alone."""

    targets: tuple[TargetSelector, ...] = field("Services it is for; the whole scope if empty.", ())
    peers: tuple[PeerAuthenticationMethod, ...] = field("Ways for the calling workload; one must do.", ())
    peer_is_optional: bool = field("Accept calling workloads that prove nothing.", False)
    origins: tuple[OriginAuthenticationMethod, ...] = field("Ways for the user; one must do.", ())
    origin_is_optional: bool = field("Accept users that prove nothing.", False)
    principal_binding: PrincipalBinding = field("Whose identity is the request's.", PrincipalBinding.USE_PEER)


POLICY: Kind[Policy] = Kind(
    name="Policy",
    group="authentication.istio.io",
    versions=("v1alpha1",),
    plural="policies",
    singular="policy",
    categories=("istio-io", "authentication-istio-io"),
    model=Policy,
    doc="How callers of a namespace's services prove who they are (Istio 1.0).",
)
MESH_POLICY: Kind[Policy] = Kind(
    name="MeshPolicy",
    group="authentication.istio.io",
    versions=("v1alpha1",),
    plural="meshpolicies",
    singular="meshpolicy",
    categories=("istio-io", "authentication-istio-io"),
    namespaced=False,
    model=Policy,
    doc="How callers of all the mesh's services prove who they are (Istio 1.0).",
)
