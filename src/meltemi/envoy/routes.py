"""Routes: virtual hosts, what they match, what is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from envoy.config.core.v3.base_pb2 import (
    DataSource,
    HeaderValue,
    HeaderValueOption,
    Metadata,
    RuntimeFractionalPercent,
)
from envoy.config.route.v3.route_components_pb2 import (
    Decorator,
    DirectResponseAction,
    HeaderMatcher,
    QueryParameterMatcher,
    RedirectAction,
    RouteAction,
    RouteMatch,
    WeightedCluster,
)
from envoy.config.route.v3.route_components_pb2 import RetryPolicy as RetryMessage
from envoy.config.route.v3.route_components_pb2 import Route as RouteMessage
from envoy.config.route.v3.route_components_pb2 import VirtualHost as VirtualHostMessage
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.common.fault.v3.fault_pb2 import FaultDelay
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)
from envoy.type.matcher.v3.regex_pb2 import RegexMatchAndSubstitute, RegexMatcher
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import UInt32Value

from meltemi.api.duration import Duration
from meltemi.envoy import ext_authz, filters, framing, sessions
from meltemi.envoy.encoding import boolean, duration, encode, pack, struct, uint32
from meltemi.envoy.forms import form
from meltemi.envoy.framing import entry, framed, span, tag, text, varint
from meltemi.envoy.matching import How, Text, string_matcher
from meltemi.envoy.sessions import Session

NO_TIMEOUT = Duration(0)
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class HeaderTest:
    """A condition on one header (`:method`, `:authority` and `:scheme` included)."""

    name: str
    text: Text
    invert: bool = False


@dataclass(frozen=True, slots=True)
class QueryTest:
    """A condition on one query parameter."""

    name: str
    text: Text


ANY_PATH = Text(How.PREFIX, "/")


@dataclass(frozen=True, slots=True)
class Match:
    """When a route is taken: all conditions must hold."""

    path: Text = ANY_PATH
    headers: tuple[HeaderTest, ...] = ()
    query: tuple[QueryTest, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Changes to the headers of a message: (name, value) pairs and names."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


NO_CHANGES = HeaderChanges()


@dataclass(frozen=True, slots=True)
class WeightedTarget:
    """One cluster of a split, with changes for this target alone."""

    cluster: str
    weight: int
    request: HeaderChanges = NO_CHANGES
    response: HeaderChanges = NO_CHANGES
    authority: str = ""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a failed request is tried again."""

    attempts: int
    on: tuple[str, ...]
    status_codes: tuple[int, ...] = ()
    per_try_timeout: Duration | None = None
    backoff: Duration | None = None
    ignore_previous_hosts: bool = True
    remote_localities: bool = False


class HashBy(Enum):
    """What is hashed to choose an endpoint."""

    HEADER = "header"
    COOKIE = "cookie"
    SOURCE_IP = "source_ip"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class HashKey:
    """What a consistent hash is made of; `ttl` makes the proxy set the cookie (0: for the session)."""

    by: HashBy
    name: str = ""
    path: str = ""
    ttl: Duration | None = None
    attributes: tuple[tuple[str, str], ...] = ()


USUAL_RETRY = RetryPolicy(
    2, ("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")
)
"""Istio's default: nearly every route has it."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A cluster that gets copies; `percent` from 0 to 100."""

    cluster: str
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class RegexRewrite:
    """A path rewritten by expression."""

    pattern: str
    substitution: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request on. `timeout` 0 means none; `missing` is what is answered where there is no such cluster."""

    targets: tuple[WeightedTarget, ...]
    timeout: Duration = NO_TIMEOUT
    retry: RetryPolicy | None = None
    prefix_rewrite: str = ""
    regex_rewrite: RegexRewrite | None = None
    authority: str = ""
    mirrors: tuple[Mirror, ...] = ()
    hash_keys: tuple[HashKey, ...] = ()
    missing: int = 503


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the client elsewhere; "" and 0 leave a part as it was."""

    path: str = ""
    prefix: str = ""
    regex: RegexRewrite | None = None
    authority: str = ""
    scheme: str = ""
    port: int = 0
    code: int = 301
    to_https: bool = False


