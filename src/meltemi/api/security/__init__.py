"""Kinds of security.istio.io: the spec of each."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.security.authorization_policy import AUTHORIZATION_POLICY, AuthorizationPolicy
from meltemi.api.security.peer_authentication import (
    PEER_AUTHENTICATION,
    MutualTLS,
    MutualTLSMode,
    PeerAuthentication,
)
from meltemi.api.security.request_authentication import REQUEST_AUTHENTICATION, RequestAuthentication

KINDS: Final[tuple[Kind[Any], ...]] = (PEER_AUTHENTICATION, REQUEST_AUTHENTICATION, AUTHORIZATION_POLICY)

__all__ = [
    "KINDS",
    "AuthorizationPolicy",
    "MutualTLS",
    "MutualTLSMode",
    "PeerAuthentication",
    "RequestAuthentication",
]
