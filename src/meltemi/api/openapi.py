"""OpenAPI v3 of the kinds: what `/openapi/v3`, CRDs, `explain`, strategic merge and server-side apply derive from."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from meltemi.api import registry
from meltemi.api.compiled import Field, fields_at, is_int_or_string, needs_fields, unwrapped
from meltemi.api.declare import RULES, Meta
from meltemi.api.duration import Duration
from meltemi.api.kind import Alias, Kind
from meltemi.api.kubernetes.schemas import PREFIX, SCHEMAS, by_kind
from meltemi.api.scalars import INT_OR_STRING, INTEGERS
from meltemi.api.values import Json, Map

Schema = dict[str, Any]

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META: Final = f"{_META}ObjectMeta"
LIST_META: Final = f"{_META}ListMeta"
STATUS: Final = f"{_META}Status"
DELETE_OPTIONS: Final = f"{_META}DeleteOptions"

_NATIVE: Final = by_kind()

_INT_OR_STRING: Final[Schema] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
_CONDITION: Final[Schema] = {
    "type": "object",
    # A key of a list must be given.
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "description": "What it is about."},
        "status": {"type": "string", "description": "True, False or Unknown."},
        "reason": {"type": "string", "description": "One word."},
        "message": {"type": "string", "description": "A sentence."},
        "lastProbeTime": {"type": "string", "format": "date-time"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "observedGeneration": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
        },
    },
}
# Istio's status of all its kinds: lists are keyed so that several writers each own their condition.
_STATUS: Final[Schema] = {
    "type": "object",
    "description": "What the mesh reports of the object.",
    "properties": {
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "validationMessages": {
            "type": "array",
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
        "observedGeneration": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
        },
    },
    "x-kubernetes-preserve-unknown-fields": True,
}


def definition_name(kind: Kind[Any], version: str) -> str:
    """Name of a kind's definition, such as `io.k8s.api.core.v1.Pod` or `io.istio.networking.v1.VirtualService`."""
    native = _NATIVE.get((kind.group, version, kind.name))
    if native is not None:
        return native
    reverse = ".".join(reversed(kind.group.split(".")))
    return f"{reverse}.{version}.{kind.name}"


def definitions() -> Mapping[str, Schema]:
    """Give every definition by name, each made when it is first asked for; `$ref` is `#/components/schemas/NAME`.

    The definition of a kind bears `x-kubernetes-group-version-kind`; lists bear `x-kubernetes-list-type`,
    `-list-map-keys`, `-patch-merge-key`, `-patch-strategy`. The values are shared: do not change them.
    """
    return _DEFINITIONS


def schema(kind: Kind[Any], version: str) -> Schema:
    """Give the definition of one kind; references point into `definitions()`."""
    return _DEFINITIONS[definition_name(kind, version)]


def is_native(kind: Kind[Any]) -> bool:
    """Say whether a kind is one of Kubernetes' own, whose schema is distilled and which no CRD defines."""
    today = kind.of if isinstance(kind, Alias) else kind
    return (today.group, today.storage_version, today.name) in _NATIVE


def structural_schema(kind: Kind[Any], version: str) -> Schema:
    """Give the schema as a CRD has it: without references, without `metadata`, rules as CEL."""
    spec = _model(kind.model, version)
    properties: Schema = (
        dict(spec["properties"]) if kind.body else {"spec": {**spec, "description": kind.doc}}
    )
    if kind.has_status:
        properties["status"] = _STATUS if kind.status is None else _status(kind.status, version)
    made: Schema = {"type": "object", "properties": properties}
    if kind.doc:
        made["description"] = kind.doc
    if not kind.body and needs_fields(kind.model):
        made["required"] = ["spec"]
    return made


def _status(model: type[Any], version: str) -> Schema:
    """Give the schema of a status of a kind's own; it begins with what its fields are filled with."""
    made = _model(model, version)
    filled = {
        name: field["default"]
        for name, field in made["properties"].items()
        if field.get("default") is not None
    }
    return {**made, "default": filled} if filled else made


