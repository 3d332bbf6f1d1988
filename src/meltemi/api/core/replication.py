"""ReplicationController: the elder of ReplicaSet, which some samples still use."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.core.template import PodTemplate
from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class ReplicationController:
    """A number of Pods that are alike."""

    replicas: int = field("How many Pods are wanted.", 1)
    selector: Map[str] = field("Labels that tell its Pods.", EMPTY)
    template: PodTemplate | None = field("What its Pods are.", None)


REPLICATION_CONTROLLER: Kind[ReplicationController] = Kind(
    name="ReplicationController",
    group="",
    versions=("v1",),
    plural="replicationcontrollers",
    singular="replicationcontroller",
    short=("rc",),
    categories=("all",),
    model=ReplicationController,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="A number of Pods that are alike.",
)
