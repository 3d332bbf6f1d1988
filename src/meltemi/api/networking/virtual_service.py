"""VirtualService: where requests of a host go (networking.istio.io)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from meltemi.api.declare import field
from meltemi.api.duration import Duration
from meltemi.api.kind import Column, Kind
from meltemi.api.values import EMPTY, Map


class RedirectPortSelection(Enum):
    """Which port a redirect names when none is given."""

    FROM_PROTOCOL_DEFAULT = 0
    FROM_REQUEST_PORT = 1


class UnmatchedPreflights(Enum):
    """What happens to a CORS preflight whose origin no rule allows."""

    UNSPECIFIED = 0
    FORWARD = 1
    IGNORE = 2


@dataclass(frozen=True, slots=True)
class StringMatch:
    """How a string is compared; at most one form is given, and none matches nothing."""

    exact: str | None = field("Equal to this text.", None, oneof="match_type")
    prefix: str | None = field("Begins with this text.", None, oneof="match_type")
    regex: str | None = field("Matches this RE2 expression as a whole.", None, oneof="match_type")


@dataclass(frozen=True, slots=True)
class PortSelector:
    """A port of the destination, by number."""

    number: int = field("Port number.", 0, format="uint32")
    name: str = field(
        "Name of the port (Istio 1.0); refused, since it never chose one.",
        "",
        deprecated="give the number",
        versions=("v1alpha3",),
    )


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of requests from 0.0 to 100.0."""

    value: float = field("The share in percent.", 0.0, format="double")


@dataclass(frozen=True, slots=True)
class Destination:
    """A service, or a subset of one, that requests are sent to."""

    host: str = field(
        "Host of a service in the registry; short names complete to the object's namespace.",
        "",
        required=True,
    )
    subset: str = field("Subset of a DestinationRule for the host.", "")
    port: PortSelector | None = field("Port of the host; may be left out where it has just one.", None)


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    """Changes to headers: set overwrites, add appends, remove deletes."""

    set: Map[str] = field("Overwrite these headers.", EMPTY)
    add: Map[str] = field("Append these values.", EMPTY)
    remove: tuple[str, ...] = field("Delete these headers.", ())


@dataclass(frozen=True, slots=True)
class Headers:
    """Changes to request and response headers."""

    request: HeaderOperations | None = field("Applied before the request is forwarded.", None)
    response: HeaderOperations | None = field("Applied before the response is returned.", None)


@dataclass(frozen=True, slots=True)
class Delegate:
    """Another VirtualService, without hosts, whose routes stand in for this one."""

    name: str = field("Name of the delegate.", "")
    namespace: str = field("Namespace of the delegate; the root's own if empty.", "")


@dataclass(frozen=True, slots=True)
class HTTPMatchRequest:
    """Conditions on an HTTP request; all that are given must hold."""

    name: str = field("Label of the condition, for access logs and metrics.", "")
    uri: StringMatch | None = field("Path of the request.", None)
    scheme: StringMatch | None = field("Scheme of the request.", None)
    method: StringMatch | None = field("Method of the request.", None)
    authority: StringMatch | None = field("Authority (Host) of the request.", None)
    headers: Map[StringMatch] = field("Headers; a match without a form asks for presence only.", EMPTY)
    port: int = field("Port of the host that was addressed.", 0, format="uint32")
    source_labels: Map[str] = field("Labels the calling workload must bear.", EMPTY)
    gateways: tuple[str, ...] = field("Gateways this condition holds for; overrides the object's.", ())
    query_params: Map[StringMatch] = field("Query parameters.", EMPTY)
    ignore_uri_case: bool = field("Compare the path without regard to case (exact and prefix).", False)
    without_headers: Map[StringMatch] = field("Headers that must not match.", EMPTY)
    source_namespace: str = field("Namespace of the calling workload.", "")
    stat_prefix: str = field("Prefix of this route's own statistics.", "")


