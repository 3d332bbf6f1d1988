"""ReferenceGrant: who of other namespaces may refer to objects of this one (gateway.networking.k8s.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.gatewayapi import words
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class ReferenceGrantFrom:
    """Objects that may refer."""

    group: str = field("Group of their kind; empty is Kubernetes' core.", "", required=True, **words.GROUP)
    kind: str = field("Their kind.", "", required=True, **words.KIND)
    namespace: str = field("Their namespace.", "", required=True, **words.NAMESPACE)


@dataclass(frozen=True, slots=True)
class ReferenceGrantTo:
    """Objects that may be referred to."""

    group: str = field("Group of their kind; empty is Kubernetes' core.", "", required=True, **words.GROUP)
    kind: str = field("Their kind.", "", required=True, **words.KIND)
    name: str = field("One object; all of the kind if empty.", "", **words.NAME)


@dataclass(frozen=True, slots=True)
class ReferenceGrant:
    """Who of other namespaces may refer to objects of this one."""

    from_: tuple[ReferenceGrantFrom, ...] = field(
        "Who may refer.", (), json="from", required=True, min_items=1, max_items=16, **words.WHOLE
    )
    to: tuple[ReferenceGrantTo, ...] = field(
        "What may be referred to.", (), required=True, min_items=1, max_items=16, **words.WHOLE
    )


REFERENCE_GRANT: Kind[ReferenceGrant] = Kind(
    name="ReferenceGrant",
    group=words.GROUP_NAME,
    versions=("v1", "v1beta1"),
    storage="v1beta1",
    plural="referencegrants",
    singular="referencegrant",
    short=("refgrant",),
    categories=("gateway-api",),
    has_status=False,
    model=ReferenceGrant,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="Who of other namespaces may refer to objects of this one.",
)
