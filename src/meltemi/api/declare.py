"""How a field of the API is declared: a dataclass field whose metadata says what its type cannot.

    @dataclass(frozen=True, slots=True)
    class Destination:
        host: str = field("Service to send to.", "", required=True)

Everything else derives from these declarations: strict decoding, encoding, OpenAPI, `explain`, the field ledger.
Every field has a Python default (the zero value), so that values are easily built; `required` speaks of documents.

Types that may be declared: `str`, `int`, `float`, `bool`, `bytes`, an Enum, `Duration`, `T | None`, `int | str`,
`tuple[T, ...]`, `Map[T]`, another declared dataclass, and `Json`, which is any JSON value, kept as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meltemi.api.paths import Part
from meltemi.api.values import Json

META = "meltemi"
MODERN = "modern"
"""A declared class may bear a method of this name: it says with today's fields what was said with older ones."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a field's declaration says besides its type; bounds of `items_*` hold for each member of a list or map.

    `filled` is what the API server writes where a document does not give the field, as a CRD's `default` does;
    a `fixed` field may not change once the object is there. `earlier` lists what versions say otherwise, the most
    lenient first: `((("v1alpha2",), (("required", False), ("max_items", 16))),)`.
    """

    doc: str = ""
    json: str = ""
    required: bool = False
    oneof: str = ""
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    items_min_length: int | None = None
    items_max_length: int | None = None
    pattern: str = ""
    format: str = ""
    deprecated: str = ""
    versions: tuple[str, ...] = ()
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    filled: Json | None = None
    fixed: bool = False
    earlier: tuple[tuple[tuple[str, ...], tuple[tuple[str, Any], ...]], ...] = ()


RULES = "RULES"
"""A declared class may bear a tuple of `Rule` of this name: what its fields must be to each other."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the fields of a value must be to each other, as a CRD's CEL rule and for our own decoding.

    `cel` is `x-kubernetes-validations[].rule` with `self` for the value; `message` is told when it does not hold.
    `holds` gets the fields that the document gives (by Python name, decoded), so that a field that is given with its
    zero value differs from one that is not, as `has(self.x)` does. `at` is the JSON name of the field to point at;
    where that depends on the value, `culprits` gives the path below it of each part that breaks the rule.
    """

    cel: str
    message: str
    holds: Callable[[Mapping[str, Any]], bool]
    at: str = ""
    culprits: Callable[[Mapping[str, Any]], Iterable[tuple[Part, ...]]] | None = None


def each(cel: str, message: str, culprits: Callable[[Mapping[str, Any]], Iterable[tuple[Part, ...]]]) -> Rule:
    """Declare a rule that holds where no part of the value breaks it."""
    return Rule(cel, message, lambda given: not any(True for _ in culprits(given)), culprits=culprits)


def field(doc: str, default: Any, **more: Any) -> Any:
    """Declare a field: its text, its Python default, and whatever else `Meta` holds."""
    return dataclasses.field(default=default, metadata={META: Meta(doc=doc, **more)})


def meta_of(declared: dataclasses.Field[Any]) -> Meta:
    """Give what a field declares; an undeclared field has the empty Meta."""
    found = declared.metadata.get(META)
    return found if isinstance(found, Meta) else Meta()


def at_version(meta: Meta, version: str) -> Meta:
    """Give what a field declares in a version; the most lenient it ever declared where none is named."""
    for versions, bounds in meta.earlier:
        if not version or version in versions:
            return dataclasses.replace(meta, **dict(bounds))
    return meta


def json_name(name: str) -> str:
    """Turn `http_only_as` into `httpOnlyAs`, as proto JSON does."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
