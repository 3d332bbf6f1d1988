"""Rules of a VirtualService's HTTP routes; what they match is in `http_match`."""

from __future__ import annotations

from meltemi.api.duration import SECOND
from meltemi.api.networking.virtual_service import (
    CorsPolicy,
    Destination,
    Headers,
    HTTPDirectResponse,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
    Percent,
    VirtualService,
)
from meltemi.galley.validate import http_fault, http_match, rules
from meltemi.galley.validate.findings import At, Findings

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
RETRY_ON = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
LARGE_BODY = 100 * 1024
LARGEST_BODY = 1024 * 1024


def validate(found: Findings, at: At, route: HTTPRoute, spec: VirtualService, *, delegate: bool) -> None:
    """Check one route; `delegate` says that the VirtualService has no hosts and is used by others."""
    _conflicts(found, at, route, delegate=delegate)
    http_match.validate(found, at, route, spec)
    if route.headers is not None:
        _headers(found, (*at, "headers"), route.headers)
    _authority(found, at, route)
    if route.redirect is not None:
        _redirect(found, (*at, "redirect"), route.redirect)
    if route.direct_response is not None:
        _direct_response(found, (*at, "directResponse"), route.direct_response)
    if route.rewrite is not None:
        _rewrite(found, (*at, "rewrite"), route.rewrite)
    if route.retries is not None:
        _retries(found, (*at, "retries"), route.retries)
    if route.cors_policy is not None:
        _cors(found, (*at, "corsPolicy"), route.cors_policy)
    if route.fault is not None:
        http_fault.validate(found, (*at, "fault"), route.fault)
    if route.delegate is not None and not route.delegate.name:
        found.error((*at, "delegate", "name"), "Required value: the delegate's name")
    rules.duration(found, (*at, "timeout"), route.timeout)
    _mirrors(found, at, route)
    _destinations(found, (*at, "route"), route.route)


def _conflicts(found: Findings, at: At, route: HTTPRoute, *, delegate: bool) -> None:
    if route.delegate is not None and delegate:
        found.error((*at, "delegate"), "a delegate cannot delegate again")
        return
    if route.delegate is not None:
        for name, given in (("route", route.route), ("redirect", route.redirect)):
            if given:
                found.error((*at, name), f"a route that delegates must not specify {name}")
        if route.direct_response is not None:
            found.warn(
                (*at, "directResponse"), "it answers for every route of the delegate that does not redirect"
            )
        return
    answers = {"redirect": route.redirect, "directResponse": route.direct_response}
    chosen = [name for name, answer in answers.items() if answer is not None]
    if len(chosen) > 1:
        found.error((*at, chosen[1]), "an HTTP route cannot contain both redirect and directResponse")
    others = {"route": route.route, "fault": route.fault, "rewrite": route.rewrite}
    for one in chosen:
        for name, other in others.items():
            if other:
                found.error((*at, name), f"an HTTP route cannot contain both {name} and {one}")
    if not chosen and not route.route:
        found.error((*at, "route"), "HTTP route, redirect or directResponse is required")


def _authority(found: Findings, at: At, route: HTTPRoute) -> None:
    """Check that the authority is set in one place only."""
    places = [(*at, "rewrite", "authority")] if route.rewrite is not None and route.rewrite.authority else []
    if route.headers is not None and route.headers.request is not None:
        for form, table in (("set", route.headers.request.set), ("add", route.headers.request.add)):
            places += [(*at, "headers", "request", form, name) for name in table if is_authority(name)]
    for place in places[1:]:
        found.error(place, "the authority cannot be set twice")


def is_authority(name: str) -> bool:
    """Say whether a header is the request's authority, under either of its names."""
    return name.lower() in (":authority", "host")


def _headers(found: Findings, at: At, headers: Headers) -> None:
    for side, operations in (("request", headers.request), ("response", headers.response)):
        if operations is None:
            continue
        for form, table in (("set", operations.set), ("add", operations.add)):
            for name, value in table.items():
                here = (*at, side, form, name)
                if fault := _operation_fault(name, authority=side == "request"):
                    found.error(here, fault)
                if fault := rules.header_value_fault(value):
                    found.error(here, fault)
        for index, name in enumerate(operations.remove):
            if fault := _operation_fault(name, authority=False):
                found.error((*at, side, "remove", index), fault)


def _operation_fault(name: str, *, authority: bool) -> str:
    if authority and is_authority(name):
        return ""
    if name.startswith(":"):
        return f'invalid header "{name}": a header cannot have the prefix ":"'
    if name.lower() == "host":
        return f'invalid header "{name}": cannot set the Host header'
    return rules.operated_header_fault(name)


def destination(found: Findings, at: At, wanted: Destination) -> None:
    """Check a destination: host, subset, port."""
    if wanted.host == "*":
        found.error((*at, "host"), 'a destination\'s host cannot be "*"')
    elif (fault := rules.wildcard_domain_fault(wanted.host)) and not rules.is_address(wanted.host):
        found.error((*at, "host"), fault)
    if wanted.subset and not rules.is_label(wanted.subset):
        found.error((*at, "subset"), f'"{wanted.subset}" is not a name for a subset')
    if wanted.port is not None:
        rules.port(found, (*at, "port"), wanted.port)


