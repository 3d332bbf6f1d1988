"""Rules between fields, of all kinds: CEL, as an API server evaluates it in a CRD, agrees with our own decoding."""

from __future__ import annotations

import base64
import dataclasses
import enum
import re
import string
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api import cel

from meltemi.api.compiled import STRICT, Field, fields_of, is_int_or_string, unwrapped
from meltemi.api.declare import RULES, Meta, Rule
from meltemi.api.duration import Duration
from meltemi.api.registry import KINDS
from meltemi.api.scalars import INTEGERS
from meltemi.api.values import Json, Map

CHECKED = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
EXAMPLES = (60, 300)
"""How many documents are tried, and then how many until a rule was broken as well as kept."""
SIGNS = string.ascii_letters + string.digits + string.punctuation
WORDS = ("", "a", "b", "*", "a*", "a/b", "/", "A", "1.2.3.4", "a" * 253 + "/b")
# What documents of a few lines do not break.
SELDOM = ("at most 128 matches in all its rules", "of several references to one")


def models(hint: Any, seen: set[Any]) -> Iterator[type[Any]]:
    """Give every declared dataclass within a type, each once."""
    hint = unwrapped(hint)
    for inner in typing.get_args(hint):
        yield from models(inner, seen)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in seen:
        seen.add(hint)
        yield hint
        for field in fields_of(hint):
            yield from models(field.type, seen)


def with_rules() -> list[tuple[type[Any], str, Rule]]:
    seen: set[Any] = set()
    found = [(model, kind.storage_version) for kind in KINDS for model in models(kind.model, seen)]
    # Kinds that share a rule share what it looks at: once is enough.
    rules = {
        id(rule): (model, version, rule) for model, version in found for rule in getattr(model, RULES, ())
    }
    return list(rules.values())


def literals(rule: Rule) -> list[str]:
    """Give the texts that a rule speaks of, more often than what is nearly the same."""
    texts = {one or other for one, other in re.findall(r"'([^']*)'|\"([^\"]*)\"", rule.cel)}
    texts |= {word for text in texts for word in re.findall(r"\w+", text)}
    near = {made for text in texts for made in (f"{text}a", f"a{text}", f"{text}/")}
    return sorted(texts) * 4 + sorted(near | set(WORDS))


