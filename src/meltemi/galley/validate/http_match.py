"""Rules of what an HTTP route matches."""

from __future__ import annotations

from meltemi.api.networking.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch, VirtualService
from meltemi.api.values import Map
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

CLAIM = "@request.auth.claims"


def validate(found: Findings, at: At, route: HTTPRoute, spec: VirtualService, *, simple: bool) -> None:
    """Check the matches of a route; `simple` says that they are merged with others, which expressions cannot be."""
    for index, match in enumerate(route.match):
        here = (*at, "match", index)
        for name, one in (
            ("uri", match.uri),
            ("scheme", match.scheme),
            ("method", match.method),
            ("authority", match.authority),
        ):
            if one is not None:
                # A path may begin with nothing; Envoy has no such prefix elsewhere.
                _string(found, (*here, name), one, simple=simple, empty_prefix=name == "uri")
        for name, table in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
            _headers(found, (*here, name), table, spec, simple=simple)
        for name, one in match.query_params.items():
            _string(found, (*here, "queryParams", name), one, simple=simple)
        _caller(found, here, match)


def _string(found: Findings, at: At, match: StringMatch, *, simple: bool, empty_prefix: bool = False) -> None:
    if match.prefix == "" and not empty_prefix:
        found.error((*at, "prefix"), "a prefix to match should not be empty")
    if match.regex is not None:
        if simple:
            found.error((*at, "regex"), "regex match is not supported for delegating")
        elif fault := rules.regex_fault(match.regex):
            found.error((*at, "regex"), fault)


def _headers(found: Findings, at: At, table: Map[StringMatch], spec: VirtualService, *, simple: bool) -> None:
    for name, match in table.items():
        if name.startswith((CLAIM + ".", CLAIM + "[")):
            if not spec.gateways or rules.MESH in spec.gateways:
                found.error((*at, name), "routing by a JWT's claims is supported for gateways only")
        elif fault := rules.header_fault(name):
            found.error((*at, name), fault)
        _string(found, (*at, name), match, simple=simple)


def _caller(found: Findings, at: At, match: HTTPMatchRequest) -> None:
    if match.port and (fault := rules.port_fault(match.port)):
        found.error((*at, "port"), fault)
    if match.source_namespace and not rules.is_label(match.source_namespace):
        found.error((*at, "sourceNamespace"), f'"{match.source_namespace}" is not a namespace')
    rules.labels(found, (*at, "sourceLabels"), match.source_labels)
    rules.gateway_names(found, (*at, "gateways"), match.gateways)
