"""Rules of routes, in the words of a VirtualService: each match on its own, with its rank among all.

Of all that match a request the specification takes the rule of the exact path, then of the longest prefix, then one
with a method, then with the most headers, then with the most parameters; then the older route's, then the first.
Expressions come behind prefixes, and before what is for all paths, as in Istio.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from meltemi.api import duration
from meltemi.api.duration import Duration
from meltemi.api.gatewayapi.grpc_route import GRPCMethodMatch, GRPCRouteMatch, GRPCRouteRule
from meltemi.api.gatewayapi.http_route import (
    HTTPRouteMatch,
    HTTPRouteRetry,
    HTTPRouteRule,
    MatchType,
    PathMatchType,
)
from meltemi.api.gatewayapi.references import BackendRef
from meltemi.api.gatewayapi.session import SessionPersistence, SessionType
from meltemi.api.networking.virtual_service import (
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPRetry,
    HTTPRoute,
    HTTPRouteDestination,
    RouteDestination,
    StringMatch,
)
from meltemi.api.values import Map
from meltemi.model.gateway_api import filters
from meltemi.model.gateway_api.backends import NOWHERE, Source, backend
from meltemi.model.gateway_api.parents import route_of
from meltemi.model.gateway_api.specified import Persistence, SpecifiedRoute
from meltemi.model.gateway_api.words import Problem
from meltemi.query import Db, query

Rank = tuple[int, int, int, int, int]
"""Smaller comes first."""
_EXACT, _PREFIX, _REGEX, _ALL = 0, 1, 2, 3
FAILS: Final = HTTPDirectResponse(500)
"""What a rule answers that has nowhere to go, or cannot be as it is written."""
RETRIED: Final = ("connect-failure", "refused-stream", "unavailable", "cancelled")


@dataclass(frozen=True, slots=True)
class Ranked:
    """One match of a rule, with what is done."""

    rank: Rank
    route: HTTPRoute


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a route: `http`, or where `streams` go.

    `refused` is why a rule answers with an error, `whole` says that all do; `unresolved` is a reference in vain.
    """

    http: tuple[Ranked, ...] = ()
    streams: tuple[RouteDestination, ...] = ()
    refused: Problem | None = None
    whole: bool = False
    unresolved: Problem | None = None


@query
def rules(q: Db, kind: str, namespace: str, name: str, in_mesh: bool) -> Rules:
    """Translate the rules of a route, at listeners or in the mesh."""
    made = route_of(q, kind, namespace, name)
    if made is None:
        return Rules()
    source = Source(made.ref, in_mesh)
    if kind in ("TLSRoute", "TCPRoute"):
        return _streams(q, source, made.spec.rules)
    found: list[Ranked] = []
    refused: list[Problem | None] = []
    unresolved: Problem | None = None
    for index, rule in enumerate(made.spec.rules or ((GRPCRouteRule(),) if kind == "GRPCRoute" else ())):
        label = f"{namespace}.{name}.{rule.name or index}"
        done, refusal, lost = _done(q, source, rule, label)
        refused.append(refusal)
        unresolved = unresolved or lost
        for match in rule.matches or (None,):
            rank, condition = _grpc(match) if kind == "GRPCRoute" else _http(match or HTTPRouteMatch())
            if "" in condition.headers or "" in condition.query_params:
                # What has no name is nothing that a request could bear.
                continue
            found.append(Ranked(rank, replace(done, name=label, match=(condition,))))
    first = next((one for one in refused if one is not None), None)
    return Rules(tuple(found), (), first, bool(refused) and None not in refused, unresolved)


# What is done.


def _done(
    q: Db, source: Source, rule: HTTPRouteRule | GRPCRouteRule, label: str
) -> tuple[HTTPRoute, Problem | None, Problem | None]:
    """Translate what a rule does, whatever it matches; with why it cannot, and what is referred to in vain."""
    listed: tuple[filters.Filter, ...] = rule.filters
    asked = filters.read(q, source, listed, _prefix(rule))
    split, refusal, lost = _backends(q, source, rule)
    unresolved = asked.unresolved or lost
    refusal = asked.refusal or refusal
    if refusal is not None or asked.closed:
        return HTTPRoute(direct_response=FAILS), refusal, unresolved
    made = HTTPRoute(headers=asked.headers, cors_policy=asked.cors)
    session = _session(rule.session_persistence, label)
    if session is not None or asked.authorizer is not None:
        made = SpecifiedRoute(
            headers=asked.headers, cors_policy=asked.cors, session=session, authorizer=asked.authorizer
        )
    if asked.redirect is not None:
        return replace(made, redirect=asked.redirect), None, unresolved
    if all(one.destination == NOWHERE for one in split):
        return replace(made, direct_response=FAILS), None, unresolved
    made = replace(made, route=split, rewrite=asked.rewrite, mirrors=tuple(asked.mirrors))
    if isinstance(rule, HTTPRouteRule):
        made = _timed(made, rule)
    return made, None, unresolved


def _session(wanted: SessionPersistence | None, label: str) -> Persistence | None:
    """Translate what bears a session, under a name of the rule's own where none is given."""
    if wanted is None:
        return None
    header = wanted.type is SessionType.Header
    return Persistence(wanted.session_name or f"session.{label}", header, _span(wanted.absolute_timeout))


