"""Decoders compiled from declarations: one function per dataclass, a table of fields each.

A decoder gets a value and a list that problems go to, with paths that grow on the way up: a document without
problems pays nothing for its paths.
"""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import sys
import types
import typing
from typing import Any, Final, TypeVar

from meltemi.api import scalars
from meltemi.api.declare import MODERN, RULES, Meta, Rule, at_version, json_name, meta_of
from meltemi.api.problems import DEPRECATED, UNKNOWN_FIELD, Problem, Problems, below, nearest, shown
from meltemi.api.scalars import Decoder
from meltemi.api.values import Map

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field of a declared dataclass: its names, its type, its declaration, its Python default."""

    name: str
    json: str
    type: Any
    meta: Meta
    default: Any


class _Fields(dict[type[Any], tuple[Field, ...]]):
    """The fields of each declared dataclass: a constant of it, dear to read off its annotations."""

    def __missing__(self, model: type[Any]) -> tuple[Field, ...]:
        made = self[model] = _fields(model)
        return made


_FIELDS: Final = _Fields()


def fields_of(model: type[Any]) -> tuple[Field, ...]:
    """List the fields that documents may have; fields declared without `field()` are derived and left out."""
    return _FIELDS[model]


def _fields(model: type[Any]) -> tuple[Field, ...]:
    found = []
    for declared in dataclasses.fields(model):
        meta = meta_of(declared)
        if meta.doc:
            hint = declared.type
            if isinstance(hint, str):
                hint = eval(hint, _scope(model, declared.name))  # noqa: S307
            found.append(
                Field(declared.name, meta.json or json_name(declared.name), hint, meta, declared.default)
            )
    return tuple(found)


def _scope(model: type[Any], name: str) -> dict[str, Any]:
    """Give the names by which the type of a field is written: those of the module that declares it."""
    # Not `get_type_hints` with the class's own names: a field called `bytes` would hide the type.
    owner = next(one for one in model.__mro__ if name in inspect.get_annotations(one))
    return {**vars(builtins), **vars(sys.modules[owner.__module__])}


def fields_at(model: type[Any], version: str) -> tuple[Field, ...]:
    """List the fields that a version has, as it declares them; all fields, as leniently as any does, if it is empty."""
    return tuple(
        dataclasses.replace(field, meta=at_version(field.meta, version)) if field.meta.earlier else field
        for field in fields_of(model)
        if not field.meta.versions or not version or version in field.meta.versions
    )


def needs_fields(model: type[Any]) -> bool:
    """Say whether a value without any field would be wrong: a field must be given, or a rule asks for one."""
    return any(field.meta.required for field in fields_of(model)) or not all(
        rule.holds({}) for rule in getattr(model, RULES, ())
    )


def unwrapped(hint: Any) -> Any:
    """Strip `| None` from a type."""
    if isinstance(hint, types.UnionType):
        rest = [member for member in typing.get_args(hint) if member is not type(None)]
        return rest[0] if len(rest) == 1 else hint
    return hint


def is_int_or_string(hint: Any) -> bool:
    """Say whether a type is `int | str`, with or without None."""
    return isinstance(hint, types.UnionType) and {int, str} <= set(typing.get_args(hint))


class Compiler:
    """Makes decoders, each dataclass once. `strict` says whether unknown fields are problems.

    Fields declared for certain versions are known in those only, and in every version if `version` is empty.
    """

    def __init__(self, version: str = "", *, strict: bool) -> None:
        self._version = version
        self._strict = strict
        self._made: dict[type[Any], Decoder] = {}

    def model(self, model: type[Any]) -> Decoder:
        """Give the decoder of a declared dataclass."""
        made = self._made.get(model)
        if made is None:
            # In place before its fields are compiled, for types that contain themselves.
            def later(value: Any, problems: Problems) -> Any:
                return self._made[model](value, problems)

            self._made[model] = later
            made = self._made[model] = self._model(model)
        return made

    def value(self, hint: Any, meta: Meta) -> Decoder:
        """Give the decoder of a type."""
        if is_int_or_string(hint):
            return _int_or_string
        hint = unwrapped(hint)
        scalar = scalars.decoder(hint, meta)
        if scalar is not None:
            return scalar
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin is tuple:
            return _list(self.value(args[0], _of_items(meta)), meta)
        if origin is Map:
            return _map(self.value(args[0], _of_items(meta)), meta)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.model(hint)
        raise TypeError(f"{hint} cannot be declared in the API")

    def _model(self, model: type[Any]) -> Decoder:
        fields = fields_at(model, self._version)
        table: dict[str, tuple[str, str, Decoder]] = {}
        for field in fields:
            entry = (field.name, field.json, self.value(field.type, field.meta))
            table[field.json] = entry
            # Proto JSON reads the original names as well.
            table.setdefault(field.name.rstrip("_"), entry)
        names = tuple(field.json for field in fields)
        required = tuple((field.name, field.json) for field in fields if field.meta.required)
        after = _after(fields, tuple(getattr(model, RULES, ())))
        modern = getattr(model, MODERN, None)
        strict = self._strict

        def decode(value: Any, problems: Problems) -> Any:
            if not isinstance(value, dict):
                problems.append(Problem(f"must be an object, not {shown(value)}"))
                return model()
            given: dict[str, Any] = {}
            for key, item in value.items():
                entry = table.get(key)
                if entry is None:
                    if strict:
                        problems.append(
                            Problem(
                                f'unknown field "{key}"',
                                str(key),
                                code=UNKNOWN_FIELD,
                                hint=nearest(str(key), names),
                            )
                        )
                    continue
                if item is None:
                    continue
                name, json, inner = entry
                before = len(problems)
                if name in given:
                    problems.append(Problem(f'is given twice, as "{json}" and by its proto name'))
                given[name] = inner(item, problems)
                if len(problems) != before:
                    below(problems, before, key)
            for name, json in required:
                if name not in given:
                    problems.append(Problem("Required value: the field must be given", json))
            if after is not None:
                after(given, problems)
            made = model(**given)
            return made if modern is None else modern(made)

        return decode


def _after(fields: tuple[Field, ...], rules: tuple[Rule, ...]) -> Any:
    """Give the check of what fields are to each other; None where there is nothing to check."""
    oneofs: dict[str, list[Field]] = {}
    for field in fields:
        if field.meta.oneof:
            oneofs.setdefault(field.meta.oneof, []).append(field)
    groups = tuple(tuple((field.name, field.json) for field in group) for group in oneofs.values())
    deprecated = {
        field.name: (field.json, field.meta.deprecated) for field in fields if field.meta.deprecated
    }
    if not groups and not deprecated and not rules:
        return None

    def check(given: dict[str, Any], problems: Problems) -> None:
        for group in groups:
            found = [json for name, json in group if name in given]
            if len(found) > 1:
                problems.append(Problem(f"only one of {' and '.join(found)} may be given", found[1]))
        for rule in rules:
            if not rule.holds(given):
                places = rule.culprits(given) if rule.culprits else [(rule.at,) if rule.at else ()]
                problems.extend(Problem(rule.message, *reversed(place)) for place in places)
        if deprecated and not deprecated.keys().isdisjoint(given):
            for name in given:
                if name in deprecated:
                    json, why = deprecated[name]
                    problems.append(Problem(f"{json} is deprecated: {why}", json, code=DEPRECATED))

    return check


def _of_items(meta: Meta) -> Meta:
    """Give what a list's or map's declaration says of its members."""
    return Meta(
        min_length=meta.items_min_length,
        max_length=meta.items_max_length,
        minimum=meta.minimum,
        maximum=meta.maximum,
        pattern=meta.pattern,
        format=meta.format,
    )


def _size(value: Any, meta: Meta, problems: Problems) -> bool:
    if meta.max_items is not None and len(value) > meta.max_items:
        problems.append(Problem(f"may have at most {meta.max_items} entries, not {len(value)}"))
        return False
    if meta.min_items is not None and len(value) < meta.min_items:
        problems.append(Problem(f"should have at least {meta.min_items} entries"))
    return True


def _list(inner: Decoder, meta: Meta) -> Decoder:
    keys, is_set = meta.list_keys, meta.list_type == "set"

    def decode(value: Any, problems: Problems) -> tuple[Any, ...]:
        if not isinstance(value, list):
            problems.append(Problem(f"must be a list, not {shown(value)}"))
            return ()
        if not _size(value, meta, problems):
            return ()
        made = []
        for index, item in enumerate(value):
            before = len(problems)
            if item is None:
                problems.append(Problem("must not be null"))
            else:
                made.append(inner(item, problems))
            if len(problems) != before:
                below(problems, before, index)
        if keys:
            _unique(value, keys, problems)
        elif is_set and len(set(made)) != len(made):
            problems.extend(
                Problem(f"Duplicate value: {shown(item)}", index)
                for index, item in enumerate(value)
                if item in value[:index]
            )
        return tuple(made)

    return decode


def _unique(value: list[Any], keys: tuple[str, ...], problems: Problems) -> None:
    seen: set[tuple[str, ...]] = set()
    for index, item in enumerate(value):
        if isinstance(item, dict):
            key = tuple(str(item.get(name)) for name in keys)
            if key in seen:
                problems.append(Problem(f"Duplicate value: {', '.join(keys)} {', '.join(key)}", index))
            seen.add(key)


def _map(inner: Decoder, meta: Meta) -> Decoder:
    def decode(value: Any, problems: Problems) -> Map[Any]:
        if not isinstance(value, dict):
            problems.append(Problem(f"must be an object, not {shown(value)}"))
            return Map()
        if not _size(value, meta, problems):
            return Map()
        made = {}
        for key, item in value.items():
            before = len(problems)
            if not isinstance(key, str):
                problems.append(Problem(f"the key {shown(key)} must be a string", hint="put it in quotes"))
            elif item is None:
                problems.append(Problem("must not be null"))
            else:
                made[key] = inner(item, problems)
            if len(problems) != before:
                below(problems, before, str(key))
        return Map(made)

    return decode


def _int_or_string(value: Any, problems: Problems) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        problems.append(Problem(f"must be a number or a name, not {shown(value)}"))
        return 0
    return value


class Compilers(dict[str, Compiler]):
    """The strict compiler of each version."""

    def __missing__(self, version: str) -> Compiler:
        made = self[version] = Compiler(version, strict=True)
        return made


# Their tables fill on first use and never change after: a decoder is a constant of its dataclass and version.
STRICT: Final = Compilers()
LENIENT: Final = Compiler(strict=False)
