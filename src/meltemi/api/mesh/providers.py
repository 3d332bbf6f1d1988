"""Extension providers: services outside of the proxies that policies refer to by name (mesh/v1alpha1/config.proto).

Authorizers for AuthorizationPolicy's CUSTOM, tracers, metrics and access logs for Telemetry, secrets for gateways.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.values import EMPTY, Json, Map


class TraceContextOption(Enum):
    """Headers by which a Zipkin tracer hands its context on."""

    USE_B3 = 0
    USE_B3_WITH_W3C_PROPAGATION = 1


class TraceContext(Enum):
    """Headers by which an OpenCensus tracer hands its context on."""

    UNSPECIFIED = 0
    W3C_TRACE_CONTEXT = 1
    GRPC_BIN = 2
    CLOUD_TRACE_CONTEXT = 3
    B3 = 4


class ServiceAttributeEnrichment(Enum):
    """By whose conventions a span says which service made it."""

    ISTIO_CANONICAL = 0
    OTEL_SEMANTIC_CONVENTIONS = 1


@dataclass(frozen=True, slots=True)
class HttpHeader:
    """A header that is sent to a provider."""

    name: str = field("Name of the header.", "", required=True)
    value: str | None = field("Its value.", None, oneof="header_value")
    env_name: str | None = field(
        "Variable of the control plane's environment that holds its value.", None, oneof="header_value"
    )


@dataclass(frozen=True, slots=True)
class HttpService:
    """A provider asked over HTTP."""

    path: str = field("Path to send to.", "", required=True)
    timeout: Duration | None = field("Limit of a call (3s).", None)
    headers: tuple[HttpHeader, ...] = field("Headers to send along.", ())


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A provider asked over gRPC."""

    timeout: Duration | None = field("Limit of a call; none if not given.", None)
    initial_metadata: tuple[HttpHeader, ...] = field("Metadata to send along.", ())


@dataclass(frozen=True, slots=True)
class RequestBodyCheck:
    """How much of a request's body an authorizer gets."""

    max_request_bytes: int = field("Most bytes that are sent.", 0, format="uint32")
    allow_partial_message: bool = field("Send the beginning of a longer body instead of refusing it.", False)
    pack_as_bytes: bool = field("Send bytes instead of text.", False)


@dataclass(frozen=True, slots=True)
class EnvoyExternalAuthorizationHttpProvider:
    """An authorizer asked over HTTP: 200 lets the request pass."""

    service: str = field("Host of the authorizer, `namespace/host` if it is ambiguous.", "", required=True)
    port: int = field("Port of the authorizer.", 0, required=True, format="uint32")
    timeout: Duration | None = field("Limit of a check (600s).", None)
    path_prefix: str = field("Put in front of the request's path.", "")
    fail_open: bool = field("Let requests pass while the authorizer cannot be asked.", False)
    clear_route_cache: bool = field("Choose the route anew after the check.", False)
    status_on_error: str = field("Status of the answer if the authorizer cannot be asked (403).", "")
    include_headers_in_check: tuple[str, ...] = field(
        "Request headers to send, exact.", (), deprecated="use includeRequestHeadersInCheck"
    )
    include_request_headers_in_check: tuple[str, ...] = field(
        "Request headers to send: exact, `prefix*` or `*suffix`.", ()
    )
    include_additional_headers_in_check: Map[str] = field("Further headers to send.", EMPTY)
    include_request_body_in_check: RequestBodyCheck | None = field("Send the body, too.", None)
    headers_to_upstream_on_allow: tuple[str, ...] = field(
        "Headers of the answer that go on with the request: exact, `prefix*` or `*suffix`.", ()
    )
    headers_to_downstream_on_deny: tuple[str, ...] = field(
        "Headers of the answer that a refused caller gets.", ()
    )
    headers_to_downstream_on_allow: tuple[str, ...] = field(
        "Headers of the answer that an admitted caller gets.", ()
    )


