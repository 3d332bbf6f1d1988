"""What the Gateway API asks of routes that a VirtualService does not, as in Istio (`route.go`, gateway semantics)."""

from __future__ import annotations

import re
from dataclasses import replace

from meltemi.envoy.matching import How
from meltemi.envoy.routes import Direct, Forward, Match, Redirect, RegexRewrite, Route
from meltemi.pilot.core.http_matches import Place

USUAL_PORTS = (80, 443)
"""Ports that a redirect does not name, where it keeps the listener's."""


def by_specification(route: Route, place: Place) -> Route:
    """Change a route of a derived VirtualService: what is not there is answered 500, redirects as it says."""
    action = route.action
    if isinstance(action, Direct):
        return route
    if isinstance(action, Forward):
        return replace(route, action=replace(action, missing=500))
    return replace(route, action=_redirect(action, route.match, place))


def _redirect(action: Redirect, match: Match, place: Place) -> Redirect:
    if not action.scheme and action.port == place.port and action.port in USUAL_PORTS:
        action = replace(action, port=0)
    if action.prefix == "/" and match.path.how is How.SEGMENTS:
        # Put in the prefix's place, it would leave two slashes before the rest.
        return replace(action, regex=RegexRewrite(f"^{re.escape(match.path.value)}/*(.*)", r"/\1"))
    if action.prefix and action.prefix != "/" and match.path.how is not How.SEGMENTS:
        return replace(action, prefix=f"{action.prefix}/")
    return action
