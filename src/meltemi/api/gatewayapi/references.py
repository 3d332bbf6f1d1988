"""References of the Gateway API: parents, backends, secrets, targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.values import Json

GATEWAY_GROUP: Final = words.GROUP_NAME

DefaultScope = Enum("DefaultScope", {"None": "None", "All": "All"})
"""Whether a Gateway takes routes that name no parent, and a route such a Gateway."""


@dataclass(frozen=True, slots=True)
class ParentReference:
    """What a route belongs to: mostly a Gateway, or a Service for routes within the mesh."""

    group: str = field("Group of its kind.", GATEWAY_GROUP, filled=Json.of(GATEWAY_GROUP), **words.GROUP)
    kind: str = field("Its kind.", "Gateway", filled=Json.of("Gateway"), **words.KIND)
    namespace: str = field("Its namespace; the route's own if empty.", "", **words.NAMESPACE)
    name: str = field("Its name.", "", required=True, **words.NAME)
    section_name: str = field("One listener of the Gateway, or one port of the Service.", "", **words.SECTION)
    port: int | None = field("Listeners or port with this number.", None, **words.PORT)


@dataclass(frozen=True, slots=True)
class BackendObjectReference:
    """What requests are sent to: mostly a Service."""

    group: str = field("Group of its kind.", "", filled=Json.of(""), **words.GROUP)
    kind: str = field("Its kind.", "Service", filled=Json.of("Service"), **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)
    namespace: str = field("Its namespace, which must allow it if it is another.", "", **words.NAMESPACE)
    port: int | None = field("Port of the Service.", None, **words.PORT)

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "size(self.group) != 0 || self.kind != 'Service' || has(self.port)",
            "a Service is referred to with its port",
            lambda given: (
                bool(given.get("group"))
                or given.get("kind", "Service") != "Service"
                or given.get("port") is not None
            ),
            "port",
        ),
    )


@dataclass(frozen=True, slots=True)
class BackendRef(BackendObjectReference):
    """A backend and its share of the requests."""

    weight: int = field(
        "Share among all backends of the rule.",
        1,
        minimum=0,
        maximum=1000000,
        format="int32",
        filled=Json.of(1),
    )


@dataclass(frozen=True, slots=True)
class LocalObjectReference:
    """An object of the same namespace."""

    group: str = field("Group of its kind; empty is Kubernetes' core.", "", required=True, **words.GROUP)
    kind: str = field("Its kind.", "", required=True, **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """An object of any namespace."""

    group: str = field("Group of its kind; empty is Kubernetes' core.", "", required=True, **words.GROUP)
    kind: str = field("Its kind.", "", required=True, **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)
    namespace: str = field("Its namespace, which must allow it if it is another.", "", **words.NAMESPACE)


@dataclass(frozen=True, slots=True)
class SecretObjectReference:
    """A Secret, or something else that holds a certificate."""

    group: str = field("Group of its kind.", "", filled=Json.of(""), **words.GROUP)
    kind: str = field("Its kind.", "Secret", filled=Json.of("Secret"), **words.KIND)
    name: str = field("Its name.", "", required=True, **words.NAME)
    namespace: str = field("Its namespace, which must allow it if it is another.", "", **words.NAMESPACE)


def _parents(given: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str, int]]:
    return [
        ((one.group, one.kind, one.namespace, one.name), one.section_name, one.port or 0)
        for one in given.get("parent_refs", ())
    ]


def _alike(given: Mapping[str, Any]) -> bool:
    told: dict[tuple[str, ...], tuple[bool, bool]] = {}
    return all(
        told.setdefault(key, (bool(section), bool(port))) == (bool(section), bool(port))
        for key, section, port in _parents(given)
    )


_SAME: Final = (
    "a.group == b.group && a.kind == b.kind && a.name == b.name && "
    "(has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '')"
)
PARENT_RULES: Final = (
    Rule(
        "!has(self.parentRefs) || self.parentRefs.all(a, self.parentRefs.all(b, "
        f"!({_SAME}) || (has(a.sectionName) == has(b.sectionName) && has(a.port) == has(b.port))))",
        "of several references to one parent all must tell the same of sectionName and port",
        _alike,
        "parentRefs",
    ),
    Rule(
        f"!has(self.parentRefs) || self.parentRefs.all(a, self.parentRefs.exists_one(b, {_SAME} && "
        "(has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '') && "
        "(has(a.port) ? a.port : 0) == (has(b.port) ? b.port : 0)))",
        "references to one parent must differ in sectionName or port",
        lambda given: max(Counter(_parents(given)).values(), default=1) == 1,
        "parentRefs",
    ),
)


def _names(given: Mapping[str, Any]) -> bool:
    named = [one.name for one in given.get("rules", ()) if one.name]
    return len(named) == len(set(named))


RULE_NAMES: Final = Rule(
    "!has(self.rules) || self.rules.all(a, !has(a.name) || "
    "self.rules.exists_one(b, has(b.name) && b.name == a.name))",
    "names of rules must differ within the route",
    _names,
    "rules",
)


@dataclass(frozen=True, slots=True)
class AttachedRoute:
    """What routes of every kind say of where they belong to."""

    parent_refs: tuple[ParentReference, ...] = field(
        "Gateways or Services that it belongs to.", (), max_items=32, **words.WHOLE
    )
    use_default_gateways: DefaultScope | None = field("Belong to Gateways that take such routes.", None)

    RULES: ClassVar[tuple[Rule, ...]] = (*PARENT_RULES, RULE_NAMES)
