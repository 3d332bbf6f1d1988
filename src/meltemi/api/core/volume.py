"""PersistentVolume and PersistentVolumeClaim: storage that samples ask for; nothing of the mesh reads it."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind

_AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")


@dataclass(frozen=True, slots=True)
class PersistentVolume:
    """A piece of storage."""

    storage_class_name: str = field("Class of the storage.", "")


PERSISTENT_VOLUME: Kind[PersistentVolume] = Kind(
    name="PersistentVolume",
    group="",
    versions=("v1",),
    plural="persistentvolumes",
    singular="persistentvolume",
    short=("pv",),
    namespaced=False,
    model=PersistentVolume,
    columns=(_AGE,),
    doc="A piece of storage.",
)


@dataclass(frozen=True, slots=True)
class PersistentVolumeClaim:
    """A wish for storage."""

    volume_name: str = field("The volume that it has got.", "")
    storage_class_name: str = field("Class of the storage.", "")


PERSISTENT_VOLUME_CLAIM: Kind[PersistentVolumeClaim] = Kind(
    name="PersistentVolumeClaim",
    group="",
    versions=("v1",),
    plural="persistentvolumeclaims",
    singular="persistentvolumeclaim",
    short=("pvc",),
    model=PersistentVolumeClaim,
    columns=(_AGE,),
    doc="A wish for storage.",
)
