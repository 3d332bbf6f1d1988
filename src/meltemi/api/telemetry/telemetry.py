"""Telemetry: what proxies tell of the traffic (telemetry.istio.io)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from meltemi.api.declare import Rule, field
from meltemi.api.duration import Duration
from meltemi.api.kind import Column, Kind
from meltemi.api.selector import ONE_TARGET, LabelSelector, PolicyTargetReference
from meltemi.api.values import Map


class WorkloadMode(Enum):
    """Which side of the traffic it is for."""

    CLIENT_AND_SERVER = 0
    CLIENT = 1
    SERVER = 2


class IstioMetric(Enum):
    """A standard metric of Istio."""

    ALL_METRICS = 0
    REQUEST_COUNT = 1
    REQUEST_DURATION = 2
    REQUEST_SIZE = 3
    RESPONSE_SIZE = 4
    TCP_OPENED_CONNECTIONS = 5
    TCP_CLOSED_CONNECTIONS = 6
    TCP_SENT_BYTES = 7
    TCP_RECEIVED_BYTES = 8
    GRPC_REQUEST_MESSAGES = 9
    GRPC_RESPONSE_MESSAGES = 10


class TagOperation(Enum):
    """What is done to a tag."""

    UPSERT = 0
    REMOVE = 1


@dataclass(frozen=True, slots=True)
class ModeSelector:
    """Which traffic it is for."""

    mode: WorkloadMode = field("Which side of it.", WorkloadMode.CLIENT_AND_SERVER)


@dataclass(frozen=True, slots=True)
class ProviderRef:
    """A provider of the mesh."""

    name: str = field("Name of an extension provider.", "", required=True, min_length=1)


@dataclass(frozen=True, slots=True)
class Literal:
    """A tag that is always the same."""

    value: str = field("Value of the tag.", "", required=True, min_length=1)


@dataclass(frozen=True, slots=True)
class Environment:
    """A tag from the proxy's environment."""

    name: str = field("Name of the variable.", "", required=True, min_length=1)
    default_value: str = field("Value if the variable is not there; no tag if empty.", "")


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A tag from a header of the request."""

    name: str = field("Name of the header.", "", required=True, min_length=1)
    default_value: str = field("Value if the header is not there; no tag if empty.", "")


@dataclass(frozen=True, slots=True)
class Formatter:
    """A tag written as a line of an access log is."""

    value: str = field("The tag, with Envoy's `%OPERATORS%`.", "", required=True, min_length=1)


@dataclass(frozen=True, slots=True)
class CustomTag:
    """A tag of a span."""

    literal: Literal | None = field("Always the same.", None, oneof="type")
    environment: Environment | None = field("From the proxy's environment.", None, oneof="type")
    header: RequestHeader | None = field("From a header of the request.", None, oneof="type")
    formatter: Formatter | None = field("Written as a line of an access log is.", None, oneof="type")


@dataclass(frozen=True, slots=True)
class Tracing:
    """Which requests are traced, and what their spans say."""

    match: ModeSelector | None = field("Traffic it is for; all if not given.", None)
    providers: tuple[ProviderRef, ...] = field("Where spans go; the wider settings' if empty.", ())
    random_sampling_percentage: float | None = field(
        "Share of requests that are traced if nobody before decided, in percent.",
        None,
        minimum=0,
        maximum=100,
    )
    disable_span_reporting: bool | None = field("Hand the context on, and report no span.", None)
    custom_tags: Map[CustomTag] = field("Further tags of spans, by name.", Map())
    use_request_id_for_trace_sampling: bool | None = field(
        "Sample by x-request-id, so that all proxies decide alike (true).", None
    )
    enable_istio_tags: bool | None = field("Give spans Istio's own tags (true).", None)
    disable_context_propagation: bool | None = field("Do not hand the context on.", None)


@dataclass(frozen=True, slots=True)
class MetricSelector:
    """Which metrics an override is for."""

    metric: IstioMetric | None = field("A standard metric, or all of them.", None, oneof="metric_match")
    custom_metric: str | None = field(
        "Another metric, by its name.", None, oneof="metric_match", min_length=1
    )
    mode: WorkloadMode = field("Which side of the traffic.", WorkloadMode.CLIENT_AND_SERVER)


def _removed(given: Mapping[str, Any]) -> bool:
    return given.get("operation") is TagOperation.REMOVE


@dataclass(frozen=True, slots=True)
class TagOverride:
    """A tag of a metric that is set or left out."""

    operation: TagOperation = field("Set it, or leave it out.", TagOperation.UPSERT)
    value: str = field("CEL expression of its value, over the attributes of the request.", "")

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.operation) && self.operation == 'REMOVE') || (has(self.value) && self.value != '')",
            "value must be set when operation is UPSERT",
            lambda given: _removed(given) or bool(given.get("value")),
            "value",
        ),
        Rule(
            "!(has(self.operation) && self.operation == 'REMOVE') || !has(self.value)",
            "value must not be set when operation is REMOVE",
            lambda given: not _removed(given) or "value" not in given,
            "value",
        ),
    )


@dataclass(frozen=True, slots=True)
class MetricsOverrides:
    """What is different for some metrics."""

    match: MetricSelector | None = field("Metrics it is for; all if not given.", None)
    disabled: bool | None = field("Do not report them; as the wider settings say if not given.", None)
    tag_overrides: Map[TagOverride] = field("Tags that are set or left out, by name.", Map())


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is measured, and by whom."""

    providers: tuple[ProviderRef, ...] = field("Who gets it; the wider settings' if empty.", ())
    overrides: tuple[MetricsOverrides, ...] = field("What is different for some metrics, in order.", ())
    reporting_interval: Duration | None = field("Time between reports of TCP (5s).", None, minimum=1e6)


@dataclass(frozen=True, slots=True)
class AccessLogFilter:
    """Which requests are logged."""

    expression: str = field("CEL expression that is true for them; all if empty.", "")


@dataclass(frozen=True, slots=True)
class AccessLogging:
    """Which requests are logged, and where."""

    match: ModeSelector | None = field("Traffic it is for; all if not given.", None)
    providers: tuple[ProviderRef, ...] = field("Where it goes; the wider settings' if empty.", ())
    disabled: bool | None = field("Do not log; as the wider settings say if not given.", None)
    filter: AccessLogFilter | None = field("Which requests are logged.", None)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What proxies tell of the traffic."""

    selector: LabelSelector | None = field(
        "Workloads it is for; all of the namespace if neither this nor targetRefs is given.", None
    )
    target_ref: PolicyTargetReference | None = field("The object it is for, instead of workloads.", None)
    target_refs: tuple[PolicyTargetReference, ...] = field(
        "Objects it is for, instead of workloads.", (), max_items=16
    )
    tracing: tuple[Tracing, ...] = field("Which requests are traced.", ())
    metrics: tuple[Metrics, ...] = field("What is measured.", ())
    access_logging: tuple[AccessLogging, ...] = field("Which requests are logged.", ())

    RULES: ClassVar[tuple[Rule, ...]] = (ONE_TARGET,)


TELEMETRY: Kind[Telemetry] = Kind(
    name="Telemetry",
    group="telemetry.istio.io",
    versions=("v1", "v1alpha1"),
    storage="v1alpha1",
    plural="telemetries",
    singular="telemetry",
    short=("telemetry",),
    categories=("istio-io", "telemetry-istio-io"),
    model=Telemetry,
    columns=(Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),),
    doc="What proxies tell of the traffic: traces, metrics and access logs.",
)
