"""Delegation: VirtualServices whose routes are left to others, and what becomes of the two.

As Istio merges them (`pilot/pkg/model/virtualservice.go`): a route that delegates is replaced by those of the delegate,
each narrowed by what the route asks and filled up with what it says. One level only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.kind import Object
from meltemi.api.networking.virtual_service import Destination, HTTPRoute, VirtualService
from meltemi.model import facts, settings
from meltemi.model.derivation import Key
from meltemi.model.gateways import gateway_name
from meltemi.model.hosts import complete, exported
from meltemi.model.narrowing import narrowed
from meltemi.query import Db

DELEGATE_NOT_FOUND = code(
    "MEL0110",
    "delegate-not-found",
    Level.WARNING,
    "A route leaves its requests to a VirtualService that is not there, or that has hosts of its own. The route is "
    "left out.",
)
DELEGATE_NOT_VISIBLE = code(
    "MEL0111",
    "delegate-not-visible",
    Level.WARNING,
    "A route leaves its requests to a VirtualService that is not exported to the namespace of the route. The route is "
    "left out.",
)
DELEGATE_CONFLICT = code(
    "MEL0112",
    "delegate-conflict",
    Level.WARNING,
    "A route of a delegate asks for what the route that leaves its requests to it does not take. The route is left "
    "out: each condition must be one that the other covers, with prefixes in prefixes, and equal words otherwise.",
)
DELEGATE_DELEGATES = code(
    "MEL0113",
    "delegate-delegates",
    Level.WARNING,
    "A delegate leaves requests to yet another VirtualService. There is one level: the route is left out.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a route was written: the object, and the path in it."""

    ref: Ref
    path: str


@dataclass(frozen=True, slots=True)
class Rule:
    """An HTTP route that holds, and where it was written; its mirrors may be of another place.

    Names in it complete in `namespace`; those of a merged one are complete already.
    """

    http: HTTPRoute
    namespace: str
    place: Place
    mirrored: Place


def rules_of(q: Db, made: Object[VirtualService]) -> Iterator[Rule]:
    """Go through the HTTP routes of a VirtualService, with those of delegates in the places that delegate."""
    for index, route in enumerate(made.spec.http):
        at = Place(made.ref, f"spec.http[{index}]")
        if route.delegate is None:
            yield Rule(route, made.namespace, at, at)
        else:
            yield from _delegated(q, made, route, at)


def delegates_of(made: Object[VirtualService]) -> tuple[Key, ...]:
    """List the delegates that a VirtualService names, whether they are there or not; each once."""
    named = [
        (route.delegate.namespace or made.namespace, route.delegate.name)
        for route in made.spec.http
        if route.delegate is not None
    ]
    return tuple(dict.fromkeys(named))


def _delegated(q: Db, root: Object[VirtualService], route: HTTPRoute, at: Place) -> Iterator[Rule]:
    found = _delegate(q, root, route, at)
    if found is None:
        return
    domain = settings.CLUSTER_DOMAIN.read(q)
    whole = _completed(route, root.namespace, domain)
    for index, one in enumerate(found.spec.http):
        here = Place(found.ref, f"spec.http[{index}]")
        if one.delegate is not None:
            q.report(
                Diagnostic(
                    DELEGATE_DELEGATES,
                    "a delegate cannot delegate again",
                    here.ref,
                    f"{here.path}.delegate",
                    "name that VirtualService in the route that delegates to this one",
                )
            )
            continue
        narrow = narrowed(whole, _completed(one, found.namespace, domain))
        if narrow is None:
            q.report(
                Diagnostic(
                    DELEGATE_CONFLICT,
                    f"nothing that it matches comes from {root.namespace}/{root.name}, {at.path}",
                    here.ref,
                    f"{here.path}.match",
                    "match only what the route that delegates matches too",
                )
            )
            continue
        mirrored = here if one.mirror is not None or one.mirrors else at
        yield Rule(narrow, root.namespace, here, mirrored)


def _delegate(
    q: Db, root: Object[VirtualService], route: HTTPRoute, at: Place
) -> Object[VirtualService] | None:
    if route.delegate is None:
        return None
    namespace = route.delegate.namespace or root.namespace
    label = f"{namespace}/{route.delegate.name}"
    found = q.fact(facts.VIRTUAL_SERVICES, namespace, route.delegate.name)
    if found is None or found.spec.hosts:
        text = (
            f"the delegate {label} is not there" if found is None else f"{label} has hosts: it is no delegate"
        )
        hint = "create it" if found is None else "take the hosts from it"
        q.report(Diagnostic(DELEGATE_NOT_FOUND, text, at.ref, f"{at.path}.delegate", hint))
        return None
    export_to = found.spec.export_to or settings.DEFAULT_VIRTUAL_SERVICE_EXPORT_TO.read(q)
    if not exported(export_to, namespace, root.namespace):
        text = f"the delegate {label} is not exported to {root.namespace}"
        hint = f"let exportTo of the delegate name {root.namespace}"
        q.report(Diagnostic(DELEGATE_NOT_VISIBLE, text, at.ref, f"{at.path}.delegate", hint))
        return None
    return found


def _completed(route: HTTPRoute, namespace: str, domain: str) -> HTTPRoute:
    """Complete the names in a route: once merged, what came from which namespace cannot be told."""

    def whole(wanted: Destination | None) -> Destination | None:
        return None if wanted is None else replace(wanted, host=complete(wanted.host, namespace, domain))

    return replace(
        route,
        match=tuple(
            replace(one, gateways=tuple(gateway_name(text, namespace) for text in one.gateways))
            for one in route.match
        ),
        route=tuple(replace(one, destination=whole(one.destination)) for one in route.route),
        mirror=whole(route.mirror),
        mirrors=tuple(replace(one, destination=whole(one.destination)) for one in route.mirrors),
    )