@dataclass(frozen=True, slots=True)
class HTTPRouteDestination:
    """One weighted destination of an HTTP route."""

    destination: Destination | None = field("Where to.", None, required=True)
    weight: int = field(
        "Share of requests relative to the sum of weights; a single one may be 0.", 0, format="int32"
    )
    headers: Headers | None = field("Header changes for this destination alone.", None)


@dataclass(frozen=True, slots=True)
class RouteDestination:
    """One weighted destination of a TLS or TCP route."""

    destination: Destination | None = field("Where to.", None, required=True)
    weight: int = field("Share of connections relative to the sum of weights.", 0, format="int32")


@dataclass(frozen=True, slots=True)
class HTTPRedirect:
    """An answer that sends the client elsewhere."""

    uri: str = field("Path of the new location.", "")
    authority: str = field("Authority of the new location.", "")
    port: int | None = field("Port of the new location.", None, oneof="redirect_port", format="uint32")
    derive_port: RedirectPortSelection | None = field(
        "How the port is found if not given.", None, oneof="redirect_port"
    )
    scheme: str = field("Scheme of the new location, http or https.", "")
    redirect_code: int = field("Status of the answer; 301 if not given.", 0, format="uint32")


@dataclass(frozen=True, slots=True)
class HTTPBody:
    """The body of a direct response."""

    string: str | None = field("As text.", None, oneof="specifier")
    bytes: bytes | None = field("As base64.", None, oneof="specifier", format="binary")


@dataclass(frozen=True, slots=True)
class HTTPDirectResponse:
    """An answer made by the proxy itself."""

    status: int = field("Status of the answer.", 0, required=True, format="uint32")
    body: HTTPBody | None = field("Body of the answer.", None)


@dataclass(frozen=True, slots=True)
class RegexRewrite:
    """A rewrite of the path by expression."""

    match: str = field("RE2 expression.", "")
    rewrite: str = field("What replaces it; \\1 and on are its groups.", "")


@dataclass(frozen=True, slots=True)
class HTTPRewrite:
    """A change of path or authority before forwarding."""

    uri: str = field("Replaces the path, or the prefix that matched.", "")
    authority: str = field("Replaces the authority.", "")
    uri_regex_rewrite: RegexRewrite | None = field("Rewrites the path by expression.", None)


@dataclass(frozen=True, slots=True)
class HTTPRetry:
    """How failed requests are tried again."""

    attempts: int = field("How many times to retry; 0 means never.", 0, format="int32")
    per_try_timeout: Duration | None = field(
        "Limit of each try; the route's timeout if not given.", None, minimum=1e6
    )
    retry_on: str = field("Conditions, separated by commas; bare numbers are status codes.", "")
    retry_remote_localities: bool | None = field("Whether retries may go to other localities.", None)
    retry_ignore_previous_hosts: bool | None = field(
        "Whether retries avoid hosts already tried (default true).", None
    )
    backoff: Duration | None = field("Base interval between tries.", None, minimum=1e6)


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Cross-origin rules, answered by the proxy."""

    allow_origin: tuple[str, ...] = field("Allowed origins, exact.", (), deprecated="use allowOrigins")
    allow_origins: tuple[StringMatch, ...] = field("Allowed origins.", ())
    allow_methods: tuple[str, ...] = field("Allowed methods.", ())
    allow_headers: tuple[str, ...] = field("Allowed request headers.", ())
    expose_headers: tuple[str, ...] = field("Headers that scripts may read.", ())
    max_age: Duration | None = field("How long a preflight's answer may be kept.", None, minimum=1e6)
    allow_credentials: bool | None = field("Whether credentials may be sent.", None)
    unmatched_preflights: UnmatchedPreflights = field(
        "What becomes of preflights that match no origin.", UnmatchedPreflights.UNSPECIFIED
    )


@dataclass(frozen=True, slots=True)
class Delay:
    """Requests held back, as if the network were slow."""

    percent: int = field(
        "Share of requests, whole percent.",
        0,
        deprecated="use percentage",
        format="int32",
        minimum=0,
        maximum=100,
    )
    fixed_delay: Duration | None = field("How long.", None, oneof="http_delay_type", minimum=1e6)
    exponential_delay: Duration | None = field(
        "Not supported, refused.", None, oneof="http_delay_type", minimum=1e6
    )
    percentage: Percent | None = field("Share of requests.", None)

    def modern(self) -> Self:
        """Say with today's fields what was said with older ones."""
        if not self.percent or self.percentage is not None:
            return self
        return replace(self, percent=0, percentage=Percent(float(self.percent)))


