"""Attributemanifest: which attributes there are, and their types (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.value_type import ValueType
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class AttributeInfo:
    """An attribute."""

    description: str = field("What it says.", "")
    value_type: ValueType = field("Its type.", ValueType.VALUE_TYPE_UNSPECIFIED)


@dataclass(frozen=True, slots=True)
class AttributeManifest:
    """Attributes that one component produces."""

    revision: str = field("Revision of the list.", "")
    name: str = field("Component that produces them.", "")
    attributes: Map[AttributeInfo] = field("Attributes by their name.", EMPTY)


ATTRIBUTE_MANIFEST: Kind[AttributeManifest] = declared(
    "attributemanifest",
    "attributemanifests",
    AttributeManifest,
    "Attributes that a component of the mesh produces.",
)