@dataclass(frozen=True, slots=True)
class Direct:
    """Answer at once."""

    status: int
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Faults injected into a route; percent from 0 to 100."""

    delay: Duration | None = None
    delay_percent: float = 100.0
    abort_status: int | None = None
    abort_grpc: int | None = None
    abort_percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin rules; None leaves Envoy's default."""

    origins: tuple[Text, ...] = ()
    methods: str = ""
    headers: str = ""
    expose: str = ""
    max_age: str = ""
    credentials: bool | None = None
    forward_unmatched: bool | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of a virtual host; the first that matches decides."""

    action: Forward | Redirect | Direct
    match: Match = Match()
    name: str = ""
    request: HeaderChanges = NO_CHANGES
    response: HeaderChanges = NO_CHANGES
    fault: Fault | None = None
    cors: Cors | None = None
    operation: str = ""
    """Name of the span, as Istio has it: `host:port/*`."""
    config: str = ""
    """Path of the object it came from."""
    stat_prefix: str = ""
    session: Session | None = None
    asked: str = ""
    """Name of the filter that asks whether a request may pass."""


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """The routes of a set of domains."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    attempt_count: bool = True
    require_tls: bool = False


def encode_virtual_host(host: VirtualHost) -> bytes:
    """Return the bytes of Envoy's VirtualHost."""
    domains, routes = map(encode_domain, host.domains), map(encode_route, host.routes)
    return join_virtual_host(
        host.name, domains, b"".join(routes), attempt_count=host.attempt_count, require_tls=host.require_tls
    )


def join_virtual_host(
    name: str,
    domains: Iterable[bytes],
    routes: bytes,
    *,
    attempt_count: bool = True,
    require_tls: bool = False,
) -> bytes:
    """Return the bytes of a VirtualHost around its domains and routes, of `encode_domain` and `encode_route`."""
    return b"".join(
        (
            text(_HOST_NAME, name),
            *domains,
            routes,
            _REQUIRE_TLS if require_tls else b"",
            _ATTEMPT_COUNT if attempt_count else b"",
        )
    )


def encode_domain(name: str) -> bytes:
    """Return the bytes of a domain, framed for its place in a VirtualHost."""
    return framed(_DOMAINS, name.encode())


def encode_domains(names: Iterable[str], port: int) -> list[bytes]:
    """Return for each name the bytes of two domains: the name without and with the port."""
    suffix = f":{port}".encode()
    return [framed(_DOMAINS, name) + framed(_DOMAINS, name + suffix) for name in map(str.encode, names)]


def encode_route_head(name: str, *, ignore_port: bool, most_specific_headers: bool = False) -> bytes:
    """Return the bytes of a RouteConfiguration without its virtual hosts.

    Joined with virtual hosts framed as field `VIRTUAL_HOSTS`, in any order of the two, they are a whole one.
    Clusters are not validated: routes and clusters come in separate types, and an unknown one answers 503.
    """
    return encode(
        RouteConfiguration(
            name=name,
            validate_clusters=boolean(False),
            ignore_port_in_host_matching=ignore_port,
            most_specific_header_mutations_wins=most_specific_headers,
            max_direct_response_body_size_bytes=uint32(1_048_576),
        )
    )


VIRTUAL_HOSTS = RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number


def virtual_host_message(host: VirtualHost) -> VirtualHostMessage:
    """Make the message, for nesting."""
    return VirtualHostMessage(
        name=host.name,
        domains=host.domains,
        routes=[_route(route) for route in host.routes],
        include_request_attempt_count=host.attempt_count,
        require_tls=VirtualHostMessage.ALL if host.require_tls else VirtualHostMessage.NONE,
    )


def encode_route(route: Route) -> bytes:
    """Return the bytes of a route, framed for its place in a VirtualHost."""
    action = route.action
    if isinstance(action, Forward) and _usual(route, action):
        return framed(_ROUTES, _usual_bytes(route, action))
    return framed(_ROUTES, encode(_route(route)))


def straight_route(cluster: str, operation: str) -> bytes:
    """Return what `encode_route` makes of a service's own route, `default`: all of it, with the mesh's usual retry."""
    return _STRAIGHT(cluster.encode(), operation.encode())


def _usual(route: Route, action: Forward) -> bool:
    """Say whether a route is as nearly all are: a path, some clusters, the usual retry. By hand it takes a tenth."""
    if route.match.headers or route.match.query:
        return False
    if route.match.path.ignore_case or action.timeout.nanoseconds < 0:
        return False
    parts = (
        action.retry,
        action.prefix_rewrite,
        action.regex_rewrite,
        action.authority,
        action.mirrors,
        action.hash_keys,
        action.missing,
        route.request,
        route.response,
        route.fault,
        route.cors,
        route.stat_prefix,
        route.session,
        route.asked,
    )
    return parts == _USUAL_PARTS and all(map(_plain, action.targets))