class Documents:
    """Makes documents of a model: what must be there and, at times or if `full`, what a rule speaks of."""

    def __init__(self, rule: Rule, version: str, *, full: bool) -> None:
        self._version, self._full = version, full
        self._texts = literals(rule)
        self._words = st.sampled_from(self._texts)
        self._named = set(re.findall(r"\.(\w+)", rule.cel))

    def of(self, hint: Any, meta: Meta, depth: int = 0) -> st.SearchStrategy[Any]:
        hint = unwrapped(hint)
        if is_int_or_string(hint):
            return st.one_of(st.integers(1, 9), self._words)
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin is tuple or origin is Map:
            most = min(3 if depth < 4 else 1, 3 if meta.max_items is None else meta.max_items)
            least = min(meta.min_items or (1 if self._full else 0), most)
            member = self.of(args[0], items(meta), depth + 1)
            if origin is Map:
                return st.dictionaries(self._words, member, min_size=least, max_size=most)
            return st.lists(member, min_size=least, max_size=most)
        if dataclasses.is_dataclass(hint) and hint not in (Duration, Json) and isinstance(hint, type):
            return self.model(hint, depth)
        return self._scalar(hint, meta)

    def model(self, model: type[Any], depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
        fields = [one for one in fields_of(model) if self._wanted(one, depth)]
        made = {one.json: self.of(one.type, one.meta, depth + 1) for one in fields}
        needed = {one.json for one in fields if one.meta.required or (self._full and not one.meta.oneof)}
        return st.fixed_dictionaries(
            {name: value for name, value in made.items() if name in needed},
            optional={name: value for name, value in made.items() if name not in needed},
        )

    def _wanted(self, field: Field, depth: int) -> bool:
        if field.meta.versions and self._version not in field.meta.versions:
            return False
        return field.meta.required or (depth < 6 and escaped(field.json) in self._named)

    def _scalar(self, hint: Any, meta: Meta) -> st.SearchStrategy[Any]:
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return st.sampled_from([member.name for member in hint])
        if hint is int:
            low, high = INTEGERS.get(meta.format, INTEGERS["int64"])
            low = low if meta.minimum is None else int(meta.minimum)
            high = high if meta.maximum is None else int(meta.maximum)
            return st.sampled_from(sorted({low, low + 1, min(max(low, 80), high), high}))
        simple: dict[Any, st.SearchStrategy[Any]] = {
            str: self._string(meta),
            float: st.sampled_from([float(meta.minimum or 0), 1.5]),
            bool: st.booleans(),
            bytes: st.sampled_from([base64.b64encode(text).decode() for text in (b"", b"a")]),
            Duration: st.sampled_from(["1s", "1.5s", "1h"]),
            Json: st.sampled_from([{}, {"a": 1}]),
        }
        return simple[hint]

    def _string(self, meta: Meta) -> st.SearchStrategy[str]:
        least, most = meta.min_length or 0, 1000 if meta.max_length is None else meta.max_length
        pattern = re.compile(meta.pattern, re.ASCII)
        words = [word for word in self._texts if least <= len(word) <= most and pattern.search(word)]
        if not meta.pattern:
            return st.sampled_from(words)
        made = st.from_regex(pattern, alphabet=SIGNS).filter(
            lambda text: least <= len(text) <= most and "\n" not in text
        )
        known = st.sampled_from(words) if words else made
        return st.one_of(known, known, known, made)


def items(meta: Meta) -> Meta:
    """Give what a declaration says of the members of a list or map."""
    return dataclasses.replace(
        meta,
        min_length=meta.items_min_length,
        max_length=meta.items_max_length,
        min_items=None,
        max_items=None,
    )


def escaped(name: str) -> str:
    """Write a field's name as the rules of CRDs have it."""
    return f"__{name}__" if name in cel.RESERVED else name


def as_cel(hint: Any, value: Any) -> Any:
    """Write a document as rules see it: defaults filled in, names of fields escaped."""
    hint = unwrapped(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return [as_cel(args[0], item) for item in value]
    if origin is Map:
        return {key: as_cel(args[0], item) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and hint not in (Duration, Json) and isinstance(hint, type):
        fields = fields_of(hint)
        # An API server fills in defaults before it looks at rules.
        value = {one.json: one.meta.filled.value for one in fields if one.meta.filled is not None} | value
        return {escaped(one.json): as_cel(one.type, value[one.json]) for one in fields if one.json in value}
    return value


class Given:
    """Gives what a rule's `holds` gets: the fields that a document gives, by Python name, decoded."""

    def __init__(self, model: type[Any], version: str) -> None:
        self._fields = {
            field.json: (field.name, STRICT[version].value(field.type, field.meta))
            for field in fields_of(model)
        }

    def of(self, document: dict[str, Any]) -> dict[str, Any]:
        return {self._fields[key][0]: self._fields[key][1](value, []) for key, value in document.items()}


class Evaluated:
    """Says whether an API server takes a value: an evaluation that fails refuses it as well."""

    def __init__(self, rule: Rule) -> None:
        self._expression = cel.compiled(rule.cel)

    def of(self, value: Any) -> bool:
        return self._expression.eval(data={"self": value}).value() is True


def title(value: Any) -> str:
    return value.message if isinstance(value, Rule) else getattr(value, "__qualname__", value)


@pytest.mark.parametrize(("model", "version", "rule"), with_rules(), ids=title)
def test_cel_and_our_own_predicates_agree(model: type[Any], version: str, rule: Rule) -> None:
    given_by, evaluated, seen = Given(model, version), Evaluated(rule), set()
    documents = [Documents(rule, version, full=full).model(model) for full in (False, True)]

    def agree(document: dict[str, Any]) -> None:
        fields = given_by.of(document)
        holds = rule.holds(fields)
        assert evaluated.of(as_cel(model, document)) == holds
        if rule.culprits is not None:
            assert (list(rule.culprits(fields)) == []) == holds
        seen.add(holds)

    for examples in EXAMPLES:
        settings(CHECKED, max_examples=examples)(given(st.one_of(documents))(agree))()
        if seen == {True, False}:
            return
    # A rule that nothing broke was not compared.
    assert any(text in rule.message for text in SELDOM)
