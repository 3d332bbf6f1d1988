"""What an HTTPRoute or GRPCRoute does with requests and responses on their way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from meltemi.api.declare import Rule, field
from meltemi.api.gatewayapi import words
from meltemi.api.gatewayapi.http_auth import HTTPExternalAuthFilter
from meltemi.api.gatewayapi.references import BackendObjectReference, LocalObjectReference
from meltemi.api.values import Json


@dataclass(frozen=True, slots=True)
class HTTPHeader:
    """A header and its value."""

    name: str = field("Name, in any case.", "", required=True, **words.HEADER)
    value: str = field("Value.", "", required=True, **words.HEADER_VALUE)


@dataclass(frozen=True, slots=True)
class HTTPHeaderFilter:
    """Changes of headers; one of each name."""

    set: tuple[HTTPHeader, ...] = field("Headers that are replaced.", (), max_items=16, **words.KEYED)
    add: tuple[HTTPHeader, ...] = field("Headers that are added.", (), max_items=16, **words.KEYED)
    remove: tuple[str, ...] = field("Headers that are taken away.", (), max_items=16, **words.SET)


class PathModifierType(Enum):
    """How a path is changed."""

    ReplaceFullPath = "ReplaceFullPath"
    ReplacePrefixMatch = "ReplacePrefixMatch"


@dataclass(frozen=True, slots=True)
class HTTPPathModifier:
    """Another path."""

    type: PathModifierType = field("How.", PathModifierType.ReplaceFullPath, required=True)
    replace_full_path: str | None = field("The whole new path.", None, max_length=1024)
    replace_prefix_match: str | None = field(
        "What stands for the prefix that matched.", None, max_length=1024
    )

    RULES = (
        Rule(
            "has(self.replaceFullPath) == (self.type == 'ReplaceFullPath')",
            "replaceFullPath belongs to the type ReplaceFullPath, and only there",
            lambda given: (
                ("replace_full_path" in given) == (given.get("type") is PathModifierType.ReplaceFullPath)
            ),
            "replaceFullPath",
        ),
        Rule(
            "has(self.replacePrefixMatch) == (self.type == 'ReplacePrefixMatch')",
            "replacePrefixMatch belongs to the type ReplacePrefixMatch, and only there",
            lambda given: (
                ("replace_prefix_match" in given)
                == (given.get("type") is PathModifierType.ReplacePrefixMatch)
            ),
            "replacePrefixMatch",
        ),
    )


class Scheme(Enum):
    """Schemes of a redirect."""

    http = "http"
    https = "https"


_REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class HTTPRequestRedirectFilter:
    """An answer that sends the client elsewhere."""

    scheme: Scheme | None = field("Its scheme; the request's if not given.", None)
    hostname: str = field("Its host; the request's if not given.", "", **words.PRECISE_HOSTNAME)
    path: HTTPPathModifier | None = field("Its path; the request's if not given.", None)
    port: int | None = field("Its port; the scheme's, or the listener's, if not given.", None, **words.PORT)
    status_code: int = field("Status of the answer.", 302, filled=Json.of(302), format="int64")

    RULES = (
        Rule(
            f"!has(self.statusCode) || self.statusCode in {list(_REDIRECTS)}",
            f"a redirect's statusCode is one of {', '.join(map(str, _REDIRECTS))}",
            lambda given: given.get("status_code", 302) in _REDIRECTS,
            "statusCode",
        ),
    )


@dataclass(frozen=True, slots=True)
class HTTPURLRewriteFilter:
    """Another host or path for the backend."""

    hostname: str = field("What stands for the host.", "", **words.PRECISE_HOSTNAME)
    path: HTTPPathModifier | None = field("What stands for the path.", None)


@dataclass(frozen=True, slots=True)
class Fraction:
    """A part of a whole."""

    numerator: int = field("The part.", 0, required=True, minimum=0, format="int32")
    denominator: int = field("The whole.", 100, minimum=1, format="int32", filled=Json.of(100))

    RULES = (
        Rule(
            "self.numerator <= self.denominator",
            "the numerator must not exceed the denominator",
            lambda given: bool(given.get("numerator", 0) <= given.get("denominator", 100)),
            "numerator",
        ),
    )


@dataclass(frozen=True, slots=True)
class HTTPRequestMirrorFilter:
    """A copy of requests to a further backend, whose answers are thrown away."""

    backend_ref: BackendObjectReference = field("The backend.", BackendObjectReference(), required=True)
    percent: int | None = field(
        "Share of requests that are copied.", None, oneof="share", minimum=0, maximum=100, format="int32"
    )
    fraction: Fraction | None = field("Share of requests that are copied.", None, oneof="share")


CORSMethod = Enum(
    "CORSMethod",
    {
        "*": "*",
        "GET": "GET",
        "HEAD": "HEAD",
        "POST": "POST",
        "PUT": "PUT",
        "DELETE": "DELETE",
        "CONNECT": "CONNECT",
        "OPTIONS": "OPTIONS",
        "TRACE": "TRACE",
        "PATCH": "PATCH",
    },
)
"""A method of HTTP, or all of them."""


def _alone(what: str, json: str) -> Rule:
    def holds(given: Mapping[str, Any]) -> bool:
        found = [getattr(one, "name", one) for one in given.get(what, ())]
        return "*" not in found or len(found) == 1

    return Rule(
        f"!has(self.{json}) || !('*' in self.{json}) || self.{json}.size() == 1",
        f"`*` in {json} stands alone",
        holds,
        json,
    )


@dataclass(frozen=True, slots=True)
class HTTPCORSFilter:
    """What scripts of other origins may do."""

    allow_origins: tuple[str, ...] = field(
        "Origins, `scheme://host[:port]`, with `*` for all or for the front of a host.",
        (),
        max_items=64,
        **words.SET,
        **words.each(words.ORIGIN),
    )
    allow_credentials: bool = field("Whether requests may bear credentials.", False)
    allow_methods: tuple[CORSMethod, ...] = field("Methods.", (), max_items=9, **words.SET)
    allow_headers: tuple[str, ...] = field(
        "Headers of requests.", (), max_items=64, **words.SET, **words.each(words.HEADER)
    )
    expose_headers: tuple[str, ...] = field(
        "Headers of responses.", (), max_items=64, **words.SET, **words.each(words.HEADER)
    )
    max_age: int = field(
        "Seconds that clients remember this.", 5, minimum=1, format="int32", filled=Json.of(5)
    )

    RULES = (
        _alone("allow_origins", "allowOrigins"),
        _alone("allow_methods", "allowMethods"),
        _alone("allow_headers", "allowHeaders"),
    )


class HTTPFilterType(Enum):
    """What a filter of an HTTPRoute does."""

    RequestHeaderModifier = "RequestHeaderModifier"
    ResponseHeaderModifier = "ResponseHeaderModifier"
    RequestMirror = "RequestMirror"
    RequestRedirect = "RequestRedirect"
    URLRewrite = "URLRewrite"
    ExtensionRef = "ExtensionRef"
    CORS = "CORS"
    ExternalAuth = "ExternalAuth"


def union(kind: str, json: str, python: str) -> Rule:
    """Give the rule that a filter has the part that its type names, and no other."""
    return Rule(
        f"has(self.{json}) == (self.type == '{kind}')",
        f"{json} belongs to a filter of type {kind}, and only there",
        lambda given: (python in given) == (getattr(given.get("type"), "name", "") == kind),
        json,
    )


@dataclass(frozen=True, slots=True)
class HTTPRouteFilter:
    """One thing that is done with a request or its response."""

    type: HTTPFilterType = field("What.", HTTPFilterType.RequestHeaderModifier, required=True)
    request_header_modifier: HTTPHeaderFilter | None = field("Change the request's headers.", None)
    response_header_modifier: HTTPHeaderFilter | None = field("Change the response's headers.", None)
    request_mirror: HTTPRequestMirrorFilter | None = field("Send a copy elsewhere.", None)
    request_redirect: HTTPRequestRedirectFilter | None = field("Send the client elsewhere.", None)
    url_rewrite: HTTPURLRewriteFilter | None = field("Show the backend another host or path.", None)
    cors: HTTPCORSFilter | None = field("Let scripts of other origins in.", None)
    external_auth: HTTPExternalAuthFilter | None = field("Ask a server whether the request may pass.", None)
    extension_ref: LocalObjectReference | None = field("Something of the controller's own.", None)

    RULES = (
        union("RequestHeaderModifier", "requestHeaderModifier", "request_header_modifier"),
        union("ResponseHeaderModifier", "responseHeaderModifier", "response_header_modifier"),
        union("RequestMirror", "requestMirror", "request_mirror"),
        union("RequestRedirect", "requestRedirect", "request_redirect"),
        union("URLRewrite", "urlRewrite", "url_rewrite"),
        union("CORS", "cors", "cors"),
        union("ExternalAuth", "externalAuth", "external_auth"),
        union("ExtensionRef", "extensionRef", "extension_ref"),
    )


def once(*kinds: str) -> Rule:
    """Give the rule that filters of these types are not repeated in a list `filters`."""

    def holds(given: Mapping[str, Any]) -> bool:
        counted = Counter(one.type.name for one in given.get("filters", ()))
        return all(counted[kind] <= 1 for kind in kinds)

    return Rule(
        f"!has(self.filters) || {list(kinds)}.all(t, self.filters.filter(f, f.type == t).size() <= 1)",
        f"a filter of type {', '.join(kinds)} may be given once",
        holds,
        "filters",
    )


def _types(filters: Iterable[HTTPRouteFilter]) -> set[HTTPFilterType]:
    return {one.type for one in filters}


def _not_both(given: Mapping[str, Any]) -> bool:
    both = {HTTPFilterType.RequestRedirect, HTTPFilterType.URLRewrite}
    return not both <= _types(given.get("filters", ()))


HTTP_FILTER_RULES: Final = (
    Rule(
        "!has(self.filters) || !(self.filters.exists(f, f.type == 'RequestRedirect') && "
        "self.filters.exists(f, f.type == 'URLRewrite'))",
        "RequestRedirect and URLRewrite exclude each other: a client that is sent elsewhere reaches no backend",
        _not_both,
        "filters",
    ),
    once("CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"),
)


def replaces_prefix(one: HTTPRouteFilter) -> bool:
    """Say whether a filter puts something in the place of the prefix that matched."""
    parts = (one.request_redirect, one.url_rewrite)
    return any(
        part is not None and part.path is not None and part.path.type is PathModifierType.ReplacePrefixMatch
        for part in parts
    )