def _destinations(found: Findings, at: At, routes: tuple[HTTPRouteDestination, ...]) -> None:
    for index, route in enumerate(routes):
        here = (*at, index)
        if route.destination is None:
            found.error((*here, "destination"), "Required value: a destination is needed")
        else:
            destination(found, (*here, "destination"), route.destination)
        if route.headers is not None:
            _headers(found, (*here, "headers"), route.headers)
        if route.weight < 0:
            found.error((*here, "weight"), f"weight {route.weight} < 0")
    if len(routes) > 1 and sum(route.weight for route in routes) == 0:
        found.error(at, "total destination weight = 0")


def _mirrors(found: Findings, at: At, route: HTTPRoute) -> None:
    if route.mirror is not None:
        destination(found, (*at, "mirror"), route.mirror)
        if route.mirrors:
            found.error((*at, "mirrors"), "an HTTP route cannot contain both mirror and mirrors")
    for index, mirror in enumerate(route.mirrors):
        here = (*at, "mirrors", index)
        if mirror.destination is None:
            found.error((*here, "destination"), "Required value: a destination is needed")
        else:
            destination(found, (*here, "destination"), mirror.destination)
        _share(found, (*here, "percentage"), mirror.percentage)
    _share(found, (*at, "mirrorPercentage"), route.mirror_percentage)
    if route.mirror_percent is not None and route.mirror_percent > 100:
        found.error((*at, "mirrorPercent"), f"must be at most 100, not {route.mirror_percent}")


def _share(found: Findings, at: At, share: Percent | None) -> None:
    if share is not None and not 0 <= share.value <= 100:
        found.error((*at, "value"), f"must be between 0 and 100, not {share.value:g}")


def _redirect(found: Findings, at: At, redirect: HTTPRedirect) -> None:
    port = redirect.port is not None or redirect.derive_port is not None
    if not redirect.uri and not redirect.authority and not redirect.scheme and not port:
        found.error(at, "a redirect must specify uri, authority, scheme or port")
    if redirect.redirect_code and not 300 <= redirect.redirect_code <= 399:
        found.error((*at, "redirectCode"), f"{redirect.redirect_code} is not a redirect code, which is 3xx")
    if redirect.scheme not in ("", "http", "https"):
        found.error((*at, "scheme"), 'the scheme must be "http" or "https"')
    if redirect.port and (fault := rules.port_fault(redirect.port)):
        found.error((*at, "port"), fault)


def _direct_response(found: Findings, at: At, response: HTTPDirectResponse) -> None:
    if fault := http_fault.status_fault(response.status):
        found.error((*at, "status"), fault)
    if response.body is None:
        return
    size = len(response.body.bytes or b"") + len((response.body.string or "").encode())
    if size > LARGEST_BODY:
        found.error((*at, "body"), "a direct response's body must be less than 1 MiB")
    elif size > LARGE_BODY:
        found.warn((*at, "body"), "a large direct response weighs on every push")


def _rewrite(found: Findings, at: At, rewrite: HTTPRewrite) -> None:
    regex = rewrite.uri_regex_rewrite
    if rewrite.uri and regex is not None:
        found.error((*at, "uriRegexRewrite"), "a rewrite may have only one of uri and uriRegexRewrite")
    if not rewrite.uri and regex is None and not rewrite.authority:
        found.error(at, "a rewrite must specify uri, uriRegexRewrite or authority")
    if regex is not None:
        if not regex.match or not regex.rewrite:
            found.error((*at, "uriRegexRewrite"), "both match and rewrite are needed")
        elif fault := rules.regex_fault(regex.match):
            found.error((*at, "uriRegexRewrite", "match"), fault)


def _retries(found: Findings, at: At, retry: HTTPRetry) -> None:
    if retry.attempts < 0:
        found.error((*at, "attempts"), "attempts cannot be negative")
    given = retry.per_try_timeout is not None or retry.retry_on or retry.retry_remote_localities is not None
    if retry.attempts == 0 and given:
        found.error(at, "a retry policy is given, but attempts is 0, which disables retries")
    elif retry.attempts == 0 and retry.backoff is not None:
        found.warn((*at, "backoff"), "has no effect: attempts is 0, which disables retries")
    rules.duration(found, (*at, "perTryTimeout"), retry.per_try_timeout)
    rules.duration(found, (*at, "backoff"), retry.backoff)
    if not retry.retry_on:
        return
    for word in retry.retry_on.split(","):
        code = word.isascii() and word.isdecimal() and 100 <= int(word[:4]) <= 599 and len(word) == 3
        if not code and word not in RETRY_ON:
            near = rules.nearest_of(word.strip(), RETRY_ON)
            found.error((*at, "retryOn"), f'"{word}" is not a condition for retries', near)


def _cors(found: Findings, at: At, policy: CorsPolicy) -> None:
    for index, origin in enumerate(policy.allow_origins):
        here = (*at, "allowOrigins", index)
        if not (origin.exact or origin.prefix or origin.regex):
            found.error(here, "an allowed origin needs exact, prefix or regex, not empty")
        elif origin.regex and (fault := rules.regex_fault(origin.regex)):
            found.error((*here, "regex"), fault)
    for index, method in enumerate(policy.allow_methods):
        if method not in METHODS:
            found.error((*at, "allowMethods", index), f'"{method}" is not a supported HTTP method')
    for name, headers in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, header in enumerate(headers):
            if header != "*" and (fault := rules.header_fault(header)):
                found.error((*at, name, index), fault)
    if policy.max_age is not None:
        rules.duration(found, (*at, "maxAge"), policy.max_age)
        if policy.max_age.nanoseconds % SECOND:
            found.error((*at, "maxAge"), "must be in whole seconds")