@dataclass(frozen=True, slots=True)
class Abort:
    """Requests answered with an error, as if the service failed."""

    percent: int = field(
        "Share of requests, whole percent (Istio 1.0).",
        0,
        deprecated="use percentage",
        format="int32",
        minimum=0,
        maximum=100,
        versions=("v1alpha3",),
    )
    http_status: int | None = field("HTTP status of the answer.", None, oneof="error_type", format="int32")
    grpc_status: str | None = field("gRPC status, name or number.", None, oneof="error_type")
    http2_error: str | None = field("Not supported, refused.", None, oneof="error_type", json="http2Error")
    percentage: Percent | None = field("Share of requests.", None)

    def modern(self) -> Self:
        """Say with today's fields what was said with older ones."""
        if not self.percent or self.percentage is not None:
            return self
        return replace(self, percent=0, percentage=Percent(float(self.percent)))


@dataclass(frozen=True, slots=True)
class HTTPFaultInjection:
    """Faults injected into a route."""

    delay: Delay | None = field("Hold requests back.", None)
    abort: Abort | None = field("Answer requests with an error.", None)


@dataclass(frozen=True, slots=True)
class HTTPMirrorPolicy:
    """A destination that gets copies of requests; its answers are dropped."""

    destination: Destination | None = field("Where copies go.", None, required=True)
    percentage: Percent | None = field("Share of requests copied; all if not given.", None)


@dataclass(frozen=True, slots=True)
class HTTPRoute:
    """An ordered rule for HTTP: the first whose match holds decides."""

    name: str = field("Name of the route, for access logs and metrics.", "")
    match: tuple[HTTPMatchRequest, ...] = field("Conditions, of which one must hold; none means always.", ())
    route: tuple[HTTPRouteDestination, ...] = field("Weighted destinations.", ())
    redirect: HTTPRedirect | None = field("Answer with a redirect instead.", None)
    direct_response: HTTPDirectResponse | None = field("Answer directly instead.", None)
    delegate: Delegate | None = field("Hand over to another VirtualService.", None)
    rewrite: HTTPRewrite | None = field("Change path or authority before forwarding.", None)
    timeout: Duration | None = field("Limit of the whole request; none if not given.", None, minimum=1e6)
    retries: HTTPRetry | None = field("How failures are retried.", None)
    fault: HTTPFaultInjection | None = field("Faults to inject.", None)
    mirror: Destination | None = field("Copy requests to this destination.", None)
    mirrors: tuple[HTTPMirrorPolicy, ...] = field("Copy requests to several destinations.", ())
    mirror_percent: int | None = field(
        "Share of requests copied.", None, deprecated="use mirrorPercentage", format="uint32"
    )
    mirror_percentage: Percent | None = field("Share of requests copied by `mirror`.", None)
    cors_policy: CorsPolicy | None = field("Cross-origin rules.", None)
    headers: Headers | None = field("Header changes for all destinations.", None)
    websocket_upgrade: bool = field(
        "Allow WebSocket (Istio 1.0).", False, deprecated="it is always allowed", versions=("v1alpha3",)
    )
    append_headers: Map[str] = field(
        "Append to requests (Istio 1.0).", EMPTY, deprecated="use headers.request.add", versions=("v1alpha3",)
    )
    remove_response_headers: tuple[str, ...] = field(
        "Delete from responses (Istio 1.0).",
        (),
        deprecated="use headers.response.remove",
        versions=("v1alpha3",),
    )

    def modern(self) -> Self:
        """Say with today's fields what was said with those of Istio 1.0."""
        if not self.websocket_upgrade and not self.append_headers and not self.remove_response_headers:
            return self
        given = self.headers if self.headers is not None else Headers()
        request, response = given.request, given.response
        if self.append_headers:
            request = request if request is not None else HeaderOperations()
            request = replace(request, add=Map({**self.append_headers, **request.add}))
        if self.remove_response_headers:
            response = response if response is not None else HeaderOperations()
            response = replace(response, remove=(*response.remove, *self.remove_response_headers))
        headers = Headers(request, response) if request is not None or response is not None else None
        return replace(
            self, headers=headers, websocket_upgrade=False, append_headers=EMPTY, remove_response_headers=()
        )


