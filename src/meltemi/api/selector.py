"""Which workloads an object is about, as `type.istio.io` has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from meltemi.api.declare import Rule, each, field
from meltemi.api.values import EMPTY, Map

Path = tuple[str, ...]


def _starred_values(given: Mapping[str, Any]) -> Iterable[Path]:
    return (("matchLabels", key) for key, value in given.get("match_labels", EMPTY).items() if "*" in value)


def _starred_keys(given: Mapping[str, Any]) -> Iterable[Path]:
    return (("matchLabels", key) for key in given.get("match_labels", EMPTY) if "*" in key)


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Workloads by label: all pairs must be there; no pair selects every workload in reach."""

    match_labels: Map[str] = field(
        "Labels the workload must bear.", EMPTY, max_items=4096, items_max_length=63
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        each(
            "!has(self.matchLabels) || self.matchLabels.all(key, !self.matchLabels[key].contains('*'))",
            "wildcard is not supported in selector: a label's value is compared as it is",
            _starred_values,
        ),
        each(
            "!has(self.matchLabels) || self.matchLabels.all(key, !key.contains('*'))",
            "wildcard is not supported in selector: a label's name is compared as it is",
            _starred_keys,
        ),
        Rule(
            "!has(self.matchLabels) || self.matchLabels.all(key, size(key) != 0)",
            "key must not be empty",
            lambda given: "" not in given.get("match_labels", EMPTY),
            "matchLabels",
        ),
    )


@dataclass(frozen=True, slots=True)
class PolicyTargetReference:
    """The object that a policy is for, in the policy's own namespace."""

    group: str = field(
        "API group of the object; the core group if empty.",
        "",
        max_length=253,
        pattern=r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    )
    kind: str = field(
        "Kind of the object, such as Gateway or Service.",
        "",
        required=True,
        min_length=1,
        max_length=63,
        pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    )
    name: str = field("Name of the object.", "", required=True, min_length=1, max_length=253)
    namespace: str = field("Not supported; the policy's own namespace it is.", "")

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # A name that CEL reserves is written so in the rules of a CRD.
            "!has(self.__namespace__) || size(self.__namespace__) == 0",
            "cross namespace referencing is not currently supported",
            lambda given: not given.get("namespace"),
            "namespace",
        ),
    )


def _one_target(given: Mapping[str, Any]) -> bool:
    return len({"selector", "target_ref", "target_refs"} & given.keys()) <= 1


ONE_TARGET = Rule(
    "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
    "only one of targetRefs or selector can be set",
    _one_target,
)
"""Of policies: they are for workloads, or for objects."""
