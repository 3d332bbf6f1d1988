"""Quota: what a quota is counted by (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class Quota:
    """Dimensions of a quota; values are expressions."""

    dimensions: Map[str] = field(
        "Dimension to expression: each combination of values is counted apart.", EMPTY
    )


QUOTA: Kind[Quota] = declared("quota", "quotas", Quota, "What a quota is counted by.")
