"""Label selectors (equality and sets) and field selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meltemi.apiserver.core.status import bad_request

_LABEL_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
LABEL_KEY = re.compile(_LABEL_KEY)
LABEL_VALUE = re.compile(_LABEL_VALUE)

_SET = re.compile(rf"\s*(!)?\s*({_LABEL_KEY})\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(rf"\s*({_LABEL_KEY})\s*(==|=|!=)\s*({_LABEL_VALUE})\s*")
_ORDER = re.compile(rf"\s*({_LABEL_KEY})\s*(<|>)\s*(-?\d{{1,18}})\s*")
_EXISTS = re.compile(rf"\s*(!)?\s*({_LABEL_KEY})\s*")

Operator = Literal["in", "notin", "exists", "absent", "<", ">"]
MAX_LENGTH = 16 * 1024


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels satisfy it; `notin` holds for a missing label, as in Kubernetes."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case _:
                if value is None or not re.fullmatch(r"-?\d{1,18}", value):
                    return False
                bound = int(self.values[0])
                return int(value) < bound if self.operator == "<" else int(value) > bound


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; the empty one matches all."""

    terms: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels satisfy all terms."""
        return all(term.matches(labels) for term in self.terms)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of `(path, equal, value)` over an object's fields; a missing field is the empty string."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Say whether an object satisfies all terms."""
        return all((field_value(document, path) == value) == equal for path, equal, value in self.terms)

    def exact(self, path: str) -> str | None:
        """Return the value that a path must have, if a term says so."""
        return next((value for p, equal, value in self.terms if p == path and equal), None)


_COMMON = frozenset({"metadata.name", "metadata.namespace"})
FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "secrets": frozenset({"type"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
    "events": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        }
    ),
}


def label_selector(text: str) -> LabelSelector:
    """Parse a label selector; ApiError 400 when it is malformed."""
    if len(text) > MAX_LENGTH:
        raise bad_request("the label selector is too long")
    terms: list[Requirement] = []
    rest = text
    while rest.strip():
        term, rest = _term(rest, text)
        terms.append(term)
        if rest:
            if not rest.startswith(",") or not rest[1:].strip():
                raise bad_request(f"unable to parse requirement: {text!r}")
            rest = rest[1:]
    return LabelSelector(tuple(terms))


def _term(rest: str, text: str) -> tuple[Requirement, str]:
    def ends(found: re.Match[str]) -> bool:
        return found.end() == len(rest) or rest[found.end()] == ","

    if (found := _SET.match(rest)) and ends(found) and not found[1]:
        values = tuple(value.strip() for value in found[4].split(","))
        if not all(LABEL_VALUE.fullmatch(value) for value in values):
            raise bad_request(
                f"unable to parse requirement: a value of {found[0].strip()!r} is no label value"
            )
        return Requirement(found[2], "in" if found[3] == "in" else "notin", values), rest[found.end() :]
    if (found := _EQUAL.match(rest)) and ends(found):
        return Requirement(found[1], "notin" if found[2] == "!=" else "in", (found[3],)), rest[found.end() :]
    if (found := _ORDER.match(rest)) and ends(found):
        return Requirement(found[1], "<" if found[2] == "<" else ">", (found[3],)), rest[found.end() :]
    if (found := _EXISTS.match(rest)) and ends(found):
        return Requirement(found[2], "absent" if found[1] else "exists"), rest[found.end() :]
    raise bad_request(f"unable to parse requirement: {text!r}")


def field_selector(text: str, resource: str) -> FieldSelector:
    """Parse a field selector; ApiError 400 when malformed or when the resource has no such field label."""
    if len(text) > MAX_LENGTH:
        raise bad_request("the field selector is too long")
    terms: list[tuple[str, bool, str]] = []
    for part in _split(text):
        found = re.fullmatch(r"\s*([A-Za-z0-9_.\[\]]+)\s*(==|=|!=)(.*)", part, re.DOTALL)
        if found is None:
            raise bad_request(f"invalid field selector: {part!r}; expected FIELD=VALUE or FIELD!=VALUE")
        path = found[1]
        if path not in _COMMON and path not in FIELDS.get(resource, frozenset()):
            raise bad_request(f"field label not supported: {path}")
        terms.append((path, found[2] != "!=", re.sub(r"\\(.)", r"\1", found[3]).strip()))
    return FieldSelector(tuple(terms))


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"(?<!\\),", text) if part.strip()]


_SYNONYMS = {
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
}


def field_value(document: Mapping[str, Any], path: str) -> str:
    """Return a field as the string that selectors compare with."""
    parts = path.split(".")
    if parts[0] not in document and parts[0] in _SYNONYMS:
        parts[0] = _SYNONYMS[parts[0]]
    value: Any = document
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    if path == "source" and isinstance(value, Mapping):
        value = value.get("component")
    if value is None:
        return "false" if path in {"spec.unschedulable", "spec.hostNetwork"} else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
