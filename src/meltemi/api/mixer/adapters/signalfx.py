"""Signalfx: an adapter that sends metrics to SignalFx (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared


class SignalFxType(Enum):
    """What a metric is."""

    NONE = 0
    COUNTER = 1
    HISTOGRAM = 2


@dataclass(frozen=True, slots=True)
class MetricConfig:
    """How the instances of a metric are sent."""

    name: str = field("Whole name of the instance, `name.metric.namespace`.", "")
    type: SignalFxType = field("What it is.", SignalFxType.NONE)


@dataclass(frozen=True, slots=True)
class SignalFx:
    """The metrics and the server."""

    metrics: tuple[MetricConfig, ...] = field("How instances are sent.", ())
    ingest_url: str = field("URL of the server; SignalFx's own if empty.", "")
    access_token: str = field("Token of the organisation.", "")
    datapoint_interval: Duration | None = field("How often metrics are sent, in whole seconds (10s).", None)


SIGNALFX: Kind[SignalFx] = declared(
    "signalfx", "signalfxs", SignalFx, "An adapter that sends metrics to SignalFx."
)
