"""Conditions of HTTP routes: what is decided while translating, and what Envoy decides per request."""

from __future__ import annotations

from dataclasses import dataclass

from meltemi.api.networking.virtual_service import HTTPMatchRequest, StringMatch
from meltemi.envoy.matching import How, Text
from meltemi.envoy.routes import ANY_PATH, HeaderTest, Match, QueryTest
from meltemi.model.gateways import MESH, gateway_name
from meltemi.model.routing import ANY_SOURCE, Source

CLAIMS = "@request.auth.claims"


@dataclass(frozen=True, slots=True)
class Place:
    """Where routes are used: behind which gateway (`mesh` in sidecars), on which port, for which callers.

    `client` is who asks (`destinations.asker`) where that changes what a destination is, "" where it does not.
    """

    port: int
    gateway: str = MESH
    source: Source = ANY_SOURCE
    client: str = ""


def holds(match: HTTPMatchRequest, place: Place, namespace: str, gateways: tuple[str, ...]) -> bool:
    """Decide what is known already: gateway, port, labels and namespace of the caller.

    `namespace` and `gateways` are the VirtualService's own.
    """
    named = tuple(gateway_name(text, namespace) for text in match.gateways) or gateways
    if place.gateway not in named:
        return False
    if match.port and match.port != place.port:
        return False
    if any(name.startswith(CLAIMS) for name in (*match.headers, *match.without_headers)):
        # Not applied yet: taken for a header it would never be there, and "without" would let everyone in.
        return False
    if place.gateway != MESH:
        # Callers of a gateway are unknown.
        return not match.source_labels and not match.source_namespace
    if match.source_namespace and match.source_namespace != place.source.namespace:
        return False
    return place.source.labels.contains_all(match.source_labels)


def conditions(match: HTTPMatchRequest, *, segments: bool = False) -> Match:
    """Translate what is decided per request. With `segments` prefixes of paths end where a segment does."""
    tests: list[HeaderTest] = []
    for name, pseudo in (
        (":method", match.method),
        (":authority", match.authority),
        (":scheme", match.scheme),
    ):
        if pseudo is not None:
            tests.append(HeaderTest(name, text(pseudo)))
    tests.extend(HeaderTest(name.lower(), text(wanted)) for name, wanted in match.headers.items())
    tests.extend(
        HeaderTest(name.lower(), absent(wanted), invert=True)
        for name, wanted in match.without_headers.items()
    )
    return Match(
        path=path(match.uri, ignore_case=match.ignore_uri_case, segments=segments),
        headers=tuple(tests),
        query=tuple(QueryTest(name, text(wanted)) for name, wanted in match.query_params.items()),
    )


def path(wanted: StringMatch | None, *, ignore_case: bool, segments: bool = False) -> Text:
    """Translate a condition on the path; a regex minds the case always, as in Istio."""
    if wanted is None:
        return ANY_PATH
    found = text(wanted)
    if found.how is How.PRESENT:
        return ANY_PATH
    if segments and found.how is How.PREFIX:
        # Envoy takes no slash at the end of one.
        whole = found.value.rstrip("/")
        if not whole:
            return ANY_PATH
        found = Text(How.SEGMENTS, whole)
    if found.how is How.REGEX or not ignore_case:
        return found
    return Text(found.how, found.value, ignore_case=True)


def text(wanted: StringMatch) -> Text:
    """Translate a comparison; one without a form asks for presence only."""
    if wanted.exact is not None:
        return Text(How.EXACT, wanted.exact)
    if wanted.prefix is not None:
        return Text(How.PREFIX, wanted.prefix)
    if wanted.regex is not None:
        return Text(How.REGEX, wanted.regex)
    return Text(How.PRESENT)


def absent(wanted: StringMatch) -> Text:
    """Translate what a header must not be, where a mere star (no expression of RE2) stands for being there."""
    return Text(How.PRESENT) if wanted.regex == "*" else text(wanted)


def catches_all(match: Match) -> bool:
    """Say whether a condition holds for every request, so that nothing after it can be reached."""
    anything = match.path == ANY_PATH or (match.path.how is How.REGEX and match.path.value in (".*", "/.*"))
    return anything and not match.headers and not match.query
