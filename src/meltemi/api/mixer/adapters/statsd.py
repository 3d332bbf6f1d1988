"""Statsd: an adapter that sends metrics to statsd (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.adapters.kinds import MetricType
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How the instances of a metric are sent."""

    type: MetricType = field("What it is.", MetricType.UNKNOWN)
    name_template: str = field("Name as a Go template of the dimensions; the instance's if empty.", "")


@dataclass(frozen=True, slots=True)
class Statsd:
    """The metrics and the server."""

    address: str | None = field("Host and port of the server (localhost:8125).", None)
    prefix: str = field("How names of metrics begin.", "")
    flush_duration: Duration | None = field("Longest time until metrics are sent (300ms).", None)
    flush_bytes: int = field("Largest datagram (512).", 0, format="int32")
    sampling_rate: float | None = field("Share of values that are sent (1).", None)
    metrics: Map[MetricInfo] = field("Whole name of an instance to how it is sent.", EMPTY)


STATSD: Kind[Statsd] = declared("statsd", "statsds", Statsd, "An adapter that sends metrics to statsd.")