def _definition(kind: Kind[Any], version: str) -> Schema:
    if isinstance(kind, Alias) and kind.model is kind.of.model:
        return _renamed(kind, version)
    made = structural_schema(kind, version)
    if isinstance(kind, Alias) and kind.has_status:
        made["properties"]["status"] = schema(kind.of, kind.of.storage_version)["properties"]["status"]
    made["properties"] = {
        "apiVersion": {"type": "string", "description": "Group and version of the kind."},
        "kind": {"type": "string", "description": "Name of the kind."},
        # A bare $ref may have no siblings; `explain` looks through allOf.
        "metadata": {"allOf": [{"$ref": PREFIX + OBJECT_META}], "description": "Name, labels and the like."},
        **made["properties"],
    }
    made["x-kubernetes-group-version-kind"] = [{"group": kind.group, "version": version, "kind": kind.name}]
    return made


def _renamed(alias: Alias[Any], version: str) -> Schema:
    """Give the definition of an alias whose form is today's: what is needed today, it may leave out."""
    today = schema(alias.of, alias.of.storage_version)
    spec = _DEFINITIONS[today["properties"]["spec"]["$ref"].removeprefix(PREFIX)]
    properties = {
        **today["properties"],
        "apiVersion": {"type": "string"},
        "spec": {k: v for k, v in spec.items() if k != "required"},
    }
    return {
        **today,
        "properties": properties,
        "x-kubernetes-group-version-kind": [{"group": alias.group, "version": version, "kind": alias.name}],
    }


def _model(model: type[Any], version: str) -> Schema:
    """Give the schema of a declared dataclass."""
    fields = fields_at(model, version)
    made: Schema = {"type": "object", "properties": {field.json: _field(field, version) for field in fields}}
    if model.__doc__:
        made["description"] = model.__doc__.strip().split("\n")[0]
    required = [field.json for field in fields if field.meta.required]
    if required:
        made["required"] = required
    rules = [{"rule": rule.cel, "message": rule.message} for rule in getattr(model, RULES, ())]
    if rules:
        made["x-kubernetes-validations"] = rules
    return made | _oneofs(fields)


def _oneofs(fields: tuple[Field, ...]) -> Schema:
    """Give what lets at most one field of each group be given.

    No CEL: the cost of a rule is counted for as many members as a list may have, which may be any number.
    """
    groups: dict[str, list[str]] = {}
    for field in fields:
        if field.meta.oneof:
            groups.setdefault(field.meta.oneof, []).append(field.json)
    each = [_at_most_one(group) for group in groups.values() if len(group) > 1]
    return {} if not each else each[0] if len(each) == 1 else {"allOf": each}


def _at_most_one(names: list[str]) -> Schema:
    given: list[Schema] = [{"required": [name]} for name in names]
    return {"oneOf": [{"not": {"anyOf": given}}, *given]}


def _field(field: Field, version: str) -> Schema:
    made = {**_value(field.type, field.meta, version), "description": field.meta.doc}
    if field.meta.deprecated:
        made["description"] += f" Deprecated: {field.meta.deprecated}."
        made["deprecated"] = True
    if field.meta.filled is not None:
        made["default"] = field.meta.filled.value
    if field.meta.fixed:
        rule = {"rule": "self == oldSelf", "message": "Value is immutable"}
        made["x-kubernetes-validations"] = [*made.get("x-kubernetes-validations", ()), rule]
    return made


