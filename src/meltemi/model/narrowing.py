"""How a delegate's route is narrowed by the route that leaves its requests to it.

The rules are Istio's (`pilot/pkg/model/virtualservice.go`), odd ones included: a condition by regex goes with no other
of the same field, and a root that asks for a namespace wants its delegate to ask for the same.
"""

from __future__ import annotations

from dataclasses import replace

from meltemi.api.networking.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch
from meltemi.api.values import Map


def narrowed(root: HTTPRoute, leaf: HTTPRoute) -> HTTPRoute | None:
    """Merge the route of a delegate with the one that leaves requests to it, or None where they conflict."""
    matches = _matches(root.match, leaf.match)
    if matches is None:
        return None
    return replace(
        leaf,
        match=matches,
        name=_joined(root.name, leaf.name),
        rewrite=leaf.rewrite if leaf.rewrite is not None else root.rewrite,
        direct_response=leaf.direct_response if leaf.direct_response is not None else root.direct_response,
        timeout=leaf.timeout if leaf.timeout is not None else root.timeout,
        retries=leaf.retries if leaf.retries is not None else root.retries,
        fault=leaf.fault if leaf.fault is not None else root.fault,
        mirror=leaf.mirror if leaf.mirror is not None else root.mirror,
        mirrors=leaf.mirrors or root.mirrors,
        mirror_percent=leaf.mirror_percent if leaf.mirror_percent is not None else root.mirror_percent,
        mirror_percentage=leaf.mirror_percentage
        if leaf.mirror_percentage is not None
        else root.mirror_percentage,
        cors_policy=leaf.cors_policy if leaf.cors_policy is not None else root.cors_policy,
        headers=leaf.headers if leaf.headers is not None else root.headers,
    )


def _joined(root: str, leaf: str) -> str:
    return "-".join(part for part in (root, leaf) if part)


def _matches(
    roots: tuple[HTTPMatchRequest, ...], leaves: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """Merge conditions: each of the delegate's with all of the root's that it is within; None where one is in none."""
    if not roots or not leaves:
        return leaves or roots
    found: list[HTTPMatchRequest] = []
    for leaf in leaves:
        merged = [_merged(root, leaf) for root in roots if not _conflict(root, leaf)]
        if not merged:
            return None
        found.extend(merged)
    return tuple(found)


def _merged(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    return replace(
        leaf,
        name=_joined(root.name, leaf.name),
        uri=leaf.uri if leaf.uri is not None else root.uri,
        scheme=leaf.scheme if leaf.scheme is not None else root.scheme,
        method=leaf.method if leaf.method is not None else root.method,
        authority=leaf.authority if leaf.authority is not None else root.authority,
        headers=Map({**root.headers, **leaf.headers}),
        without_headers=Map({**root.without_headers, **leaf.without_headers}),
        query_params=Map({**root.query_params, **leaf.query_params}),
        port=leaf.port or root.port,
        source_labels=Map({**root.source_labels, **leaf.source_labels}),
        source_namespace=leaf.source_namespace or root.source_namespace,
        gateways=leaf.gateways or root.gateways,
        stat_prefix=leaf.stat_prefix or root.stat_prefix,
    )


def _conflict(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    """Say whether the delegate's condition takes what the root's does not."""
    texts = (
        (root.uri, leaf.uri),
        (root.scheme, leaf.scheme),
        (root.method, leaf.method),
        (root.authority, leaf.authority),
        *((root.headers.get(name), one) for name, one in leaf.headers.items()),
        *((root.without_headers.get(name), one) for name, one in leaf.without_headers.items()),
        *((root.query_params.get(name), one) for name, one in leaf.query_params.items()),
    )
    if any(_texts_conflict(one, other) for one, other in texts):
        return True
    if root.ignore_uri_case != leaf.ignore_uri_case:
        return True
    if root.port and leaf.port and root.port != leaf.port:
        return True
    if root.source_namespace and root.source_namespace != leaf.source_namespace:
        return True
    if any(root.source_labels.get(key, value) != value for key, value in leaf.source_labels.items()):
        return True
    return bool(root.gateways) and not set(leaf.gateways) <= set(root.gateways)


def _texts_conflict(root: StringMatch | None, leaf: StringMatch | None) -> bool:
    if root is None or leaf is None:
        return False
    if root.regex or leaf.regex:
        # Which of two expressions is within the other cannot be told.
        return True
    if root.exact:
        return leaf.exact != root.exact
    if root.prefix:
        return not (leaf.prefix or leaf.exact or "").startswith(root.prefix)
    return True
