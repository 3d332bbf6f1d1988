"""Filters of HTTPRoutes and GRPCRoutes, in the words of a VirtualService."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from meltemi.api.duration import SECOND, Duration
from meltemi.api.gatewayapi.grpc_route import GRPCRouteFilter
from meltemi.api.gatewayapi.http_auth import (
    ExternalAuthProtocol,
    GRPCAuthConfig,
    HTTPAuthConfig,
    HTTPExternalAuthFilter,
)
from meltemi.api.gatewayapi.http_filter import (
    HTTPCORSFilter,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
    PathModifierType,
)
from meltemi.api.networking.virtual_service import (
    CorsPolicy,
    HeaderOperations,
    Headers,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRewrite,
    Percent,
    RedirectPortSelection,
    RegexRewrite,
    StringMatch,
    UnmatchedPreflights,
)
from meltemi.api.values import Map
from meltemi.model.gateway_api.backends import Source, backend
from meltemi.model.gateway_api.specified import Authorizer
from meltemi.model.gateway_api.words import Problem
from meltemi.query import Db

PREFIX_TOKEN: Final = "%PREFIX()%"  # noqa: S105 - a token of a template, no secret
"""Before the path of a redirect that takes the place of the prefix that matched."""
Filter = HTTPRouteFilter | GRPCRouteFilter


@dataclass(slots=True)
class Filtered:
    """What the filters of a rule, or of a backend, ask for.

    `refusal` is why the rule cannot be as it is written, `unresolved` what a filter refers to in vain; `closed` says
    that nothing may pass for that.
    """

    headers: Headers | None = None
    redirect: HTTPRedirect | None = None
    rewrite: HTTPRewrite | None = None
    mirrors: list[HTTPMirrorPolicy] = field(default_factory=list)
    cors: CorsPolicy | None = None
    authorizer: Authorizer | None = None
    closed: bool = False
    refusal: Problem | None = None
    unresolved: Problem | None = None


def read(q: Db, source: Source, filters: Iterable[Filter], prefix: str) -> Filtered:
    """Read filters; `prefix` is the path prefix that the rule matches, where it matches just one."""
    made = Filtered()
    request: HeaderOperations | None = None
    response: HeaderOperations | None = None
    for one in filters:
        match one.type.name:
            case "RequestHeaderModifier" if one.request_header_modifier is not None:
                request = _headers(one.request_header_modifier)
            case "ResponseHeaderModifier" if one.response_header_modifier is not None:
                response = _headers(one.response_header_modifier)
            case "RequestMirror" if one.request_mirror is not None:
                _mirror(q, source, one.request_mirror, made)
            case "ExternalAuth" if isinstance(one, HTTPRouteFilter) and one.external_auth is not None:
                _ask(q, source, one.external_auth, made)
            case name if not isinstance(one, HTTPRouteFilter) or not _http(one, name, prefix, made):
                made.refusal = Problem("UnsupportedValue", f"a filter of type {name} is not supported")
    if request is not None or response is not None:
        made.headers = Headers(request, response)
    return made


def _http(one: HTTPRouteFilter, name: str, prefix: str, made: Filtered) -> bool:
    """Read a filter that only HTTPRoutes have; say whether that was possible."""
    if name == "RequestRedirect" and one.request_redirect is not None:
        made.redirect = _redirect(one.request_redirect)
    elif name == "URLRewrite" and one.url_rewrite is not None:
        made.rewrite = _rewrite(one.url_rewrite, prefix)
    elif name == "CORS" and one.cors is not None:
        made.cors = _cors(one.cors)
    else:
        return False
    return True


def _ask(q: Db, source: Source, wanted: HTTPExternalAuthFilter, made: Filtered) -> None:
    """Read who is asked whether requests may pass; where nobody can be, none does.

    One server is asked: a rule that names several is refused, for nobody says which may be left out.
    """
    if made.authorizer is not None or made.closed:
        made.refusal = Problem("IncompatibleFilters", "a filter of type ExternalAuth may be given once")
        return
    found = backend(q, source, wanted.backend_ref)
    made.unresolved = made.unresolved or found.problem
    if found.problem is not None:
        made.closed = True
        return
    if found.destination.port is None:
        made.refusal = Problem("UnsupportedValue", "who is asked must be named with a port")
        return
    grpc = wanted.protocol is ExternalAuthProtocol.GRPC
    told = (wanted.grpc or GRPCAuthConfig()) if grpc else (wanted.http or HTTPAuthConfig())
    made.authorizer = Authorizer(
        host=found.destination.host,
        port=found.destination.port.number,
        grpc=grpc,
        path=told.path if isinstance(told, HTTPAuthConfig) else "",
        headers=told.allowed_headers,
        answers=told.allowed_response_headers if isinstance(told, HTTPAuthConfig) else (),
        body=0 if wanted.forward_body is None else wanted.forward_body.max_size,
    )


def of_backend(q: Db, source: Source, filters: Iterable[Filter]) -> tuple[Headers | None, Problem | None]:
    """Read the filters of one backend: as in Istio, only headers can be changed for a single one."""
    listed = tuple(filters)
    able = ("RequestHeaderModifier", "ResponseHeaderModifier")
    for one in listed:
        if one.type.name not in able:
            words = f"a filter of type {one.type.name} is not supported for a single backend"
            return None, Problem("UnsupportedValue", words)
    return read(q, source, listed, "").headers, None


def _headers(wanted: HTTPHeaderFilter) -> HeaderOperations:
    return HeaderOperations(
        Map({one.name: one.value for one in wanted.set if one.name}),
        Map({one.name: one.value for one in wanted.add if one.name}),
        wanted.remove,
    )


def _mirror(q: Db, source: Source, wanted: HTTPRequestMirrorFilter, made: Filtered) -> None:
    found = backend(q, source, wanted.backend_ref)
    made.unresolved = made.unresolved or found.problem
    if found.problem is not None:
        return
    share = 100.0
    if wanted.percent is not None:
        share = float(wanted.percent)
    elif wanted.fraction is not None:
        share = 100.0 * wanted.fraction.numerator / wanted.fraction.denominator
    made.mirrors.append(HTTPMirrorPolicy(found.destination, Percent(share)))


def _redirect(wanted: HTTPRequestRedirectFilter) -> HTTPRedirect:
    scheme = "" if wanted.scheme is None else wanted.scheme.name
    derived = (
        RedirectPortSelection.FROM_PROTOCOL_DEFAULT if scheme else RedirectPortSelection.FROM_REQUEST_PORT
    )
    return HTTPRedirect(
        uri=_redirect_path(wanted.path),
        authority=wanted.hostname,
        port=wanted.port,
        derive_port=derived if wanted.port is None else None,
        scheme=scheme,
        redirect_code=wanted.status_code,
    )


def _redirect_path(wanted: HTTPPathModifier | None) -> str:
    if wanted is None:
        return ""
    if wanted.type is PathModifierType.ReplaceFullPath:
        return wanted.replace_full_path or "/"
    return PREFIX_TOKEN + _trimmed(wanted.replace_prefix_match)


def _trimmed(text: str | None) -> str:
    return (text or "").rstrip("/") or "/"


def _rewrite(wanted: HTTPURLRewriteFilter, prefix: str) -> HTTPRewrite:
    path = wanted.path
    if path is None:
        return HTTPRewrite(authority=wanted.hostname)
    if path.type is PathModifierType.ReplaceFullPath:
        whole = RegexRewrite("/.*", _escaped(path.replace_full_path or "/"))
        return HTTPRewrite(authority=wanted.hostname, uri_regex_rewrite=whole)
    to, below = _trimmed(path.replace_prefix_match), prefix.rstrip("/")
    if to == "/" and below:
        # Put in the prefix's place, it would leave two slashes before the rest.
        rest = RegexRewrite(f"^{re.escape(below)}/*(.*)", r"/\1")
        return HTTPRewrite(authority=wanted.hostname, uri_regex_rewrite=rest)
    uri = to if below or to == "/" else f"{to}/"
    return HTTPRewrite(uri=uri, authority=wanted.hostname)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")


def _cors(wanted: HTTPCORSFilter) -> CorsPolicy:
    return CorsPolicy(
        allow_origins=tuple(_origin(one) for one in wanted.allow_origins),
        allow_methods=tuple(one.name for one in wanted.allow_methods),
        allow_headers=wanted.allow_headers,
        expose_headers=wanted.expose_headers,
        max_age=Duration(wanted.max_age * SECOND),
        allow_credentials=wanted.allow_credentials or None,
        # The backend is not to allow what the route does not (conformance test HTTPRouteCORS).
        unmatched_preflights=UnmatchedPreflights.IGNORE,
    )


def _origin(text: str) -> StringMatch:
    if text == "*":
        return StringMatch(regex=".*")
    if "*" in text:
        return StringMatch(regex=re.escape(text).replace(r"\*", ".*"))
    return StringMatch(exact=text)
