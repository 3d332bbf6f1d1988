"""Kinds of security.istio.io: the spec of each."""

from meltemi.api.security.peer_authentication import MutualTLS, MutualTLSMode, PeerAuthentication

__all__ = ["MutualTLS", "MutualTLSMode", "PeerAuthentication"]
