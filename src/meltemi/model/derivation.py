"""What a source of derived Gateways and VirtualServices is: see `derived`, which has the table of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.networking import Gateway, VirtualService
from meltemi.api.networking.gateway import ServerTLSSettings
from meltemi.query import Db

Key = tuple[str, str]
"""Namespace and name."""

SEMANTICS = "internal.istio.io/route-semantics"
"""Annotation of a derived VirtualService that says whose rules its routes go by, as in Istio."""
GATEWAY_API = "gateway"
"""The value of it for routes of the Gateway API."""
SEGMENTED = ("ingress", GATEWAY_API)
"""Values of it with which prefixes of paths end where a segment of the path does."""

PLACE = "internal.istio.io/gateway-namespace"
"""Annotation of a derived Gateway: the one namespace whose gateways serve it. Else the selector alone decides."""

UNRESOLVED = "~"
"""Host of a derived destination that is not there, or may not be referred to: no cluster is ever named so."""
CREDENTIAL = "kubernetes-gateway://"
"""Before namespace and name of a Secret, where a derived Gateway shows one wherever it is."""
REFUSED = "refused://"
"""Stands for the credential of a derived Gateway that refers to what is not there, or may not: its server is closed."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """Who signs clients, as (kind, namespace, name) of ConfigMaps and Secrets.

    `lenient` lets in as well who shows no certificate, or one that they did not sign.
    """

    sources: tuple[tuple[str, str, str], ...] = ()
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class CheckedTLS(ServerTLSSettings):
    """TLS of a derived server whose clients are known by authorities wherever they are: the source has seen to grants.

    It is a type of its own, so that nobody can write one.
    """

    known_by: Authorities = Authorities()


@dataclass(frozen=True, slots=True)
class Derivation:
    """One source of derived values. `mark` is in the names of all of its values; what somebody wrote may have it, too.

    `refs` names every object that a VirtualService was made of: by its key, in the order that they count.
    `anywhere` says that credentials of its Gateways may be in other namespaces: the source has seen to the grants.
    """

    mark: str
    gateways: Callable[[Db], tuple[Key, ...]]
    gateway: Callable[[Db, str, str], Object[Gateway] | None]
    virtual_services: Callable[[Db], tuple[Key, ...]]
    virtual_service: Callable[[Db, str, str], Object[VirtualService] | None]
    refs: Callable[[Db, str, str], tuple[Ref, ...]]
    anywhere: bool = False
