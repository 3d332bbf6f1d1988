"""Namespace: where names are unique, and what settings hold for."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a namespace's author may say."""

    finalizers: tuple[str, ...] = field("Who must clean up before it is gone.", ())


NAMESPACE: Kind[Namespace] = Kind(
    name="Namespace",
    group="",
    versions=("v1",),
    plural="namespaces",
    singular="namespace",
    short=("ns",),
    namespaced=False,
    model=Namespace,
    columns=(
        Column("Status", "string", ".status.phase", "Whether it is in use or being deleted."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Where names are unique, and what settings hold for.",
)
