"""Stackdriver: an adapter that sends metrics, logs and traces to Stackdriver (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.adapters.buckets import Buckets
from meltemi.api.mixer.group import declared
from meltemi.api.values import EMPTY, Map


class MetricKind(Enum):
    """What a metric's values are to each other."""

    METRIC_KIND_UNSPECIFIED = 0
    GAUGE = 1
    DELTA = 2
    CUMULATIVE = 3


class MetricValue(Enum):
    """What a metric's values are."""

    VALUE_TYPE_UNSPECIFIED = 0
    BOOL = 1
    INT64 = 2
    DOUBLE = 3
    STRING = 4
    DISTRIBUTION = 5
    MONEY = 6


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """How the instances of a metric are sent."""

    kind: MetricKind = field("What values are to each other.", MetricKind.METRIC_KIND_UNSPECIFIED)
    value: MetricValue = field("What values are.", MetricValue.VALUE_TYPE_UNSPECIFIED)
    buckets: Buckets | None = field("Buckets of a DISTRIBUTION.", None)
    metric_type: str = field("Name at Stackdriver; made of the instance's if empty.", "")


@dataclass(frozen=True, slots=True)
class HttpRequestMapping:
    """Variables that make up the request of a line."""

    status: str = field("Status of the response.", "")
    request_size: str = field("Size of the request.", "")
    response_size: str = field("Size of the response.", "")
    latency: str = field("How long it took.", "")
    local_ip: str = field("Address of the callee.", "")
    remote_ip: str = field("Address of the caller.", "")
    url: str = field("The URL.", "")
    method: str = field("The method.", "")
    user_agent: str = field("The client.", "")
    referer: str = field("The page it came from.", "")


@dataclass(frozen=True, slots=True)
class SinkInfo:
    """Where lines are exported to."""

    id: str = field("Name of the sink.", "")
    destination: str = field("What it writes to.", "")
    filter: str = field("Lines that it takes.", "")


@dataclass(frozen=True, slots=True)
class LogInfo:
    """How the instances of a log are written."""

    label_names: tuple[str, ...] = field("Variables that become labels.", ())
    payload_template: str = field("A line as a Go template of the variables.", "")
    http_mapping: HttpRequestMapping | None = field("The request of a line.", None)
    sink_info: SinkInfo | None = field("Where lines are exported to.", None)


@dataclass(frozen=True, slots=True)
class Trace:
    """How spans are sent."""

    sample_probability: float = field("Share of traces.", 0.0, format="double")


@dataclass(frozen=True, slots=True)
class Stackdriver:
    """What is sent, and how."""

    endpoint: str = field("Address of the API; Google's own if empty.", "")
    project_id: str = field("The project.", "")
    push_interval: Duration | None = field("How often metrics are sent (1m).", None)
    app_credentials: bool | None = field("Use the process's own credentials.", None, oneof="creds")
    api_key: str | None = field("Use this API key.", None, oneof="creds")
    service_account_path: str | None = field("Use the service account of this file.", None, oneof="creds")
    metric_info: Map[MetricInfo] = field("Whole name of an instance to how it is sent.", EMPTY)
    log_info: Map[LogInfo] = field("Whole name of an instance to how it is written.", EMPTY)
    trace: Trace | None = field("How spans are sent.", None)


STACKDRIVER: Kind[Stackdriver] = declared(
    "stackdriver",
    "stackdrivers",
    Stackdriver,
    "An adapter that sends metrics, logs and traces to Stackdriver.",
)
