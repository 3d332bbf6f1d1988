"""Solarwinds: an adapter that sends metrics to AppOptics and logs to Papertrail (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How the instances of a metric are sent."""

    label_names: tuple[str, ...] = field("Labels: the instance's dimensions.", ())


@dataclass(frozen=True, slots=True)
class LogInfo:
    """How the instances of a log are written."""

    payload_template: str = field("A line as a Go template of the variables.", "")


@dataclass(frozen=True, slots=True)
class SolarWinds:
    """What is sent where."""

    appoptics_access_token: str = field("Token of AppOptics; no metrics are sent if empty.", "")
    appoptics_batch_size: int = field("Most metrics at once (1000).", 0, format="int32")
    papertrail_url: str = field("Host and port of Papertrail; no logs are sent if empty.", "")
    papertrail_local_retention_duration: Duration | None = field(
        "How long logs are kept while Papertrail cannot be reached (1h).", None
    )
    metrics: Map[MetricInfo] = field("Whole name of an instance to how it is sent.", EMPTY)
    logs: Map[LogInfo] = field("Whole name of an instance to how it is written.", EMPTY)


SOLARWINDS: Kind[SolarWinds] = declared(
    "solarwinds",
    "solarwindses",
    SolarWinds,
    "An adapter that sends metrics to AppOptics and logs to Papertrail.",
)