@dataclass(frozen=True, slots=True)
class EnvoyExternalAuthorizationGrpcProvider:
    """An authorizer asked over gRPC, by Envoy's own protocol."""

    service: str = field("Host of the authorizer, `namespace/host` if it is ambiguous.", "", required=True)
    port: int = field("Port of the authorizer.", 0, required=True, format="uint32")
    timeout: Duration | None = field("Limit of a check (600s).", None)
    fail_open: bool = field("Let requests pass while the authorizer cannot be asked.", False)
    clear_route_cache: bool = field("Choose the route anew after the check.", False)
    status_on_error: str = field("Status of the answer if the authorizer cannot be asked (403).", "")
    include_request_body_in_check: RequestBodyCheck | None = field("Send the body, too.", None)


@dataclass(frozen=True, slots=True)
class ZipkinTracingProvider:
    """Spans to Zipkin."""

    service: str = field("Host of the collector.", "", required=True)
    port: int = field("Port of the collector.", 0, required=True, format="uint32")
    max_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")
    enable64bit_trace_id: bool = field("Make trace ids of 64 instead of 128 bits.", False)
    path: str = field("Path to send to (/api/v2/spans).", "")
    trace_context_option: TraceContextOption = field(
        "Headers that hand the context on.", TraceContextOption.USE_B3
    )
    timeout: Duration | None = field("Limit of a call (5s).", None)
    headers: tuple[HttpHeader, ...] = field("Headers to send along.", ())


@dataclass(frozen=True, slots=True)
class LightstepTracingProvider:
    """Spans to Lightstep."""

    service: str = field("Host of the collector.", "", required=True)
    port: int = field("Port of the collector.", 0, required=True, format="uint32")
    access_token: str = field("Token that is sent along.", "")
    max_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")


@dataclass(frozen=True, slots=True)
class DatadogTracingProvider:
    """Spans to Datadog."""

    service: str = field("Host of the agent.", "", required=True)
    port: int = field("Port of the agent.", 0, required=True, format="uint32")
    max_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")


@dataclass(frozen=True, slots=True)
class SkyWalkingTracingProvider:
    """Spans to SkyWalking."""

    service: str = field("Host of the receiver.", "", required=True)
    port: int = field("Port of the receiver.", 0, required=True, format="uint32")
    access_token: str = field("Token that is sent along.", "")


@dataclass(frozen=True, slots=True)
class StackdriverLogging:
    """What Stackdriver's log entries say besides."""

    labels: Map[str] = field("Labels of an entry; values are CEL.", EMPTY)


@dataclass(frozen=True, slots=True)
class StackdriverProvider:
    """Spans, metrics and logs to Google Cloud."""

    debug: bool = field("Write spans to standard output.", False, deprecated="it has no effect")
    max_number_of_attributes: int | None = field(
        "Most attributes of a span (200).", None, format="int64", deprecated="it has no effect"
    )
    max_number_of_annotations: int | None = field(
        "Most annotations of a span (200).", None, format="int64", deprecated="it has no effect"
    )
    max_number_of_message_events: int | None = field(
        "Most events of a span (200).", None, format="int64", deprecated="it has no effect"
    )
    max_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")
    logging: StackdriverLogging | None = field("Settings of the log.", None)


@dataclass(frozen=True, slots=True)
class OpenCensusAgentTracingProvider:
    """Spans to an OpenCensus agent."""

    service: str = field("Host of the agent.", "", required=True)
    port: int = field("Port of the agent.", 0, required=True, format="uint32")
    context: tuple[TraceContext, ...] = field("Headers that hand the context on.", ())
    max_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")


@dataclass(frozen=True, slots=True)
class PrometheusMetricsProvider:
    """Metrics that Prometheus fetches from the proxies."""


@dataclass(frozen=True, slots=True)
class LogFormat:
    """What a line of an access log holds."""

    text: str | None = field("A line with Envoy's `%OPERATORS%`.", None, oneof="log_format")
    labels: Json | None = field(
        "A JSON object with operators as values.", None, oneof="log_format", format="object"
    )