def _prefix(rule: HTTPRouteRule | GRPCRouteRule) -> str:
    """Return the path prefix that a rule matches; "" where it matches others, too."""
    if isinstance(rule, HTTPRouteRule) and len(rule.matches) == 1:
        path = rule.matches[0].path
        return path.value if path.type is PathMatchType.PathPrefix else ""
    return ""


def _backends(
    q: Db, source: Source, rule: HTTPRouteRule | GRPCRouteRule
) -> tuple[tuple[HTTPRouteDestination, ...], Problem | None, Problem | None]:
    split: list[HTTPRouteDestination] = []
    refused: Problem | None = None
    lost: Problem | None = None
    for one in rule.backend_refs:
        found = backend(q, source, _reference(one))
        lost = lost or found.problem
        listed: tuple[filters.Filter, ...] = one.filters
        headers, refusal = filters.of_backend(q, source, listed)
        refused = refused or refusal
        if one.weight > 0:
            split.append(HTTPRouteDestination(found.destination, one.weight, headers))
    return tuple(split), refused, lost


def _reference(one: BackendRef) -> BackendRef:
    """Give a reference without its filters and weight, which do not say what is meant: one answer for all."""
    return BackendRef(group=one.group, kind=one.kind, name=one.name, namespace=one.namespace, port=one.port)


def _timed(made: HTTPRoute, rule: HTTPRouteRule) -> HTTPRoute:
    retries = None if rule.retry is None else _retries(rule.retry)
    if rule.timeouts is not None:
        whole, each = _span(rule.timeouts.request), _span(rule.timeouts.backend_request)
        if whole is not None:
            made = replace(made, timeout=whole)
        if each is not None and each.nanoseconds:
            if retries is not None and retries.attempts:
                retries = replace(retries, per_try_timeout=each)
            elif whole is None or not whole.nanoseconds:
                # One try, which may take this long.
                made = replace(made, timeout=each)
            else:
                made = replace(made, timeout=min(whole, each))
    return made if retries is None else replace(made, retries=retries)


def _span(text: str) -> Duration | None:
    return duration.parse(text) if text else None


def _retries(wanted: HTTPRouteRetry) -> HTTPRetry:
    codes = tuple(str(code) for code in wanted.codes)
    return HTTPRetry(
        attempts=2 if wanted.attempts is None else wanted.attempts,
        retry_on=",".join((*RETRIED, *codes)),
        backoff=_span(wanted.backoff),
    )


# What is matched.


def _http(match: HTTPRouteMatch) -> tuple[Rank, HTTPMatchRequest]:
    path = match.path
    if path.type is PathMatchType.Exact:
        form, uri = _EXACT, StringMatch(exact=path.value)
    elif path.type is PathMatchType.RegularExpression:
        form, uri = _REGEX, StringMatch(regex=path.value)
    else:
        whole = path.value.rstrip("/")
        form, uri = (_PREFIX, StringMatch(prefix=whole)) if whole else (_ALL, StringMatch(prefix="/"))
    length = len(uri.exact or uri.regex or uri.prefix or "")
    # Of several for one name the first counts.
    headers = Map({one.name.lower(): _text(one.type, one.value) for one in reversed(match.headers)})
    query_params = Map({one.name: _text(one.type, one.value) for one in reversed(match.query_params)})
    method = None if match.method is None else StringMatch(exact=match.method.name)
    made = HTTPMatchRequest(uri=uri, method=method, headers=headers, query_params=query_params)
    return (form, -length, 0 if method is not None else 1, -len(headers), -len(query_params)), made


def _text(form: MatchType, value: str) -> StringMatch:
    return StringMatch(exact=value) if form is MatchType.Exact else StringMatch(regex=value)


def _grpc(match: GRPCRouteMatch | None) -> tuple[Rank, HTTPMatchRequest]:
    """Translate a match of gRPC, whose path is `/service/method`."""
    wanted = GRPCRouteMatch() if match is None else match
    form, uri = _called(wanted.method)
    headers = Map({one.name.lower(): _text(one.type, one.value) for one in reversed(wanted.headers)})
    length = len(uri.exact or uri.regex or uri.prefix or "")
    made = HTTPMatchRequest(uri=uri, headers=headers)
    return (form, -length, 1, -len(headers), 0), made


def _called(wanted: GRPCMethodMatch | None) -> tuple[int, StringMatch]:
    if wanted is None:
        return _ALL, StringMatch(prefix="/")
    if wanted.type is MatchType.RegularExpression:
        return _REGEX, StringMatch(regex=f"/{wanted.service or '[^/]+'}/{wanted.method or '[^/]+'}")
    if wanted.service and wanted.method:
        return _EXACT, StringMatch(exact=f"/{wanted.service}/{wanted.method}")
    if wanted.service:
        return _PREFIX, StringMatch(prefix=f"/{wanted.service}")
    return _REGEX, StringMatch(regex=f"/[^/]+/{re.escape(wanted.method)}")


# Connections.


def _streams(q: Db, source: Source, listed: tuple[Any, ...]) -> Rules:
    """Translate where connections go: by the first rule, for nothing tells the others apart."""
    split: list[RouteDestination] = []
    lost: Problem | None = None
    for one in listed[0].backend_refs if listed else ():
        found = backend(q, source, _reference(one))
        lost = lost or found.problem
        if one.weight > 0:
            split.append(RouteDestination(found.destination, one.weight))
    return Rules(streams=tuple(split) or (RouteDestination(NOWHERE, 1),), unresolved=lost)
