"""Kinds of security.istio.io: the spec of each."""

from typing import Any, Final

from meltemi.api.kind import Kind
from meltemi.api.security.peer_authentication import (
    PEER_AUTHENTICATION,
    MutualTLS,
    MutualTLSMode,
    PeerAuthentication,
)

KINDS: Final[tuple[Kind[Any], ...]] = (PEER_AUTHENTICATION,)

__all__ = ["KINDS", "MutualTLS", "MutualTLSMode", "PeerAuthentication"]
