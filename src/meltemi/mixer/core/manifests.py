"""Attributemanifests: the attributes that they declare."""

from __future__ import annotations

import re
from typing import Final

from meltemi.api.mixer.attributemanifest import AttributeManifest
from meltemi.api.value_type import ValueType
from meltemi.galley.validate.findings import Findings

_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def manifest(found: Findings, spec: AttributeManifest) -> None:
    """Check a manifest."""
    for name, info in spec.attributes.items():
        at = ("spec", "attributes", name)
        if not _NAME.fullmatch(name):
            found.warn(at, f'"{name}" cannot be written in an expression', "use letters, digits, _ and .")
        if info.value_type is ValueType.VALUE_TYPE_UNSPECIFIED:
            found.error((*at, "valueType"), "Required value: the type of the attribute must be given")