_USUAL_PARTS = (USUAL_RETRY, "", None, "", (), (), 503, NO_CHANGES, NO_CHANGES, None, None, "", None, "")


def _plain(target: WeightedTarget) -> bool:
    return target.request == target.response == NO_CHANGES and not target.authority


def _usual_bytes(route: Route, action: Forward) -> bytes:
    if len(action.targets) == 1:
        clusters = framed(_CLUSTER, action.targets[0].cluster.encode())
    else:
        clusters = framed(
            _WEIGHTED,
            b"".join(
                [
                    framed(_CLUSTERS, text(_TARGET, one.cluster) + framed(_WEIGHT, _number(one.weight)))
                    for one in action.targets
                ]
            ),
        )
    path, value = route.match.path, route.match.path.value.encode()
    if path.how is How.EXACT:
        match = framed(_PATH, value)
    elif path.how is How.REGEX:
        match = framed(_REGEX, framed(_EXPRESSION, value) if value else b"")
    elif path.how is How.SEGMENTS:
        match = framed(_SEGMENTS, value)
    else:
        match = framed(_PREFIX, value if path.how is How.PREFIX else b"/")
    metadata = b""
    if route.config:
        config = entry("istio", framing.struct({"config": route.config}))
        metadata = framed(_METADATA, framed(_FILTER_METADATA, config))
    return b"".join(
        (
            framed(_MATCH, match),
            framed(_ROUTE, clusters + framed(_TIMEOUT, span(action.timeout)) + _USUAL_RETRY),
            metadata,
            framed(_DECORATOR, text(_OPERATION, route.operation)) if route.operation else b"",
            text(_ROUTE_NAME, route.name),
        )
    )


def _number(value: int) -> bytes:
    return _VALUE + varint(value) if value else b""


def route_configuration(name: str, hosts: tuple[VirtualHost, ...]) -> RouteConfiguration:
    """Make a whole RouteConfiguration, for nesting in an inbound listener."""
    return RouteConfiguration(
        name=name,
        virtual_hosts=[virtual_host_message(host) for host in hosts],
        validate_clusters=boolean(False),
    )


def _route(route: Route) -> RouteMessage:
    message = RouteMessage(
        name=route.name,
        match=_match(route.match),
        decorator=Decorator(operation=route.operation) if route.operation else None,
        metadata=_metadata(route.config),
        request_headers_to_add=_options(route.request),
        request_headers_to_remove=route.request.remove,
        response_headers_to_add=_options(route.response),
        response_headers_to_remove=route.response.remove,
        typed_per_filter_config=_per_filter(route),
        stat_prefix=route.stat_prefix,
    )
    if isinstance(route.action, Forward):
        message.route.CopyFrom(_forward(route.action))
    elif isinstance(route.action, Redirect):
        message.redirect.CopyFrom(_redirect(route.action))
    else:
        body = None if route.action.body is None else DataSource(inline_bytes=route.action.body)
        message.direct_response.CopyFrom(DirectResponseAction(status=route.action.status, body=body))
    return message


def _metadata(config: str) -> Metadata | None:
    if not config:
        return None
    return Metadata(filter_metadata={"istio": struct({"config": config})})


def _match(match: Match) -> RouteMatch:
    message = RouteMatch(
        headers=[_header_test(test) for test in match.headers],
        query_parameters=[_query_test(test) for test in match.query],
    )
    path = match.path
    if path.how is How.EXACT:
        message.path = path.value
    elif path.how is How.REGEX:
        message.safe_regex.CopyFrom(RegexMatcher(regex=path.value))
    elif path.how is How.SEGMENTS:
        message.path_separated_prefix = path.value
    else:
        message.prefix = path.value if path.how is How.PREFIX else "/"
    if path.ignore_case:
        message.case_sensitive.CopyFrom(boolean(False))
    return message


def _header_test(test: HeaderTest) -> HeaderMatcher:
    if test.text.how is How.PRESENT:
        return HeaderMatcher(name=test.name, present_match=True, invert_match=test.invert)
    # Envoy takes no missing header for a match, inverted or not; "not x" must hold where there is none.
    return HeaderMatcher(
        name=test.name,
        string_match=string_matcher(test.text),
        invert_match=test.invert,
        treat_missing_header_as_empty=test.invert,
    )


