"""Services as the client's kinds of config.istio.io name them, and references to objects."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class IstioService:
    """A service, by its short name or by its whole name."""

    name: str = field("Short name of the service.", "")
    namespace: str = field("Its namespace; the object's if empty.", "")
    domain: str = field("Suffix of its whole name; the mesh's if empty.", "")
    service: str = field("Whole name of the service, instead of the others; `*` is every service.", "")
    labels: Map[str] = field("Labels of a part of its workloads.", EMPTY)


@dataclass(frozen=True, slots=True)
class SpecReference:
    """An object that is bound to services."""

    name: str = field("Name of the object.", "", required=True)
    namespace: str = field("Its namespace; that of the binding if empty.", "")
