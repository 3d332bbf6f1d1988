"""Which workloads an object of networking.istio.io is about."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class WorkloadSelector:
    """Workloads by label: all pairs must be there; no pair selects every workload in reach."""

    labels: Map[str] = field("Labels the workload must bear.", EMPTY, max_items=256, items_max_length=63)