def _query_test(test: QueryTest) -> QueryParameterMatcher:
    if test.text.how is How.PRESENT:
        return QueryParameterMatcher(name=test.name, present_match=True)
    return QueryParameterMatcher(name=test.name, string_match=string_matcher(test.text))


def _options(changes: HeaderChanges) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(header=HeaderValue(key=key, value=value), append_action=action)
        for action, pairs in (
            (HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD, changes.set),
            (HeaderValueOption.APPEND_IF_EXISTS_OR_ADD, changes.add),
        )
        for key, value in pairs
    ]


def _forward(action: Forward) -> RouteAction:
    # No max_stream_duration here: where it is set, even to bound gRPC's header alone, Envoy ignores `timeout`.
    message = RouteAction(
        timeout=duration(action.timeout),
        retry_policy=_retry(action.retry),
        prefix_rewrite=action.prefix_rewrite,
        request_mirror_policies=[_mirror(mirror) for mirror in action.mirrors],
        hash_policy=[_hash(key) for key in action.hash_keys],
    )
    if action.regex_rewrite is not None:
        message.regex_rewrite.CopyFrom(_substitute(action.regex_rewrite))
    if action.authority:
        message.host_rewrite_literal = action.authority
    if action.missing == 500:
        message.cluster_not_found_response_code = RouteAction.INTERNAL_SERVER_ERROR
    first = action.targets[0]
    plain = first.request == first.response == NO_CHANGES and not first.authority
    if len(action.targets) == 1 and plain:
        message.cluster = first.cluster
    else:
        message.weighted_clusters.CopyFrom(
            WeightedCluster(clusters=[_target(target) for target in action.targets])
        )
    return message


def _substitute(wanted: RegexRewrite) -> RegexMatchAndSubstitute:
    pattern = RegexMatcher(regex=wanted.pattern)
    return RegexMatchAndSubstitute(pattern=pattern, substitution=wanted.substitution)


def _target(target: WeightedTarget) -> WeightedCluster.ClusterWeight:
    message = WeightedCluster.ClusterWeight(
        name=target.cluster,
        weight=uint32(target.weight),
        request_headers_to_add=_options(target.request),
        request_headers_to_remove=target.request.remove,
        response_headers_to_add=_options(target.response),
        response_headers_to_remove=target.response.remove,
    )
    if target.authority:
        message.host_rewrite_literal = target.authority
    return message


def _retry(policy: RetryPolicy | None) -> RetryMessage | None:
    if policy is None:
        return None
    message = RetryMessage(
        retry_on=",".join(policy.on),
        num_retries=uint32(policy.attempts),
        per_try_timeout=duration(policy.per_try_timeout),
        retriable_status_codes=policy.status_codes,
    )
    if policy.ignore_previous_hosts:
        message.host_selection_retry_max_attempts = 5
        message.retry_host_predicate.add(
            name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(PreviousHostsPredicate())
        )
    if policy.remote_localities:
        message.retry_priority.CopyFrom(
            RetryMessage.RetryPriority(
                name="envoy.retry_priorities.previous_priorities",
                typed_config=pack(PreviousPrioritiesConfig(update_frequency=2)),
            )
        )
    if policy.backoff is not None:
        message.retry_back_off.CopyFrom(RetryMessage.RetryBackOff(base_interval=duration(policy.backoff)))
    return message


def _percent(percent: float) -> FractionalPercent:
    return FractionalPercent(numerator=round(percent * 10_000), denominator=FractionalPercent.MILLION)


def _mirror(mirror: Mirror) -> RouteAction.RequestMirrorPolicy:
    return RouteAction.RequestMirrorPolicy(
        cluster=mirror.cluster,
        runtime_fraction=RuntimeFractionalPercent(default_value=_percent(mirror.percent)),
        trace_sampled=boolean(False),
        disable_shadow_host_suffix_append=True,
    )


def _hash(key: HashKey) -> RouteAction.HashPolicy:
    kinds = RouteAction.HashPolicy
    if key.by is HashBy.HEADER:
        return kinds(header=kinds.Header(header_name=key.name))
    if key.by is HashBy.QUERY:
        return kinds(query_parameter=kinds.QueryParameter(name=key.name))
    if key.by is HashBy.SOURCE_IP:
        return kinds(connection_properties=kinds.ConnectionProperties(source_ip=True))
    attributes = [kinds.CookieAttribute(name=name, value=value) for name, value in key.attributes]
    return kinds(
        cookie=kinds.Cookie(name=key.name, path=key.path, ttl=duration(key.ttl), attributes=attributes)
    )


