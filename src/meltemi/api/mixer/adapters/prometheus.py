"""Prometheus: an adapter that offers metrics to Prometheus (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.kind import Kind
from meltemi.api.mixer.adapters.buckets import Buckets
from meltemi.api.mixer.group import declared


class MetricKind(Enum):
    """What a metric is."""

    UNSPECIFIED = 0
    GAUGE = 1
    COUNTER = 2
    DISTRIBUTION = 3


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How the instances of a metric are shown."""

    namespace: str = field("First part of the name (istio).", "")
    name: str = field("Rest of the name; made of the instance's if empty.", "")
    instance_name: str = field("Whole name of the instance, `name.metric.namespace`.", "")
    description: str = field("Text for people.", "")
    kind: MetricKind = field("What it is.", MetricKind.UNSPECIFIED)
    buckets: Buckets | None = field("Buckets of a DISTRIBUTION; those of Prometheus if not given.", None)
    label_names: tuple[str, ...] = field("Labels: the instance's dimensions.", ())


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The metrics."""

    metrics: tuple[MetricInfo, ...] = field("How instances are shown; what is not listed is not.", ())


PROMETHEUS: Kind[Prometheus] = declared(
    "prometheus", "prometheuses", Prometheus, "An adapter that offers metrics to Prometheus."
)