def _value(hint: Any, meta: Meta, version: str) -> Schema:
    if is_int_or_string(hint):
        return dict(_INT_OR_STRING)
    hint = unwrapped(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _list(args[0], meta, version)
    if origin is Map:
        return _map(args[0], meta, version)
    if dataclasses.is_dataclass(hint) and hint is not Duration and isinstance(hint, type):
        return _model(hint, version)
    return _scalar(hint, meta)


def _scalar(hint: Any, meta: Meta) -> Schema:
    if hint is Duration:
        made: Schema = {"type": "string"}
        if meta.minimum is not None:
            least = f"{Duration(int(meta.minimum)).milliseconds:g}ms"
            rule = f"duration(self) >= duration('{least}')"
            made["x-kubernetes-validations"] = [
                {"rule": rule, "message": f"must be a duration of at least {least}"}
            ]
        return made
    if hint is Json:
        anything: Schema = {"x-kubernetes-preserve-unknown-fields": True}
        return {"type": "object", **anything} if meta.format == "object" else anything
    if hint is bool:
        return {"type": "boolean"}
    if hint is bytes:
        return {"type": "string", "format": "byte"}
    if hint is str:
        return {"type": "string", **_bounds(minLength=meta.min_length, maxLength=meta.max_length)} | (
            {key: value for key in ("pattern", "format") if (value := getattr(meta, key))}
        )
    if hint is int:
        return _integer(meta)
    if hint is float:
        return {"type": "number", "format": "double", **_bounds(minimum=meta.minimum, maximum=meta.maximum)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [member.name for member in hint]}
    raise TypeError(f"{hint} has no schema")


def _integer(meta: Meta) -> Schema:
    if meta.format == INT_OR_STRING:
        return dict(_INT_OR_STRING)
    made: Schema = {"type": "integer"}
    if meta.format in ("int32", "int64"):
        made["format"] = meta.format
    elif meta.format == "uint32":
        made |= dict(zip(("minimum", "maximum"), INTEGERS["uint32"], strict=True))
    elif meta.format == "uint64":
        # The upper bound does not fit into what JSON readers take for an integer.
        made["minimum"] = 0
    return made | _bounds(minimum=meta.minimum, maximum=meta.maximum)


def _list(member: Any, meta: Meta, version: str) -> Schema:
    made: Schema = {"type": "array", "items": _value(member, _of_items(meta), version)}
    made |= _bounds(minItems=meta.min_items, maxItems=meta.max_items)
    if meta.list_type:
        made["x-kubernetes-list-type"] = meta.list_type
        if meta.list_keys:
            made["x-kubernetes-list-map-keys"] = list(meta.list_keys)
    return made


def _map(member: Any, meta: Meta, version: str) -> Schema:
    made: Schema = {"type": "object", "additionalProperties": _value(member, _of_items(meta), version)}
    return made | _bounds(minProperties=meta.min_items, maxProperties=meta.max_items)


def _of_items(meta: Meta) -> Meta:
    return Meta(
        min_length=meta.items_min_length,
        max_length=meta.items_max_length,
        minimum=meta.minimum,
        maximum=meta.maximum,
        pattern=meta.pattern,
        format=meta.format,
    )


def _bounds(**bounds: float | None) -> Schema:
    found = {name: value for name, value in bounds.items() if value is not None}
    return {name: int(value) if float(value).is_integer() else value for name, value in found.items()}


class _Definitions(Mapping[str, Schema]):
    """All definitions; those of our own kinds are made when they are first read, each a constant of its declaration."""

    def __init__(self) -> None:
        self._made = dict(SCHEMAS)

    def __getitem__(self, name: str) -> Schema:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = _definition(*_named(name))
        return made

    def __iter__(self) -> Iterator[str]:
        yield from SCHEMAS
        for kind in (*registry.KINDS, *registry.ALIASES):
            for version in kind.versions:
                if (kind.group, version, kind.name) not in _NATIVE:
                    yield definition_name(kind, version)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _named(definition: str) -> tuple[Kind[Any], str]:
    """Give the kind and version of a definition that is none of Kubernetes'; KeyError where there is none."""
    *reverse, version, name = definition.split(".")
    kind = registry.find(".".join(reversed(reverse)), version, name)
    if kind is None:
        raise KeyError(definition)
    return kind, version


_DEFINITIONS: Final = _Definitions()