_REDIRECT_CODES = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
REDIRECT_CODES = tuple(_REDIRECT_CODES)
"""The statuses that Envoy can redirect with."""


def _redirect(action: Redirect) -> RedirectAction:
    message = RedirectAction(
        host_redirect=action.authority, port_redirect=action.port, response_code=_REDIRECT_CODES[action.code]
    )
    if action.regex is not None:
        message.regex_rewrite.CopyFrom(_substitute(action.regex))
    elif action.prefix:
        message.prefix_rewrite = action.prefix
    elif action.path:
        message.path_redirect = action.path
    if action.to_https:
        message.https_redirect = True
    elif action.scheme:
        message.scheme_redirect = action.scheme
    return message


def _per_filter(route: Route) -> dict[str, Any]:
    configs: dict[str, Any] = {}
    if route.fault is not None:
        configs[filters.FAULT] = pack(_fault(route.fault))
    if route.cors is not None:
        configs[filters.CORS] = pack(_cors(route.cors))
    if route.session is not None:
        configs[sessions.NAME] = sessions.per_route(route.session)
    if route.asked:
        configs[route.asked] = ext_authz.turned_on()
    return configs


def _fault(fault: Fault) -> HTTPFault:
    message = HTTPFault()
    if fault.delay is not None:
        message.delay.CopyFrom(
            FaultDelay(fixed_delay=duration(fault.delay), percentage=_percent(fault.delay_percent))
        )
    if fault.abort_status is not None:
        message.abort.CopyFrom(
            FaultAbort(http_status=fault.abort_status, percentage=_percent(fault.abort_percent))
        )
    elif fault.abort_grpc is not None:
        message.abort.CopyFrom(
            FaultAbort(grpc_status=fault.abort_grpc, percentage=_percent(fault.abort_percent))
        )
    return message


def _cors(cors: Cors) -> CorsPolicy:
    return CorsPolicy(
        allow_origin_string_match=[string_matcher(origin) for origin in cors.origins],
        allow_methods=cors.methods,
        allow_headers=cors.headers,
        expose_headers=cors.expose,
        max_age=cors.max_age,
        allow_credentials=boolean(cors.credentials),
        filter_enabled=RuntimeFractionalPercent(default_value=_percent(100.0)),
        forward_not_matching_preflights=boolean(cors.forward_unmatched),
    )


# The parts of what is put together by hand, in the order of their fields.
_HOST_NAME = tag(VirtualHostMessage, "name")
_DOMAINS = tag(VirtualHostMessage, "domains")
_ROUTES = tag(VirtualHostMessage, "routes")
_REQUIRE_TLS = encode(VirtualHostMessage(require_tls=VirtualHostMessage.ALL))
_ATTEMPT_COUNT = encode(VirtualHostMessage(include_request_attempt_count=True))
_MATCH = tag(RouteMessage, "match")
_PREFIX = tag(RouteMatch, "prefix")
_PATH = tag(RouteMatch, "path")
_REGEX = tag(RouteMatch, "safe_regex")
_SEGMENTS = tag(RouteMatch, "path_separated_prefix")
_EXPRESSION = tag(RegexMatcher, "regex")
_ROUTE = tag(RouteMessage, "route")
_CLUSTER = tag(RouteAction, "cluster")
_WEIGHTED = tag(RouteAction, "weighted_clusters")
_CLUSTERS = tag(WeightedCluster, "clusters")
_TARGET = tag(WeightedCluster.ClusterWeight, "name")
_WEIGHT = tag(WeightedCluster.ClusterWeight, "weight")
_VALUE = tag(UInt32Value, "value")
_TIMEOUT = tag(RouteAction, "timeout")
_USUAL_RETRY = encode(RouteAction(retry_policy=_retry(USUAL_RETRY)))
_METADATA = tag(RouteMessage, "metadata")
_FILTER_METADATA = tag(Metadata, "filter_metadata")
_DECORATOR = tag(RouteMessage, "decorator")
_OPERATION = tag(Decorator, "operation")
_ROUTE_NAME = tag(RouteMessage, "name")
_STRAIGHT = form(
    VirtualHostMessage(
        routes=[
            _route(
                Route(
                    Forward((WeightedTarget("<cluster>", 1),), retry=USUAL_RETRY),
                    name="default",
                    operation="<operation>",
                )
            )
        ]
    ),
    {"cluster": "<cluster>", "operation": "<operation>"},
    {},
)
