"""Which workloads an object of networking.istio.io is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from meltemi.api.declare import Rule, each, field
from meltemi.api.values import EMPTY, Map


def _starred(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return (("labels", key) for key, value in given.get("labels", EMPTY).items() if "*" in value)


@dataclass(frozen=True, slots=True)
class WorkloadSelector:
    """Workloads by label: all pairs must be there; no pair selects every workload in reach."""

    labels: Map[str] = field("Labels the workload must bear.", EMPTY, max_items=256, items_max_length=63)

    RULES: ClassVar[tuple[Rule, ...]] = (
        each(
            "!has(self.labels) || self.labels.all(key, !self.labels[key].contains('*'))",
            "wildcard is not supported in selector: a label's value is compared as it is",
            _starred,
        ),
    )
