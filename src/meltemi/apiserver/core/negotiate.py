"""What form an answer takes: the `Accept` header of Kubernetes' clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from meltemi.apiserver.core.discovery import Aggregated

Form = Literal["object", "table", "partial"]
JSON: Final = "application/json"
_ANY: Final = {JSON, "application/*", "*/*", "application/json;stream=watch"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One acceptable answer: its form, and the content type that says so."""

    form: Form
    content_type: str = JSON


def _offers(header: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for part in header.split(",")[:32]:
        kind, *rest = (piece.strip() for piece in part.split(";"))
        found.append((kind, dict(piece.split("=", 1) for piece in rest if "=" in piece)))
    return found


def answer(header: str) -> Accepted | None:
    """Return the first offer of an Accept header that is spoken here; None when there is none."""
    if not header.strip():
        return Accepted("object")
    for kind, parameters in _offers(header):
        if kind not in _ANY:
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return Accepted("object")
        if parameters.get("g") != "meta.k8s.io" or parameters.get("v") not in {"v1", "v1beta1"}:
            continue
        suffix = f";as={wanted};v={parameters['v']};g=meta.k8s.io"
        if wanted == "Table":
            return Accepted("table", JSON + suffix)
        if wanted in {"PartialObjectMetadata", "PartialObjectMetadataList"}:
            return Accepted("partial", JSON + suffix)
    return None


def discovery(header: str) -> Aggregated | None:
    """Return the aggregated form that a client of `/api` and `/apis` wants first; None for the old documents."""
    for kind, parameters in _offers(header):
        if kind not in _ANY:
            continue
        if parameters.get("as") == "APIGroupDiscoveryList" and parameters.get("g") == "apidiscovery.k8s.io":
            if parameters.get("v") == "v2":
                return "v2"
            if parameters.get("v") == "v2beta1":
                return "v2beta1"
        elif "as" not in parameters:
            return None
    return None


def discovery_type(form: Aggregated) -> str:
    """Return the content type of an aggregated document; clients compare it literally."""
    return f"{JSON};g=apidiscovery.k8s.io;v={form};as=APIGroupDiscoveryList"
