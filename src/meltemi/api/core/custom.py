"""CustomResourceDefinition (apiextensions.k8s.io), typed for what analysis reads: names, versions, annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.declare import field
from meltemi.api.kind import Column, Kind


@dataclass(frozen=True, slots=True)
class Names:
    """What objects of the kind are called."""

    plural: str = field("In paths.", "", required=True)
    kind: str = field("In documents.", "", required=True)
    singular: str = field("For one.", "")
    short_names: tuple[str, ...] = field("Abbreviations.", ())
    categories: tuple[str, ...] = field("Groups of kinds, such as `all`.", ())


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the kind."""

    name: str = field("Its name.", "", required=True)
    served: bool = field("Whether it can be read and written.", False, required=True)
    storage: bool = field("Whether objects are kept in it.", False, required=True)
    deprecated: bool = field("Whether it will go away.", False)


@dataclass(frozen=True, slots=True)
class CustomResourceDefinition:
    """A kind that is not Kubernetes' own."""

    group: str = field("Its group.", "", required=True)
    names: Names = field("Its names.", Names(), required=True)
    scope: str = field("Cluster or Namespaced.", "", required=True)
    versions: tuple[Version, ...] = field("Its versions.", (), required=True)


CUSTOM_RESOURCE_DEFINITION: Kind[CustomResourceDefinition] = Kind(
    name="CustomResourceDefinition",
    group="apiextensions.k8s.io",
    versions=("v1",),
    plural="customresourcedefinitions",
    singular="customresourcedefinition",
    short=("crd", "crds"),
    categories=("api-extensions",),
    namespaced=False,
    model=CustomResourceDefinition,
    columns=(Column("Created At", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="A kind that is not Kubernetes' own.",
)

KINDS: Final[tuple[Kind[Any], ...]] = (CUSTOM_RESOURCE_DEFINITION,)
