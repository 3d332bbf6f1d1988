"""Circonus: an adapter that sends metrics to Circonus (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.adapters.kinds import MetricType
from meltemi.api.mixer.group import declared


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How the instances of a metric are sent."""

    name: str = field("Whole name of the instance, `name.metric.namespace`.", "")
    type: MetricType = field("What it is.", MetricType.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Circonus:
    """The metrics and the server."""

    submission_url: str = field("URL of the trap.", "")
    submission_interval: Duration | None = field("How often metrics are sent (10s).", None)
    metrics: tuple[MetricInfo, ...] = field("How instances are sent.", ())


CIRCONUS: Kind[Circonus] = declared(
    "circonus", "circonuses", Circonus, "An adapter that sends metrics to Circonus."
)
