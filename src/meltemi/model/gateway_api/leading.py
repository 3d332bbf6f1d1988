"""Which Gateways lead to a Service, by their routes.

A route that may not refer to a Service does not lead there: else what its Gateway shows would close another's backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meltemi.api.gatewayapi.http_filter import HTTPRouteFilter
from meltemi.api.gatewayapi.references import BackendObjectReference
from meltemi.api.values import Map
from meltemi.model.gateway_api.parents import ROUTES, parents, route_of
from meltemi.model.gateway_api.words import Key, may_refer
from meltemi.model.isolation import isolated
from meltemi.query import Db, query


@query
def leading(q: Db, namespace: str, service: str) -> tuple[Key, ...]:
    """List the Gateways whose routes lead to a Service, by name."""
    return _leading(q).get(f"{namespace}/{service}", ())


@query
def _leading(q: Db) -> Map[tuple[Key, ...]]:
    """Map Services (`namespace/name`) to the Gateways whose routes lead there."""
    found: dict[str, dict[Key, None]] = {}
    for kind, fact in ROUTES.items():
        for namespace in q.namespaces(fact):
            for name in q.names(fact, namespace):
                made = route_of(q, kind, namespace, name)
                gateways = {
                    joined.listener.gateway
                    for parent in isolated(q, parents, kind, namespace, name) or ()
                    for joined in parent.joined
                }
                if made is None or not gateways:
                    continue
                for one in (each for rule in made.spec.rules for each in _named(rule)):
                    where = one.namespace or namespace
                    if (one.group, one.kind) == ("", "Service") and may_refer(
                        q, made.ref, "", "Service", where, one.name
                    ):
                        found.setdefault(f"{where}/{one.name}", {}).update(dict.fromkeys(gateways))
    return Map({key: tuple(sorted(gateways)) for key, gateways in sorted(found.items())})


def _named(rule: Any) -> Iterator[BackendObjectReference]:
    """Go through all that a rule of any kind of route sends something to: copies and questions, too."""
    yield from rule.backend_refs
    for one in getattr(rule, "filters", ()):
        if one.request_mirror is not None:
            yield one.request_mirror.backend_ref
        if isinstance(one, HTTPRouteFilter) and one.external_auth is not None:
            yield one.external_auth.backend_ref
