"""HTTPRoute: which HTTP requests go where (gateway.networking.k8s.io)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api import duration
from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.http_filter import HTTP_FILTER_RULES, HTTPRouteFilter, replaces_prefix
from meltemi.api.gatewayapi.references import (
    AttachedRoute,
    BackendRef,
)
from meltemi.api.gatewayapi.session import SessionPersistence
from meltemi.api.gatewayapi.status import RouteStatus
from meltemi.api.kind import Column, Kind
from meltemi.api.values import Json


class PathMatchType(Enum):
    """How a path is compared."""

    PathPrefix = "PathPrefix"
    Exact = "Exact"
    RegularExpression = "RegularExpression"


class MatchType(Enum):
    """How a header or parameter is compared."""

    Exact = "Exact"
    RegularExpression = "RegularExpression"


class HTTPMethod(Enum):
    """Methods of HTTP."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"
    CONNECT = "CONNECT"
    OPTIONS = "OPTIONS"
    TRACE = "TRACE"
    PATCH = "PATCH"


_NOT_IN_PATHS: Final = ("//", "/./", "/../", "%2f", "%2F", "#")
_NOT_AT_ENDS: Final = ("/..", "/.")


def _literal(given: Mapping[str, Any]) -> str:
    """Give a path that is no expression; `/` where there is none."""
    if given.get("type") is PathMatchType.RegularExpression:
        return "/"
    return str(given.get("value", "/"))


@dataclass(frozen=True, slots=True)
class HTTPPathMatch:
    """A path."""

    type: PathMatchType = field("How it is compared.", PathMatchType.PathPrefix, filled=Json.of("PathPrefix"))
    value: str = field("The path, or an RE2 expression.", "/", max_length=1024, filled=Json.of("/"))

    RULES = (
        Rule(
            "self.type == 'RegularExpression' || self.value.startsWith('/')",
            "a path begins with /",
            lambda given: _literal(given).startswith("/"),
            "value",
        ),
        Rule(
            "self.type == 'RegularExpression' || "
            f"!({list(_NOT_IN_PATHS)}.exists(part, self.value.contains(part)) || "
            f"{list(_NOT_AT_ENDS)}.exists(part, self.value.endsWith(part)))",
            "a path has none of //, /./, /../, %2f, %2F, # in it, nor /. or /.. at its end",
            lambda given: (
                not any(part in _literal(given) for part in _NOT_IN_PATHS)
                and not _literal(given).endswith(_NOT_AT_ENDS)
            ),
            "value",
        ),
        Rule(
            f"self.type == 'RegularExpression' || self.value.matches(r\"{words.PATH_PATTERN}\")",
            "a path has letters, digits, -._~!$&'()*+,;=:@/ and %XX",
            lambda given: bool(re.search(words.PATH_PATTERN, _literal(given))),
            "value",
        ),
    )


@dataclass(frozen=True, slots=True)
class HTTPHeaderMatch:
    """A header."""

    type: MatchType = field("How it is compared.", MatchType.Exact, filled=Json.of("Exact"))
    name: str = field("Its name, in any case.", "", required=True, **words.HEADER)
    value: str = field("Its value, or an RE2 expression.", "", required=True, **words.HEADER_VALUE)


@dataclass(frozen=True, slots=True)
class HTTPQueryParamMatch:
    """A parameter of the query."""

    type: MatchType = field("How it is compared.", MatchType.Exact, filled=Json.of("Exact"))
    name: str = field("Its name.", "", required=True, **words.HEADER)
    value: str = field("Its value, or an RE2 expression.", "", required=True, min_length=1, max_length=1024)


@dataclass(frozen=True, slots=True)
class HTTPRouteMatch:
    """Requests: all that is given must hold."""

    path: HTTPPathMatch = field(
        "Their path.", HTTPPathMatch(), filled=Json.of({"type": "PathPrefix", "value": "/"})
    )
    headers: tuple[HTTPHeaderMatch, ...] = field("Their headers.", (), max_items=16, **words.KEYED)
    query_params: tuple[HTTPQueryParamMatch, ...] = field(
        "Parameters of their query.", (), max_items=16, **words.KEYED
    )
    method: HTTPMethod | None = field("Their method.", None)


@dataclass(frozen=True, slots=True)
class HTTPBackendRef(BackendRef):
    """A backend, its share of the requests, and what is done with those."""

    filters: tuple[HTTPRouteFilter, ...] = field(
        "What is done with requests to this backend.", (), max_items=16, **words.WHOLE
    )

    RULES = (*BackendRef.RULES, *HTTP_FILTER_RULES)


def _within(given: Mapping[str, Any]) -> bool:
    whole, each = (duration.parse(given.get(name, "")) for name in ("request", "backend_request"))
    return whole is None or each is None or not whole.nanoseconds or each <= whole


@dataclass(frozen=True, slots=True)
class HTTPRouteTimeouts:
    """How long a request may take; `0s` is for ever."""

    request: str = field("From its arrival to the end of the response.", "", **words.DURATION)
    backend_request: str = field("Each try at a backend.", "", **words.DURATION)

    RULES = (
        Rule(
            "!has(self.request) || !has(self.backendRequest) || "
            "duration(self.request) == duration('0s') || "
            "duration(self.backendRequest) <= duration(self.request)",
            "a try at a backend (backendRequest) must not take longer than the whole request",
            _within,
            "backendRequest",
        ),
    )


