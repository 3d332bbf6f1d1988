"""Which workloads an object is about, as `type.istio.io` has it."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Workloads by label: all pairs must be there; no pair selects every workload in reach."""

    match_labels: Map[str] = field(  # noqa: RUF009 - makes a dataclass field
        "Labels the workload must bear.", EMPTY, max_items=4096, items_max_length=63
    )
