"""What a source of derived Gateways and VirtualServices is: see `derived`, which has the table of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meltemi.api.diagnostics import Ref
from meltemi.api.kind import Object
from meltemi.api.networking import Gateway, VirtualService
from meltemi.query import Db

Key = tuple[str, str]
"""Namespace and name."""

SEMANTICS = "internal.istio.io/route-semantics"
"""Annotation of a derived VirtualService that says whose rules its routes go by, as in Istio."""
SEGMENTED = ("ingress", "gateway")
"""Values of it with which prefixes of paths end where a segment of the path does."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """One source of derived values. `mark` is in the names of all of its values, and of no others'.

    `refs` names every object that a VirtualService was made of: by its key, in the order that they count.
    """

    mark: str
    gateways: Callable[[Db], tuple[Key, ...]]
    gateway: Callable[[Db, str, str], Object[Gateway] | None]
    virtual_services: Callable[[Db], tuple[Key, ...]]
    virtual_service: Callable[[Db, str, str], Object[VirtualService] | None]
    refs: Callable[[Db, str, str], tuple[Ref, ...]]