@dataclass(frozen=True, slots=True)
class HTTPRouteRetry:
    """When a request is tried again (experimental)."""

    codes: tuple[int, ...] = field(
        "Statuses after which it is.", (), minimum=400, maximum=599, format="int64", **words.WHOLE
    )
    attempts: int | None = field("Further tries at most; 0 is none.", None, format="int64")
    backoff: str = field("Pause before a try.", "", **words.DURATION)


_EVERYTHING: Final = Json.of([{"path": {"type": "PathPrefix", "value": "/"}}])


def _no_redirect_to_backends(given: Mapping[str, Any]) -> bool:
    redirects = any(one.request_redirect is not None for one in given.get("filters", ()))
    return not (redirects and given.get("backend_refs"))


def _one_prefix(given: Mapping[str, Any], filters: Iterable[HTTPRouteFilter]) -> bool:
    if not any(replaces_prefix(one) for one in filters):
        return True
    matches = given.get("matches", (HTTPRouteMatch(),))
    return len(matches) == 1 and matches[0].path.type is PathMatchType.PathPrefix


_REPLACES: Final = (
    "(has(f.requestRedirect) && has(f.requestRedirect.path) && "
    "f.requestRedirect.path.type == 'ReplacePrefixMatch') || "
    "(has(f.urlRewrite) && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch')"
)
_ONE_PREFIX: Final = (
    "(size(self.matches) == 1 && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix')"
)
_WHICH_PREFIX: Final = "replacePrefixMatch needs exactly one match, with a path of type PathPrefix"


@dataclass(frozen=True, slots=True)
class HTTPRouteRule:
    """Requests, and what is done with them."""

    name: str = field("Its name, unique in the route.", "", **words.SECTION)
    matches: tuple[HTTPRouteMatch, ...] = field(
        "The requests: any of these; every request if none is given.",
        (HTTPRouteMatch(),),
        max_items=64,
        filled=_EVERYTHING,
        **words.WHOLE,
    )
    filters: tuple[HTTPRouteFilter, ...] = field("What is done with them.", (), max_items=16, **words.WHOLE)
    backend_refs: tuple[HTTPBackendRef, ...] = field("Where they go.", (), max_items=16, **words.WHOLE)
    timeouts: HTTPRouteTimeouts | None = field("How long they may take.", None)
    retry: HTTPRouteRetry | None = field("When they are tried again.", None)
    session_persistence: SessionPersistence | None = field(
        "Requests of one session go to one endpoint.", None
    )

    RULES = (
        *HTTP_FILTER_RULES,
        Rule(
            "!has(self.backendRefs) || size(self.backendRefs) == 0 || !has(self.filters) || "
            "self.filters.all(f, !has(f.requestRedirect))",
            "a redirect has no backendRefs: the client is sent elsewhere",
            _no_redirect_to_backends,
            "backendRefs",
        ),
        Rule(
            f"!has(self.filters) || !self.filters.exists(f, {_REPLACES}) || {_ONE_PREFIX}",
            _WHICH_PREFIX,
            lambda given: _one_prefix(given, given.get("filters", ())),
            "filters",
        ),
        Rule(
            "!has(self.backendRefs) || !self.backendRefs.exists(b, has(b.filters) && "
            f"b.filters.exists(f, {_REPLACES})) || {_ONE_PREFIX}",
            _WHICH_PREFIX,
            lambda given: _one_prefix(
                given, (one for backend in given.get("backend_refs", ()) for one in backend.filters)
            ),
            "backendRefs",
        ),
    )


def most_matches(*, filled: bool) -> Rule:
    """Give the rule that a route has at most 128 matches; `filled` says whether a rule always has some."""
    each = "size(r.matches)" if filled else "(has(r.matches) ? size(r.matches) : 0)"
    return Rule(
        f"!has(self.rules) || self.rules.map(r, {each}).sum() <= 128",
        "a route may have at most 128 matches in all its rules",
        lambda given: sum(len(one.matches) for one in given.get("rules", ())) <= 128,
        "rules",
    )


@dataclass(frozen=True, slots=True)
class HTTPRoute(AttachedRoute):
    """Which HTTP requests go where."""

    hostnames: tuple[str, ...] = field(
        "Hosts that it is for; the listener's if none is given.",
        (),
        max_items=16,
        **words.WHOLE,
        **words.each(words.HOSTNAME),
    )
    rules: tuple[HTTPRouteRule, ...] = field(
        "Requests, and what is done with them.",
        (HTTPRouteRule(),),
        min_items=1,
        max_items=16,
        filled=Json.of([{"matches": _EVERYTHING.value}]),
        **words.WHOLE,
    )

    RULES = (*AttachedRoute.RULES, most_matches(filled=True))


HTTP_ROUTE: Kind[HTTPRoute] = Kind(
    name="HTTPRoute",
    group=words.GROUP_NAME,
    versions=("v1", "v1beta1"),
    storage="v1",
    plural="httproutes",
    singular="httproute",
    categories=("gateway-api",),
    model=HTTPRoute,
    status=RouteStatus,
    columns=(
        Column("Hostnames", "string", ".spec.hostnames", "Hosts that it is for."),
        Column("Age", "date", ".metadata.creationTimestamp", "When the object was created."),
    ),
    doc="Which HTTP requests go where.",
)