@dataclass(frozen=True, slots=True)
class EnvoyFileAccessLogProvider:
    """An access log in a file of the proxy."""

    path: str = field("The file; /dev/stdout is the proxy's output.", "")
    log_format: LogFormat | None = field("What a line holds; Istio's default if not given.", None)
    omit_empty_values: bool = field("Leave out what has no value.", False)


@dataclass(frozen=True, slots=True)
class EnvoyHttpGrpcV3LogProvider:
    """An access log of HTTP, sent over gRPC."""

    service: str = field("Host of the log's server.", "", required=True)
    port: int = field("Port of the log's server.", 0, required=True, format="uint32")
    log_name: str = field("Name of the log (http_envoy_accesslog).", "")
    filter_state_objects_to_log: tuple[str, ...] = field("Filter states to send.", ())
    additional_request_headers_to_log: tuple[str, ...] = field("Request headers to send.", ())
    additional_response_headers_to_log: tuple[str, ...] = field("Response headers to send.", ())
    additional_response_trailers_to_log: tuple[str, ...] = field("Response trailers to send.", ())


@dataclass(frozen=True, slots=True)
class EnvoyTcpGrpcV3LogProvider:
    """An access log of TCP, sent over gRPC."""

    service: str = field("Host of the log's server.", "", required=True)
    port: int = field("Port of the log's server.", 0, required=True, format="uint32")
    log_name: str = field("Name of the log (tcp_envoy_accesslog).", "")
    filter_state_objects_to_log: tuple[str, ...] = field("Filter states to send.", ())


@dataclass(frozen=True, slots=True)
class OpenTelemetryLogFormat:
    """What an entry of an OpenTelemetry log holds."""

    text: str = field("Its body, with Envoy's `%OPERATORS%`.", "")
    labels: Json | None = field("Its attributes, with operators as values.", None, format="object")


@dataclass(frozen=True, slots=True)
class EnvoyOpenTelemetryLogProvider:
    """An access log in OpenTelemetry's format, sent over gRPC."""

    service: str = field("Host of the collector.", "", required=True)
    port: int = field("Port of the collector.", 0, required=True, format="uint32")
    log_name: str = field("Name of the log (otel_envoy_accesslog).", "")
    log_format: OpenTelemetryLogFormat | None = field("What an entry holds.", None)


@dataclass(frozen=True, slots=True)
class EnvironmentResourceDetector:
    """Attributes of the proxy from its environment (OTEL_RESOURCE_ATTRIBUTES)."""


@dataclass(frozen=True, slots=True)
class DynatraceResourceDetector:
    """Attributes of the proxy from files that Dynatrace provides."""


@dataclass(frozen=True, slots=True)
class ResourceDetectors:
    """Where a tracer learns what it runs on."""

    environment: EnvironmentResourceDetector | None = field("From the environment.", None)
    dynatrace: DynatraceResourceDetector | None = field("From Dynatrace.", None)


@dataclass(frozen=True, slots=True)
class DynatraceApi:
    """The API of Dynatrace that tells how much to sample."""

    service: str = field("Host of the API.", "", required=True)
    port: int = field("Port of the API.", 0, required=True, format="uint32")
    http: HttpService | None = field("How it is asked.", None, required=True)


@dataclass(frozen=True, slots=True)
class DynatraceSampler:
    """Sampling as Dynatrace asks for it."""

    tenant: str = field("Id of the tenant.", "", required=True)
    cluster_id: int = field("Id of the cluster.", 0, required=True, format="int32")
    root_spans_per_minute: int = field(
        "Root spans a minute while Dynatrace cannot be asked.", 0, format="uint32"
    )
    http_service: DynatraceApi | None = field("The API to ask; the exporter's host if not given.", None)


