"""Rules of what an HTTP route matches."""

from __future__ import annotations

from meltemi.api.networking.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch, VirtualService
from meltemi.api.values import Map
from meltemi.galley.validate import rules
from meltemi.galley.validate.findings import At, Findings

CLAIM = "@request.auth.claims"


def validate(found: Findings, at: At, route: HTTPRoute, spec: VirtualService) -> None:
    """Check the matches of a route."""
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
                _string(found, (*here, name), one, empty_prefix=name == "uri")
        _headers(found, (*here, "headers"), match.headers, spec)
        # There a mere star asks for presence: it was the way to say so before a match could be empty.
        _headers(found, (*here, "withoutHeaders"), match.without_headers, spec, star=True)
        for name, one in match.query_params.items():
            _string(found, (*here, "queryParams", name), one)
        _caller(found, here, match)


def _string(found: Findings, at: At, match: StringMatch, *, empty_prefix: bool = False) -> None:
    if match.prefix == "" and not empty_prefix:
        found.error((*at, "prefix"), "a prefix to match should not be empty")
    if match.regex is not None and (fault := rules.regex_fault(match.regex)):
        found.error((*at, "regex"), fault)


def _headers(
    found: Findings, at: At, table: Map[StringMatch], spec: VirtualService, *, star: bool = False
) -> None:
    for name, match in table.items():
        if name.startswith((CLAIM + ".", CLAIM + "[")):
            if not spec.gateways or rules.MESH in spec.gateways:
                found.error((*at, name), "routing by a JWT's claims is supported for gateways only")
        elif fault := rules.header_fault(name):
            found.error((*at, name), fault)
        if not (star and match.regex == "*"):
            _string(found, (*at, name), match)


def _caller(found: Findings, at: At, match: HTTPMatchRequest) -> None:
    if match.port and (fault := rules.port_fault(match.port)):
        found.error((*at, "port"), fault)
    if match.source_namespace and not rules.is_label(match.source_namespace):
        found.error((*at, "sourceNamespace"), f'"{match.source_namespace}" is not a namespace')
    rules.labels(found, (*at, "sourceLabels"), match.source_labels)
    rules.gateway_names(found, (*at, "gateways"), match.gateways)