@dataclass(frozen=True, slots=True)
class TLSMatchAttributes:
    """Conditions on a TLS connection passed through; all that are given must hold."""

    sni_hosts: tuple[str, ...] = field("Server names, each within the object's hosts.", (), required=True)
    destination_subnets: tuple[str, ...] = field("Addresses or CIDRs of the destination.", ())
    port: int = field("Port of the host that was addressed.", 0, format="uint32")
    source_subnet: str = field(
        "Address or CIDR of the caller.",
        "",
        deprecated="Istio itself never minded it: use sourceLabels or sourceNamespace",
    )
    source_labels: Map[str] = field("Labels the calling workload must bear.", EMPTY)
    gateways: tuple[str, ...] = field("Gateways this condition holds for.", ())
    source_namespace: str = field("Namespace of the calling workload.", "")


@dataclass(frozen=True, slots=True)
class TLSRoute:
    """An ordered rule for TLS connections passed through."""

    match: tuple[TLSMatchAttributes, ...] = field("Conditions, of which one must hold.", (), required=True)
    route: tuple[RouteDestination, ...] = field("Weighted destinations.", ())


@dataclass(frozen=True, slots=True)
class L4MatchAttributes:
    """Conditions on a TCP connection; all that are given must hold."""

    destination_subnets: tuple[str, ...] = field("Addresses or CIDRs of the destination.", ())
    port: int = field("Port of the host that was addressed.", 0, format="uint32")
    source_subnet: str = field(
        "Address or CIDR of the caller.",
        "",
        deprecated="Istio itself never minded it: use sourceLabels or sourceNamespace",
    )
    source_labels: Map[str] = field("Labels the calling workload must bear.", EMPTY)
    gateways: tuple[str, ...] = field("Gateways this condition holds for.", ())
    source_namespace: str = field("Namespace of the calling workload.", "")


@dataclass(frozen=True, slots=True)
class TCPRoute:
    """An ordered rule for TCP connections."""

    match: tuple[L4MatchAttributes, ...] = field("Conditions, of which one must hold; none means always.", ())
    route: tuple[RouteDestination, ...] = field("Weighted destinations.", ())


@dataclass(frozen=True, slots=True)
class VirtualService:
    """Rules of traffic to hosts."""

    hosts: tuple[str, ...] = field(
        "Hosts the rules are for: DNS names (a leading `*` allowed) or addresses.", ()
    )
    gateways: tuple[str, ...] = field(
        "Gateways the rules are for, `mesh` being all sidecars; `mesh` if empty.", ()
    )
    http: tuple[HTTPRoute, ...] = field("Rules for HTTP.", ())
    tls: tuple[TLSRoute, ...] = field("Rules for TLS passed through.", ())
    tcp: tuple[TCPRoute, ...] = field("Rules for TCP.", ())
    export_to: tuple[str, ...] = field(
        "Namespaces that see it: `.` its own, `*` all; as the mesh has it if empty.", ()
    )


_AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was created.")

VIRTUAL_SERVICE: Kind[VirtualService] = Kind(
    name="VirtualService",
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    storage="v1",
    plural="virtualservices",
    singular="virtualservice",
    short=("vs",),
    categories=("istio-io", "networking-istio-io"),
    model=VirtualService,
    columns=(
        Column(
            "Gateways", "string", ".spec.gateways", "Names of the gateways and sidecars that apply the rules."
        ),
        Column("Hosts", "string", ".spec.hosts", "Hosts to which traffic is sent."),
        _AGE,
    ),
    doc="Rules of traffic to a set of hosts.",
)