@dataclass(frozen=True, slots=True)
class OpenTelemetryTracingProvider:
    """Spans in OpenTelemetry's format."""

    service: str = field("Host of the collector.", "", required=True)
    port: int = field("Port of the collector.", 0, required=True, format="uint32")
    max_tag_length: int = field("Longest path that a span holds, in bytes (256).", 0, format="uint32")
    http: HttpService | None = field("Send over HTTP.", None)
    grpc: GrpcService | None = field("Send over gRPC, which is the default.", None)
    resource_detectors: ResourceDetectors | None = field("Where the tracer learns what it runs on.", None)
    service_attribute_enrichment: ServiceAttributeEnrichment = field(
        "By whose conventions spans name the service.", ServiceAttributeEnrichment.ISTIO_CANONICAL
    )
    dynatrace_sampler: DynatraceSampler | None = field("Sample as Dynatrace says.", None, oneof="sampling")


@dataclass(frozen=True, slots=True)
class SDSProvider:
    """A server of secrets for gateways (`sds://name/...`)."""

    name: str = field("Name that credentials refer to.", "", required=True)
    service: str = field("Host of the server.", "", required=True)
    port: int = field("Port of the server.", 0, required=True, format="uint32")


@dataclass(frozen=True, slots=True)
class ExtensionProvider:
    """A service that policies refer to by name."""

    name: str = field("Name that policies refer to.", "", required=True)
    envoy_ext_authz_http: EnvoyExternalAuthorizationHttpProvider | None = field(
        "An authorizer asked over HTTP.", None, oneof="provider"
    )
    envoy_ext_authz_grpc: EnvoyExternalAuthorizationGrpcProvider | None = field(
        "An authorizer asked over gRPC.", None, oneof="provider"
    )
    zipkin: ZipkinTracingProvider | None = field("Spans to Zipkin.", None, oneof="provider")
    lightstep: LightstepTracingProvider | None = field(
        "Spans to Lightstep.", None, oneof="provider", deprecated="use opentelemetry"
    )
    datadog: DatadogTracingProvider | None = field("Spans to Datadog.", None, oneof="provider")
    stackdriver: StackdriverProvider | None = field(
        "Spans, metrics and logs to Google Cloud.", None, oneof="provider"
    )
    opencensus: OpenCensusAgentTracingProvider | None = field(
        "Spans to an OpenCensus agent.", None, oneof="provider", deprecated="use opentelemetry"
    )
    skywalking: SkyWalkingTracingProvider | None = field("Spans to SkyWalking.", None, oneof="provider")
    opentelemetry: OpenTelemetryTracingProvider | None = field(
        "Spans in OpenTelemetry's format.", None, oneof="provider"
    )
    prometheus: PrometheusMetricsProvider | None = field("Metrics for Prometheus.", None, oneof="provider")
    envoy_file_access_log: EnvoyFileAccessLogProvider | None = field(
        "An access log in a file.", None, oneof="provider"
    )
    envoy_http_als: EnvoyHttpGrpcV3LogProvider | None = field(
        "An access log of HTTP, sent over gRPC.", None, oneof="provider"
    )
    envoy_tcp_als: EnvoyTcpGrpcV3LogProvider | None = field(
        "An access log of TCP, sent over gRPC.", None, oneof="provider"
    )
    envoy_otel_als: EnvoyOpenTelemetryLogProvider | None = field(
        "An access log in OpenTelemetry's format.", None, oneof="provider"
    )
    sds: SDSProvider | None = field("A server of secrets.", None, oneof="provider")


BUILT_IN: tuple[ExtensionProvider, ...] = (
    ExtensionProvider("prometheus", prometheus=PrometheusMetricsProvider()),
    ExtensionProvider("stackdriver", stackdriver=StackdriverProvider()),
    ExtensionProvider("envoy", envoy_file_access_log=EnvoyFileAccessLogProvider(path="/dev/stdout")),
)
"""Providers that every mesh has (pkg/config/mesh); one of the same name replaces them."""
