"""What the mesh's settings say of every listener, and of TLS at either end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meltemi.api.duration import Duration, seconds
from meltemi.api.networking.gateway import TLSProtocol
from meltemi.envoy.listeners import Paths
from meltemi.envoy.sockets import MeshTls
from meltemi.galley.validate.gateway import CIPHERS
from meltemi.galley.validate.mesh_config import CURVES
from meltemi.model import settings
from meltemi.query import Db

_PATHS: Final = {"DEFAULT": Paths.BASE, **{one.name: one for one in Paths}}


def paths(q: Db) -> Paths:
    """Return what is done to paths; Istio's default resolves dots (`ProxyPathNormalization`)."""
    return _PATHS.get(settings.PATH_NORMALIZATION.read(q), Paths.BASE)


def detection_timeout(q: Db) -> Duration:
    """Return how long a listener waits for a client's first bytes, to know what it speaks."""
    return seconds(settings.PROTOCOL_DETECTION_TIMEOUT.read(q))


def mesh_tls(q: Db) -> MeshTls:
    """Return what servers of mutual TLS within the mesh take; ciphers that Envoy does not know are left out.

    Clients are of the mesh's trust domain or an alias of it (pilot/pkg/security/authn: TrustDomainsForValidation).
    """
    domains = (settings.TRUST_DOMAIN.read(q), *settings.TRUST_DOMAIN_ALIASES.read(q))
    return MeshTls(
        only_newest=settings.MESH_TLS_LOWEST.read(q) == "TLSV1_3",
        ciphers=known_ciphers(settings.MESH_TLS_CIPHERS.read(q)),
        domains=tuple(dict.fromkeys(domains)),
    )


@dataclass(frozen=True, slots=True)
class TlsDefaults:
    """What TLS that is not the mesh's own takes, where nothing else says; `lowest` is for servers only."""

    lowest: TLSProtocol
    ciphers: tuple[str, ...]
    curves: tuple[str, ...]


def tls_defaults(q: Db) -> TlsDefaults:
    """Return what gateways and clients of the outside take; ciphers and curves unknown to Envoy are left out."""
    newest = settings.TLS_LOWEST.read(q) == "TLSV1_3"
    return TlsDefaults(
        TLSProtocol.TLSV1_3 if newest else TLSProtocol.TLSV1_2,
        known_ciphers(settings.TLS_CIPHERS.read(q)),
        tuple(dict.fromkeys(curve for curve in settings.TLS_CURVES.read(q) if curve in CURVES)),
    )


def known_ciphers(listed: tuple[str, ...]) -> tuple[str, ...]:
    """List the ciphers that Envoy knows, each once."""
    return tuple(dict.fromkeys(suite for suite in listed if suite in CIPHERS))
