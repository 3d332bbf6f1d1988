"""What is said of the Gateway API's objects: conditions, and what else the specification has in their statuses.

All of it is one value, `standings`, of which the status writer tells what changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from meltemi.api.diagnostics import Ref
from meltemi.api.gatewayapi.references import DefaultScope, ParentReference
from meltemi.api.values import EMPTY, Map
from meltemi.model import facts
from meltemi.model.gateway_api import addresses, backend_tls, client_certificates, clients
from meltemi.model.gateway_api.leading import leading
from meltemi.model.gateway_api.listeners import Front, Held, allows_set, front, parent_of
from meltemi.model.gateway_api.parents import ROUTES, Parent, parents, place_of, route_of, routes_at
from meltemi.model.gateway_api.rules import Rules, rules
from meltemi.model.gateway_api.words import CONTROLLER, GROUP, UNMANAGED, Key, Problem
from meltemi.model.isolation import isolated
from meltemi.query import Db, query

FEATURES: Final = (
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayInfrastructurePropagation",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
)
"""What a class of ours can do, by the names of the conformance tests; `tests/conformance/gateway_api` runs these.

What a mesh can do is not said of a class.
"""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, without its time and generation."""

    type: str
    holds: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Part:
    """What is said of a listener, by name, or of a route at one of its parents, by the reference to it."""

    identity: Map[Any]
    conditions: tuple[Condition, ...]
    fields: Map[Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Standing:
    """What is said of one version of an object; `fields` are what its status has besides.

    An object that is made anew under its old name begins at the same generation: `uid` tells it from the former.
    """

    uid: str
    generation: int
    conditions: tuple[Condition, ...] = ()
    parts: tuple[Part, ...] = ()
    fields: Map[Any] = EMPTY


@query
def standings(q: Db) -> Map[Standing]:
    """Say everything, by `resource/namespace/name`."""
    found: dict[str, Standing | None] = {}
    for name in q.names(facts.GATEWAY_CLASSES, ""):
        found[f"{facts.GATEWAY_CLASSES.name}//{name}"] = isolated(
            q, gateway_class, name, ref=Ref("GatewayClass", "", name)
        )
    for namespace in q.namespaces(facts.API_GATEWAYS):
        for name in q.names(facts.API_GATEWAYS, namespace):
            found[f"{facts.API_GATEWAYS.name}/{namespace}/{name}"] = _read(
                q, gateway, "Gateway", namespace, name
            )
    for namespace in q.namespaces(facts.LISTENER_SETS):
        for name in q.names(facts.LISTENER_SETS, namespace):
            found[f"{facts.LISTENER_SETS.name}/{namespace}/{name}"] = _read(
                q, listener_set, "ListenerSet", namespace, name
            )
    for kind, fact in ROUTES.items():
        for namespace in q.namespaces(fact):
            for name in q.names(fact, namespace):
                found[f"{fact.name}/{namespace}/{name}"] = isolated(
                    q, route, kind, namespace, name, ref=Ref(kind, namespace, name)
                )
    for namespace in q.namespaces(facts.BACKEND_TLS_POLICIES):
        for name in q.names(facts.BACKEND_TLS_POLICIES, namespace):
            key = f"{facts.BACKEND_TLS_POLICIES.name}/{namespace}/{name}"
            found[key] = _read(q, backend_tls_policy, "BackendTLSPolicy", namespace, name)
    return Map({key: one for key, one in found.items() if one is not None})


def _read(
    q: Db, say: Callable[[Db, str, str], Standing | None], kind: str, namespace: str, name: str
) -> Standing | None:
    """Read what is said of one object; None where that fails."""
    return isolated(q, say, namespace, name, ref=Ref(kind, namespace, name))


@query
def gateway_class(q: Db, name: str) -> Standing | None:
    """Say what holds of a class; None of another controller's."""
    made = q.fact(facts.GATEWAY_CLASSES, "", name)
    if made is None or made.spec.controller_name not in (CONTROLLER, UNMANAGED):
        return None
    rows = [Condition("Accepted", True, "Accepted", "Handled by Istio controller")]
    if made.spec.parameters_ref is not None:
        rows = [Condition("Accepted", False, "InvalidParameters", "parametersRef is not supported")]
    rows.append(Condition("SupportedVersion", True, "SupportedVersion", "The version of the kinds is 1.5"))
    fields = Map({"supportedFeatures": tuple(Map({"name": one}) for one in FEATURES)})
    return Standing(made.uid, made.generation, tuple(rows), fields=fields)


# Gateways.


@query
def gateway(q: Db, namespace: str, name: str) -> Standing | None:
    """Say what holds of a Gateway and its listeners."""
    made, found = q.fact(facts.API_GATEWAYS, namespace, name), front(q, namespace, name)
    if made is None or found is None:
        return None
    own = [one for one in found.listeners if one.owner.kind == "Gateway"]
    accepted = _accepted(found.refusal, own)
    assigned = addresses.assigned(q, namespace, name)
    ready: Problem | None = assigned.problem
    if not accepted.holds:
        ready = Problem("Invalid", accepted.message)
    if ready is None:
        programmed = Condition("Programmed", True, "Programmed", assigned.message)
    else:
        programmed = Condition("Programmed", False, ready.reason, ready.message)
    listed = tuple(Map({"type": form, "value": value}) for form, value in assigned.addresses)
    fields = {"addresses": listed, "attachedListenerSets": _attached(found) or None}
    parts = tuple(_listener(q, one, closed=found.refusal) for one in own)
    rows = [accepted, programmed]
    if made.spec.default_scope is DefaultScope["All"]:
        words = "routes that ask for default Gateways are attached, if listeners take them"
        rows.append(Condition("DefaultGateway", True, "DefaultGateway", words))
    shown = client_certificates.certificate(q, made)
    if shown is not None:
        rows.append(_holds("ResolvedRefs", shown if isinstance(shown, Problem) else None))
    if clients.is_insecure(made.spec):
        words = "clients without a good certificate are let in: tls.frontend asks for AllowInsecureFallback"
        rows.append(Condition("InsecureFrontendValidationMode", True, "ConfigurationChanged", words))
    return Standing(made.uid, made.generation, tuple(rows), parts, Map(fields))


def _attached(found: Front) -> int:
    """Count the ListenerSets that are accepted: those with a valid listener."""
    owners = {("ListenerSet", *key) for key in found.sets}
    valid = {
        (one.owner.kind, one.owner.namespace, one.owner.name)
        for one in found.listeners
        if one.open and one.unresolved is None
    }
    return 0 if found.refusal is not None else len(owners & valid)


def _accepted(refusal: Problem | None, listeners: list[Held]) -> Condition:
    if refusal is not None:
        return Condition("Accepted", False, refusal.reason, refusal.message)
    bad = [one.spec.name for one in listeners if not one.open or one.unresolved is not None]
    if bad:
        words = f"listeners are not valid: {', '.join(bad)}"
        return Condition("Accepted", len(bad) < len(listeners), "ListenersNotValid", words)
    return Condition("Accepted", True, "Accepted", "Resource accepted")


def _listener(q: Db, one: Held, *, closed: Problem | None) -> Part:
    attached = {each.ref for listed in routes_at(q, "/".join(place_of(one))).values() for each in listed}
    refusal = one.refusal or closed
    conflict, unresolved = one.conflict, one.unresolved
    shut = refusal or conflict or unresolved
    if unresolved is not None and unresolved.reason == "InvalidRouteKinds" and one.kinds:
        # What can be allowed is.
        shut = refusal or conflict
    rows = (
        _holds("Accepted", refusal or conflict),
        Condition("Conflicted", True, conflict.reason, conflict.message)
        if conflict is not None
        else Condition("Conflicted", False, "NoConflicts", "No errors found"),
        _holds("ResolvedRefs", unresolved or one.unknown),
        # The specification has another word for an entry of a ListenerSet than for a Gateway's own listener.
        Condition(
            "Programmed",
            False,
            conflict.reason if conflict is not None and one.owner.kind == "ListenerSet" else "Invalid",
            shut.message,
        )
        if shut is not None
        else _holds("Programmed", None),
    )
    kinds = tuple(Map({"group": GROUP, "kind": kind}) for kind in one.kinds)
    fields = Map({"supportedKinds": kinds, "attachedRoutes": len(attached)})
    return Part(Map({"name": one.spec.name}), rows, fields)


def _holds(kind: str, problem: Problem | None) -> Condition:
    if problem is None:
        return Condition(kind, True, kind, "No errors found")
    return Condition(kind, False, problem.reason, problem.message)


@query
def listener_set(q: Db, namespace: str, name: str) -> Standing | None:
    """Say what holds of a ListenerSet and its listeners."""
    made = q.fact(facts.LISTENER_SETS, namespace, name)
    parent = None if made is None else parent_of(namespace, made.spec.parent_ref)
    found = None if parent is None else front(q, *parent)
    if made is None or parent is None or found is None:
        return None
    if not allows_set(q, parent, namespace):
        words = f"Gateway {parent[0]}/{parent[1]} takes no ListenerSets of namespace {namespace}"
        problem = Problem("NotAllowed", words)
        rows = tuple(_holds(kind, problem) for kind in ("Accepted", "Programmed"))
        return Standing(made.uid, made.generation, rows)
    own = [one for one in found.listeners if one.owner == made.ref]
    refusal = found.refusal and Problem("ParentNotAccepted", found.refusal.message)
    accepted = _accepted(refusal, own)
    programmed = _holds("Programmed", None)
    if not accepted.holds:
        programmed = Condition("Programmed", False, accepted.reason, accepted.message)
    parts = tuple(_listener(q, one, closed=refusal) for one in own)
    return Standing(made.uid, made.generation, (accepted, programmed), parts)


# Routes.


@query
def route(q: Db, kind: str, namespace: str, name: str) -> Standing | None:
    """Say what holds of a route at each of its parents; None where none of them is ours."""
    made = route_of(q, kind, namespace, name)
    found = parents(q, kind, namespace, name)
    if made is None or not found:
        return None
    parts = []
    for one in found:
        told = Rules() if kind == "UDPRoute" else rules(q, kind, namespace, name, one.in_mesh)
        parts.append(_at(one, told))
    return Standing(made.uid, made.generation, parts=tuple(parts))


def _at(parent: Parent, told: Rules) -> Part:
    rows: list[Condition] = []
    if parent.problem is not None:
        rows.append(Condition("Accepted", False, parent.problem.reason, parent.problem.message))
    elif told.refused is not None and told.whole:
        rows.append(Condition("Accepted", False, told.refused.reason, told.refused.message))
    else:
        rows.append(Condition("Accepted", True, "Accepted", "Route was valid"))
        if told.refused is not None:
            words = f"Dropped Rule: {told.refused.message}"
            rows.append(Condition("PartiallyInvalid", True, told.refused.reason, words))
    if told.unresolved is None:
        rows.append(Condition("ResolvedRefs", True, "ResolvedRefs", "All references resolved"))
    else:
        rows.append(Condition("ResolvedRefs", False, told.unresolved.reason, told.unresolved.message))
    return Part(identity(parent.ref), tuple(rows))


# Policies.


@query
def backend_tls_policy(q: Db, namespace: str, name: str) -> Standing | None:
    """Say what holds of a policy at each Gateway whose routes lead to what it is for."""
    made = q.fact(facts.BACKEND_TLS_POLICIES, namespace, name)
    if made is None:
        return None
    fronts: dict[Key, None] = {}
    mine: list[bool] = []
    for target in made.spec.target_refs:
        fronts.update(dict.fromkeys(leading(q, namespace, target.name)))
        port = target.section_name
        if (target.group, target.kind) != ("", "Service"):
            continue
        if not port or port in backend_tls.ports_of(q, namespace, target.name):
            asked = backend_tls.wanted(q, namespace, target.name)
            mine.append(asked is not None and made.ref in asked.kept)
    lost = backend_tls.problem(q, namespace, name)
    accepted = Condition("Accepted", True, "Accepted", "Configuration is valid")
    if lost is not None:
        accepted = Condition("Accepted", False, "NoValidCACertificate", lost.message)
    elif not any(mine):
        reason = "Conflicted" if mine else "TargetNotFound"
        words = (
            "an older policy is for the same"
            if mine
            else "a target is a Service, or a port of it by its name"
        )
        accepted = Condition("Accepted", False, reason, words)
    rows = (accepted, _holds("ResolvedRefs", lost))
    parts = tuple(
        Part(Map({"group": GROUP, "kind": "Gateway", "namespace": where, "name": front_name}), rows)
        for where, front_name in sorted(fronts)
    )
    return Standing(made.uid, made.generation, parts=parts)


def identity(ref: ParentReference) -> Map[Any]:
    """Give a reference as it is written."""
    found: dict[str, Any] = {"group": ref.group, "kind": ref.kind, "name": ref.name}
    if ref.namespace:
        found["namespace"] = ref.namespace
    if ref.section_name:
        found["sectionName"] = ref.section_name
    if ref.port is not None:
        found["port"] = ref.port
    return Map(found)
