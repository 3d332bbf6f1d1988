"""HTTPAPISpec and HTTPAPISpecBinding: attributes of an API's operations by method and path (config.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Kind
from meltemi.api.mixer.group import declared
from meltemi.api.mixer.service import IstioService, SpecReference
from meltemi.api.values import EMPTY, Map


@dataclass(frozen=True, slots=True)
class StringMap:
    """A map of texts."""

    entries: Map[str] = field("Key to value.", EMPTY)


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """The value of an attribute, in the form of its type."""

    string_value: str | None = field("A text.", None, oneof="value")
    int64_value: int | None = field("An integer.", None, oneof="value", format="int-or-string")
    double_value: float | None = field("A number.", None, oneof="value", format="double")
    bool_value: bool | None = field("Yes or no.", None, oneof="value")
    bytes_value: bytes | None = field("Bytes in base64.", None, oneof="value")
    timestamp_value: str | None = field("A time as in RFC 3339.", None, oneof="value")
    duration_value: Duration | None = field("A span of time.", None, oneof="value")
    string_map_value: StringMap | None = field("A map of texts.", None, oneof="value")


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes with their values."""

    attributes: Map[AttributeValue] = field("Attribute to value.", EMPTY)


@dataclass(frozen=True, slots=True)
class HTTPAPISpecPattern:
    """Attributes of the requests of a method to a path."""

    attributes: Attributes | None = field("What such a request gets.", None)
    http_method: str = field("Method of the request.", "")
    uri_template: str | None = field("Path as an RFC 6570 template.", None, oneof="pattern")
    regex: str | None = field("Path as an ECMAScript expression.", None, oneof="pattern")


@dataclass(frozen=True, slots=True)
class APIKey:
    """Where a request has its API key."""

    query: str | None = field("Query parameter.", None, oneof="key")
    header: str | None = field("Header.", None, oneof="key")
    cookie: str | None = field("Cookie.", None, oneof="key")


@dataclass(frozen=True, slots=True)
class HTTPAPISpec:
    """The operations of an API."""

    attributes: Attributes | None = field("What every request gets that matches a pattern.", None)
    patterns: tuple[HTTPAPISpecPattern, ...] = field("Operations by method and path.", ())
    api_keys: tuple[APIKey, ...] = field(
        "Where the API key is; the first that is there counts. The query's `key` and `api_key` and the header "
        "`x-api-key` if empty.",
        (),
    )


@dataclass(frozen=True, slots=True)
class HTTPAPISpecBinding:
    """Services that offer APIs."""

    services: tuple[IstioService, ...] = field("The services.", (), required=True)
    api_specs: tuple[SpecReference, ...] = field("The HTTPAPISpecs.", (), required=True)


HTTP_API_SPEC: Kind[HTTPAPISpec] = declared(
    "HTTPAPISpec", "httpapispecs", HTTPAPISpec, "The operations of an HTTP API.", category="apim-istio-io"
)
HTTP_API_SPEC_BINDING: Kind[HTTPAPISpecBinding] = declared(
    "HTTPAPISpecBinding",
    "httpapispecbindings",
    HTTPAPISpecBinding,
    "Services that offer an HTTP API.",
    category="apim-istio-io",
)
