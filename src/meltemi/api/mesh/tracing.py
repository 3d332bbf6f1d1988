"""Tracing as a ProxyConfig has it: the way of meshes without Telemetry (mesh/v1alpha1/proxy.proto)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.mesh.providers import TraceContext
from meltemi.api.networking.destination_rule import ClientTLSSettings
from meltemi.api.values import Map


@dataclass(frozen=True, slots=True)
class Zipkin:
    """Spans to Zipkin."""

    address: str = field("Host and port of the collector.", "")


@dataclass(frozen=True, slots=True)
class Lightstep:
    """Spans to Lightstep."""

    address: str = field("Host and port of the collector.", "")
    access_token: str = field("Token that is sent along.", "")


@dataclass(frozen=True, slots=True)
class Datadog:
    """Spans to Datadog."""

    address: str = field("Host and port of the agent.", "")


@dataclass(frozen=True, slots=True)
class Stackdriver:
    """Spans to Google Cloud."""

    debug: bool = field("Write spans to standard output.", False)
    max_number_of_attributes: int | None = field("Most attributes of a span (200).", None, format="int64")
    max_number_of_annotations: int | None = field("Most annotations of a span (200).", None, format="int64")
    max_number_of_message_events: int | None = field("Most events of a span (200).", None, format="int64")


@dataclass(frozen=True, slots=True)
class OpenCensusAgent:
    """Spans to an OpenCensus agent."""

    address: str = field("Address of the agent, in gRPC's syntax.", "")
    context: tuple[TraceContext, ...] = field("Headers that hand the context on.", ())


@dataclass(frozen=True, slots=True)
class Literal:
    """A tag that is always the same."""

    value: str = field("Value of the tag.", "")


@dataclass(frozen=True, slots=True)
class Environment:
    """A tag from the proxy's environment."""

    name: str = field("Name of the variable.", "")
    default_value: str = field("Value if the variable is not there; no tag if empty.", "")


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A tag from a header of the request."""

    name: str = field("Name of the header.", "")
    default_value: str = field("Value if the header is not there; no tag if empty.", "")


@dataclass(frozen=True, slots=True)
class CustomTag:
    """A tag that every span gets."""

    literal: Literal | None = field("Always the same.", None, oneof="type")
    environment: Environment | None = field("From the proxy's environment.", None, oneof="type")
    header: RequestHeader | None = field("From a header of the request.", None, oneof="type")


@dataclass(frozen=True, slots=True)
class Tracing:
    """Which requests are traced, and where spans go."""

    zipkin: Zipkin | None = field("Spans to Zipkin.", None, oneof="tracer")
    lightstep: Lightstep | None = field(
        "Spans to Lightstep.",
        None,
        oneof="tracer",
        deprecated="use a Telemetry with an opentelemetry provider",
    )
    datadog: Datadog | None = field("Spans to Datadog.", None, oneof="tracer")
    stackdriver: Stackdriver | None = field("Spans to Google Cloud.", None, oneof="tracer")
    open_census_agent: OpenCensusAgent | None = field("Spans to an OpenCensus agent.", None, oneof="tracer")
    custom_tags: Map[CustomTag] = field("Tags that every span gets, by name.", Map())
    max_path_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")
    sampling: float = field("Share of requests that are traced, in percent (1).", 0.0, minimum=0, maximum=100)
    tls_settings: ClientTLSSettings | None = field("TLS towards the collector.", None)
    enable_istio_tags: bool | None = field("Give spans Istio's own tags (true).", None)
