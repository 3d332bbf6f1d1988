"""What gRPC without a proxy does not heed of what users write, told on the object and the field.

Listed is what it does heed (gRFC A27, A28, A31 timeouts, A32 limits, A33 faults, A42 ring hash, A44 retries; tried with
grpcio): whatever else is set is told, so that a field that comes new is told as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from meltemi.api.compiled import fields_of
from meltemi.api.diagnostics import Diagnostic, Level, Ref, code
from meltemi.api.networking.destination_rule import (
    ClientTLSMode,
    ClientTLSSettings,
    ConnectionPoolSettings,
    ConsistentHashLB,
    HTTPSettings,
    LoadBalancerSettings,
    PortTrafficPolicy,
    SimpleLB,
    TrafficPolicy,
)
from meltemi.api.networking.virtual_service import (
    HTTPMatchRequest,
    HTTPRetry,
    HTTPRoute,
    HTTPRouteDestination,
)
from meltemi.api.values import Map
from meltemi.envoy.proxyless import MOST_INVERTED
from meltemi.model import authn, derived, facts
from meltemi.model.authn import Mtls
from meltemi.model.delegation import rules_of
from meltemi.model.derivation import Key
from meltemi.model.destinations import Rule
from meltemi.model.endpoints import Backend, backends
from meltemi.model.services import Service
from meltemi.model.workloads import proxyless_addresses
from meltemi.pilot.core.retries import split_conditions
from meltemi.query import Db, query

RULE_NOT_HEEDED = code(
    "MEL0231",
    "destination-rule-not-heeded-by-grpc",
    Level.WARNING,
    "A DestinationRule asks something of clients that gRPC without a proxy does not do: it goes on without. It knows "
    "subsets, ISTIO_MUTUAL, ROUND_ROBIN (which it takes for all that it does not know), a ring hash of a header, "
    "localities and http2MaxRequests. Clients with a sidecar do all that the rule asks for.",
)
ROUTE_NOT_HEEDED = code(
    "MEL0232",
    "route-not-heeded-by-grpc",
    Level.WARNING,
    "An HTTP route asks something that gRPC without a proxy does not do: its calls go on without. It knows matches of "
    "paths and headers, weights, timeouts, faults, and retries by gRPC's own conditions. Clients with a sidecar do all "
    "that the route asks for.",
)
ROUTE_FAILS = code(
    "MEL0233",
    "route-closed-to-grpc",
    Level.WARNING,
    "An HTTP route answers by itself (redirect, directResponse), or is for requests that gRPC without a proxy cannot "
    "tell (by method, scheme, authority or query parameters). Calls that take the one fail with UNAVAILABLE; the other "
    "is passed over, and the routes behind it are asked.",
)
SERVER_UNREACHED = code(
    "MEL0234",
    "permissive-sidecar-closed-to-grpc",
    Level.WARNING,
    "A DestinationRule asks for ISTIO_MUTUAL towards a service whose sidecars are PERMISSIVE. They tell the mesh's TLS "
    "from an app's own by what proxies say in it (ALPN), and gRPC without a proxy cannot say that: its calls fail, as "
    "in Istio. With a PeerAuthentication that is STRICT they are taken; with DISABLE in the rule they go in plain "
    "text.",
)
HEEDED: dict[type[Any], frozenset[str]] = {
    TrafficPolicy: frozenset({"load_balancer", "connection_pool", "tls", "port_level_settings"}),
    PortTrafficPolicy: frozenset({"port", "load_balancer", "connection_pool", "tls"}),
    LoadBalancerSettings: frozenset({"simple", "consistent_hash", "locality_lb_setting"}),
    ConsistentHashLB: frozenset({"http_header_name", "ring_hash", "minimum_ring_size"}),
    ConnectionPoolSettings: frozenset({"http"}),
    # Of HTTP/2 it speaks nothing else anyway.
    HTTPSettings: frozenset({"http2_max_requests", "h2_upgrade_policy", "use_client_protocol"}),
    ClientTLSSettings: frozenset({"mode", "subject_alt_names"}),
    HTTPRoute: frozenset({"name", "match", "route", "delegate", "timeout", "retries", "fault"}),
    HTTPRouteDestination: frozenset({"destination", "weight"}),
    HTTPRetry: frozenset({"attempts", "retry_on", "backoff"}),
    HTTPMatchRequest: frozenset(
        {
            "name",
            "uri",
            "headers",
            "port",
            "source_labels",
            "gateways",
            "ignore_uri_case",
            "without_headers",
            "source_namespace",
            # A name in Envoy's statistics.
            "stat_prefix",
        }
    ),
}
"""The fields that are heeded, of each message in which not all are."""
RETRIES = frozenset({"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"})
"""Conditions of retries that gRPC has."""
ANYWAY = frozenset({"connect-failure", "refused-stream", "retriable-status-codes"})
"""Conditions upon which it tries again by itself, and one that means nothing without codes."""
CLOSING = frozenset({"redirect", "directResponse"})


def unheeded(value: object, path: str) -> Iterator[str]:
    """Go through the paths of all that is set and not heeded in a part of an object."""
    if isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from unheeded(one, f"{path}[{index}]")
    known = HEEDED.get(type(value))
    if known is None or (
        isinstance(value, ClientTLSSettings) and value.mode is not ClientTLSMode.ISTIO_MUTUAL
    ):
        return
    for field in fields_of(type(value)):
        given = getattr(value, field.name)
        at = f"{path}.{field.json}"
        if given == field.default:
            continue
        if field.name not in known or _beyond(field.name, given):
            yield at
        elif dataclasses.is_dataclass(given) or isinstance(given, tuple):
            yield from unheeded(given, at)


def _beyond(name: str, given: Any) -> bool:
    """Say whether a field that is heeded has a value that is not."""
    if name == "simple":
        return given not in _TURNS
    if name == "retry_on":
        return not _retries(given)
    return name == "without_headers" and len(given) > MOST_INVERTED


_TURNS = (SimpleLB.UNSPECIFIED, SimpleLB.ROUND_ROBIN)


def _retries(text: str) -> bool:
    """Say whether gRPC does all that a list of conditions asks for."""
    words, codes = split_conditions(text)
    return not codes and RETRIES.union(ANYWAY).issuperset(words)


def tell_of_rule(q: Db, rule: Rule) -> None:
    """Tell on the DestinationRules of a service what gRPC clients do not heed of them."""
    for ref in rule.origins:
        if q.fact(facts.DESTINATION_RULES, ref.namespace, ref.name) is not None:
            _of_rule(q, ref.namespace, ref.name)


@query
def _of_rule(q: Db, namespace: str, name: str) -> None:
    made = q.fact(facts.DESTINATION_RULES, namespace, name)
    if made is None:
        return
    parts = [("spec.trafficPolicy", made.spec.traffic_policy)]
    parts += [
        (f"spec.subsets[{index}].trafficPolicy", one.traffic_policy)
        for index, one in enumerate(made.spec.subsets)
    ]
    for at, policy in parts:
        for path in unheeded(policy, at):
            text = f"{path.rpartition('trafficPolicy.')[2]} is not heeded by gRPC clients without a proxy"
            q.report(Diagnostic(RULE_NOT_HEEDED, text, Ref("DestinationRule", namespace, name), path))


def tell_of_permissive(q: Db, found: Service, port: int, rule: Rule) -> None:
    """Tell on the rules of a service that gRPC clients' mutual TLS is not known to sidecars of its port."""
    listed = backends(q, found.namespace, found.host, port)
    if not any(one.mtls and _mode(q, found.namespace, one, port) is Mtls.PERMISSIVE for one in listed):
        return
    native = proxyless_addresses(q, found.namespace)
    if all(one.address in native for one in listed if one.mtls):
        return
    text = (
        f"gRPC clients without a proxy do not reach port {port} of {found.host}: its sidecars are PERMISSIVE"
    )
    for ref in rule.origins:
        told = Ref(ref.kind, ref.namespace, ref.name)
        q.report(Diagnostic(SERVER_UNREACHED, text, told, "spec.trafficPolicy.tls", "make it STRICT"))


def _mode(q: Db, namespace: str, one: Backend, port: int) -> Mtls:
    keys = authn.selector_keys(q, namespace)
    labels = Map({key: value for key in keys if (value := one.labels.get(key)) is not None})
    return authn.policy(q, namespace, labels).of(one.port or port)


@query
def tell_of_routes(q: Db, key: Key) -> None:
    """Tell of the HTTP routes of a VirtualService what gRPC clients do not heed."""
    made = derived.virtual_service(q, *key)
    if made is None:
        return
    for rule in rules_of(q, made):
        for path in unheeded(rule.http, rule.place.path):
            field = path.removeprefix(f"{rule.place.path}.")
            if field in CLOSING:
                told, text = ROUTE_FAILS, f"{field}: calls of gRPC clients without a proxy fail here"
            elif field.startswith("match["):
                told, text = ROUTE_FAILS, f"{field}: gRPC clients without a proxy pass the route over"
            else:
                told, text = ROUTE_NOT_HEEDED, f"{field} is not heeded by gRPC clients without a proxy"
            q.report(Diagnostic(told, text, rule.place.ref, path))
