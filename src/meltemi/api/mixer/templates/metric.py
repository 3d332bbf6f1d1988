"""Metric: a value that is counted or measured (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class Metric:
    """The value and its dimensions; fields are expressions."""

    value: str = field("The value.", "")
    dimensions: Map[str] = field("Dimension to expression.", EMPTY)
    monitored_resource_type: str = field("Type of the monitored resource.", "")
    monitored_resource_dimensions: Map[str] = field("Dimensions of the monitored resource.", EMPTY)


METRIC: Kind[Metric] = declared("metric", "metrics", Metric, "A value that is counted or measured.")
